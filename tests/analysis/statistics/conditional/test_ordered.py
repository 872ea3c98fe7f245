"""Ordered excesses against general optimisers, and their distribution against closed forms and toys."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import optimize, stats
from sklearn.isotonic import IsotonicRegression

from oddjet.analysis.statistics.conditional.ordered import (
    chi_bar_tail,
    level_probabilities,
    ordered_excess,
)
from oddjet.typing import Floats


def by_hand(on: Floats, off: Floats) -> float:
    """Twice the log-likelihood ratio of two multinomials whose ratio rises, by a constrained optimiser."""
    n = on + off

    def value(steps: Floats) -> float:
        logit = np.cumsum(steps)
        return float(np.sum(n * np.logaddexp(0, logit) - on * logit))

    start = np.r_[np.log(on.sum() / off.sum()), np.full(on.size - 1, 1e-3)]
    bounds = [(None, None)] + [(0, None)] * (on.size - 1)
    best = optimize.minimize(value, start, bounds=bounds, options={"ftol": 1e-15, "gtol": 1e-10})
    flat = -on.sum() * np.log(on.sum() / n.sum()) - off.sum() * np.log(off.sum() / n.sum())
    return 2 * (flat - float(best.fun))


def test_it_is_the_likeliest_ratio_that_rises() -> None:
    rng = np.random.default_rng(1)
    expected = np.array([200.0, 30.0, 10.0, 3.0])
    observed = rng.poisson(expected * [1.0, 1.1, 1.3, 2.0], (20, 4)).astype(float)
    ratio, top = ordered_excess(observed, np.tile(expected, (20, 1)), np.full(20, 3.0))
    for row, value, first in zip(observed, ratio, top, strict=True):
        assert value == pytest.approx(by_hand(row, 3 * expected), abs=1e-4)
        n = row + 3 * expected
        fitted = IsotonicRegression().fit_transform(np.arange(4), row / n, sample_weight=n)
        if value > 1e-9:
            np.testing.assert_allclose(fitted[first:], fitted[-1])
            assert fitted[first - 1] < fitted[-1]


def test_falling_ratios_and_what_is_not_known() -> None:
    observed = np.array([[10.0, 3.0, 1.0], [10.0, 3.0, 1.0], [0.0, 0.0, 0.0], [5.0, 0.0, 4.0]])
    expected = np.array([[9.0, 4.0, 2.0], [9.0, np.nan, 1.0], [0.0, 0.0, 0.0], [5.0, 0.0, 1.0]])
    ratio, _ = ordered_excess(observed, expected, np.full(4, 10.0))
    assert ratio[0] == 0
    assert np.isnan(ratio[1])
    assert ratio[2] == 0
    assert ratio[3] > 0
    np.testing.assert_array_equal(chi_bar_tail(ratio[:2], np.array([0.5, 0.5])), [1, np.nan])


def test_levels_of_equal_weights_are_those_of_stirling_numbers() -> None:
    levels = level_probabilities(np.ones(4))
    np.testing.assert_allclose(levels, np.array([6, 11, 6, 1]) / 24, atol=0.01)
    # Two bins: half of all excesses are above zero.
    np.testing.assert_allclose(level_probabilities(np.array([100.0, 1.0])), 0.5, atol=0.01)
    assert chi_bar_tail(np.array([4.0]), np.array([0.5, 0.5]))[0] == pytest.approx(stats.norm.sf(2))


def test_p_is_uniform_without_an_excess() -> None:
    rng = np.random.default_rng(2)
    share = np.array([0.8, 0.1, 0.06, 0.04])
    observed = rng.multinomial(600, share, 4000).astype(float)
    off = rng.multinomial(1800, share, 4000).astype(float)
    ratio, _ = ordered_excess(observed, off / 3.0, np.full(4000, 3.0))
    p = chi_bar_tail(ratio, level_probabilities(share))
    for level in (0.2, 0.05, 0.01):
        assert np.mean(p <= level) == pytest.approx(level, abs=4 * np.sqrt(level / 4000))
