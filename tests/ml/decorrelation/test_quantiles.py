from __future__ import annotations

import numpy as np
import pytest

from oddjet.ml.decorrelation.quantiles import SURVIVALS, interpolate_survival


def test_exponential_quantiles_give_back_the_value() -> None:
    """−ln of the survival of an exponential is the value, between rungs and beyond them."""
    values = np.array([0.06, 0.3, 1.0, 2.5, 5.0, 8.0])
    rungs = np.tile(-np.log(SURVIVALS), (6, 1))
    np.testing.assert_allclose(interpolate_survival(values, rungs), values, rtol=1e-4)


def test_each_value_has_its_own_ladder() -> None:
    rungs = -np.log(SURVIVALS) * np.array([[1.0], [2.0], [3.0]])
    np.testing.assert_allclose(interpolate_survival(np.array([2.0, 4.0, 6.0]), rungs), 2, rtol=1e-4)


@pytest.mark.parametrize("kind", ["crossed", "equal"])
def test_bad_ladders_still_rise(kind: str) -> None:
    rungs = -np.log(SURVIVALS) if kind == "crossed" else np.zeros(len(SURVIVALS))
    values = np.linspace(-3, 10, 200)
    ladders = np.tile(rungs[::-1], (200, 1))
    assert np.all(np.diff(interpolate_survival(values, ladders)) > 0)
