"""Local p-values against closed forms and plain sums."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from oddjet.analysis.statistics.bumphunt.pvalues import on_off_p, poisson_p, toy_p


@pytest.mark.parametrize(("n", "b"), [(3, 1.0), (10, 2.5), (200, 150.0)])
def test_poisson_p_is_the_tail(n: int, b: float) -> None:
    assert poisson_p(n, b) == pytest.approx(stats.poisson.sf(n - 1, b), rel=1e-9)


@pytest.mark.parametrize(("n_on", "n_off", "tau"), [(140, 100, 1.2), (10, 16, 4.0), (4, 5, 5.0)])
def test_on_off_p_is_the_binomial_tail_of_the_counting_experiment(
    n_on: int, n_off: int, tau: float
) -> None:
    # Given n_on + n_off events, those in the window are binomial with probability 1/(1 + τ).
    exact = stats.binom.sf(n_on - 1, n_on + n_off, 1 / (1 + tau))
    assert on_off_p(n_on, n_off / tau, n_off / tau**2) == pytest.approx(exact, rel=1e-9)


def test_on_off_p_goes_over_to_poisson() -> None:
    b = 50.0
    errors = np.array([1e-3, 1e-5, 0.0]) * b
    p = on_off_p(70, b, errors**2)
    assert p == pytest.approx(float(poisson_p(70, b)), rel=1e-3)
    assert on_off_p(70, b, 10.0**2) > 5 * p[0]


def test_no_excess_is_one_and_no_fit_is_nan() -> None:
    assert on_off_p([5, 5], [5.0, 6.0], [1.0, 1.0]).tolist() == [1.0, 1.0]
    assert np.isnan(on_off_p(5, np.nan, np.nan))


def test_toy_p_is_never_zero() -> None:
    assert toy_p([0, 9], 99).tolist() == [0.01, 0.1]
