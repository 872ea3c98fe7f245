from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist
from scipy.stats import wasserstein_distance

from oddjet.errors import InputError, NonFiniteError
from oddjet.ml.networks.wasserstein import earth_movers_distance

RNG = np.random.default_rng(1)


def test_one_dimension_is_the_difference_of_the_distribution_functions() -> None:
    a, b = RNG.normal(size=200), RNG.exponential(size=130)
    expected = wasserstein_distance(a, b)
    assert earth_movers_distance(a[:, None], b[:, None]) == pytest.approx(expected, rel=1e-9)


def test_samples_of_one_size_are_an_assignment() -> None:
    a, b = RNG.normal(size=(150, 6)), RNG.uniform(-2, 2, size=(150, 6))
    costs = cdist(a, b)
    expected = costs[linear_sum_assignment(costs)].mean()
    assert earth_movers_distance(a, b) == pytest.approx(expected, rel=1e-9)


def test_a_shift_costs_its_length() -> None:
    a, shift = RNG.normal(size=(80, 3)), np.array([3.0, 0.0, -4.0])
    assert earth_movers_distance(a, a + shift) == pytest.approx(5.0)
    assert earth_movers_distance(a, a) == pytest.approx(0.0, abs=1e-12)


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(InputError, match=r"\(3, 2\) and \(3, 4\)"):
        earth_movers_distance(np.zeros((3, 2)), np.zeros((3, 4)))
    with pytest.raises(InputError, match="no points"):
        earth_movers_distance(np.zeros((0, 2)), np.zeros((3, 2)))
    with pytest.raises(NonFiniteError):
        earth_movers_distance(np.full((1, 2), np.nan), np.zeros((3, 2)))
