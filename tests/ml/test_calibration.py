from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oddjet.errors import InputError, NonFiniteError, TooFewJetsError
from oddjet.ml.calibration import SurvivalCalibration

finite = st.floats(-1e6, 1e6)


def test_exponential_scores_calibrate_to_their_closed_form() -> None:
    rng = np.random.default_rng(1)
    calibration = SurvivalCalibration.fit(rng.exponential(1.0, 200_000))
    scores = np.array([0.0, 0.5, 1.0, 3.0, 5.0])
    np.testing.assert_allclose(calibration(scores), scores / np.log(10), rtol=0.02, atol=1e-6)


def test_weights_act_like_repeated_jets() -> None:
    scores = np.array([3.0, 1.0, 2.0, 5.0])
    times = np.array([2, 3, 1, 4])
    at = np.array([0.0, 1.0, 1.5, 2.0, 3.0, 4.0])
    weighted = SurvivalCalibration.fit(scores, times.astype(float))(at)
    repeated = SurvivalCalibration.fit(np.repeat(scores, times))(at)
    np.testing.assert_allclose(weighted, repeated, atol=1e-12)


@given(
    background=st.lists(st.tuples(finite, st.floats(0.01, 100)), min_size=1, max_size=30),
    scores=st.lists(finite, min_size=1, max_size=30),
)
def test_is_the_weighted_fraction_at_or_above_capped_and_monotone(
    background: list[tuple[float, float]], scores: list[float]
) -> None:
    known, weights = (np.array(column) for column in zip(*background, strict=True))
    calibration = SurvivalCalibration.fit(known, weights)
    n_effective = weights.sum() ** 2 / (weights**2).sum()
    for score, value in zip(scores, calibration(scores), strict=True):
        fraction = weights[known >= score].sum() / weights.sum()
        expected = -np.log10(max(fraction, 1 / (n_effective + 1)))
        assert value == pytest.approx(expected, abs=1e-9)
    ordered = calibration(np.sort(scores))
    assert np.all(np.diff(ordered) >= 0)
    assert np.all((ordered >= 0) & (ordered <= calibration.cap + 1e-12))


def test_beyond_all_background_is_the_cap() -> None:
    calibration = SurvivalCalibration.fit(np.arange(99.0))
    assert calibration([1e9])[0] == pytest.approx(2.0)
    assert calibration.cap == pytest.approx(2.0)


def test_background_itself_is_uniform_in_survival() -> None:
    scores = np.random.default_rng(2).normal(size=1000)
    survival = 10 ** -SurvivalCalibration.fit(scores)(scores)
    np.testing.assert_allclose(np.sort(survival), np.arange(1, 1001) / 1000)


def test_jets_of_weight_zero_do_not_count() -> None:
    with_zero = SurvivalCalibration.fit([1.0, 2.0, 9.0], [1.0, 1.0, 0.0])
    assert with_zero([9.0]) == SurvivalCalibration.fit([1.0, 2.0])([9.0])


def test_no_scores() -> None:
    assert SurvivalCalibration.fit([1.0])([]).shape == (0,)


def test_save_and_load(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    calibration = SurvivalCalibration.fit(rng.normal(size=50), rng.uniform(size=50))
    calibration.save(tmp_path / "c.npz")
    at = rng.normal(size=20)
    np.testing.assert_array_equal(SurvivalCalibration.load(tmp_path / "c.npz")(at), calibration(at))


@pytest.mark.parametrize(
    ("scores", "weights", "error", "message"),
    [
        ([1.0, 2.0], [1.0, -0.5], InputError, "1 of 2 weights are negative"),
        ([1.0, np.nan], [1.0, 1.0], NonFiniteError, "1 of 2 scores"),
        ([1.0, 2.0], [1.0, np.inf], NonFiniteError, "1 of 2 weights"),
        ([1.0, 2.0], [1.0], InputError, "shape"),
        ([], [], TooFewJetsError, "none of 0"),
        ([1.0], [0.0], TooFewJetsError, "none of 1"),
    ],
)
def test_refusals(scores, weights, error, message) -> None:
    with pytest.raises(error, match=message):
        SurvivalCalibration.fit(scores, weights)


def test_scores_that_are_not_finite_are_refused() -> None:
    with pytest.raises(NonFiniteError, match="1 of 2"):
        SurvivalCalibration.fit([1.0])([0.0, np.inf])
