from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from oddjet.ml.detectors.standardise import Standardiser

ROWS = np.random.default_rng(1).exponential([1.0, 50.0, 1e-4], (500, 3))


@pytest.mark.parametrize("compress", [False, True])
def test_columns_have_mean_0_and_deviation_1_and_come_back(compress: bool) -> None:
    standardise = Standardiser.fit(ROWS, compress=compress)
    standard = standardise(ROWS)
    assert standard.dtype == np.float32
    np.testing.assert_allclose(standard.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(standard.std(axis=0), 1, rtol=1e-5)
    np.testing.assert_allclose(standardise.low, standard.min(axis=0), rtol=1e-5)
    np.testing.assert_allclose(standardise.high, standard.max(axis=0), rtol=1e-5)
    np.testing.assert_allclose(standardise.inverse(standard), ROWS, rtol=1e-4, atol=1e-6)


def test_it_is_what_its_definition_says() -> None:
    other = np.array([[2.0, -7.0, 1e3]])
    expected = (other - ROWS.mean(axis=0)) / ROWS.std(axis=0)
    np.testing.assert_allclose(Standardiser.fit(ROWS, compress=False)(other), expected, rtol=1e-6)
    bent = np.arcsinh(ROWS / np.median(ROWS, axis=0))
    expected = (np.arcsinh(other / np.median(ROWS, axis=0)) - bent.mean(axis=0)) / bent.std(axis=0)
    np.testing.assert_allclose(Standardiser.fit(ROWS, compress=True)(other), expected, rtol=1e-6)


@pytest.mark.parametrize("compress", [False, True])
def test_columns_that_do_not_vary_are_only_shifted(compress: bool) -> None:
    rows = np.tile([0.0, 0.1], (50, 1))
    standardise = Standardiser.fit(rows, compress=compress)
    np.testing.assert_allclose(standardise(rows), 0, atol=1e-6)
    np.testing.assert_array_equal(standardise.std, 1)


@pytest.mark.parametrize("compress", [False, True])
def test_saved_and_loaded_is_the_same(compress: bool, tmp_path: Path) -> None:
    standardise = Standardiser.fit(ROWS, compress=compress)
    standardise.save(tmp_path / "standard.npz")
    loaded = Standardiser.load(tmp_path / "standard.npz", columns=ROWS.shape[1])
    assert (loaded.scale is None) == (not compress)
    np.testing.assert_array_equal(loaded(ROWS), standardise(ROWS))
