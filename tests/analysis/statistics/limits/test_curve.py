from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from oddjet.analysis.statistics.limits.curve import Crossing, Levels, cls_crossing
from oddjet.errors import FitError


def thrown(n_toys: int, seed: int | None) -> list[Levels]:
    """CLs of no event observed, exp(−μ) whatever the background, and of the median where events are many."""
    rng = np.random.default_rng(seed)
    table = []
    for mu in np.geomspace(1.5, 6.0, 8):
        clb = np.array([1.0, 0.5])
        cls = np.array([np.exp(-mu), 2.0 * stats.norm.sf(0.6 * mu)])
        if seed is not None:
            cls = rng.poisson(n_toys * cls * clb) / (n_toys * clb)
        table.append(Levels(mu, n_toys, cls, clb, np.array([0.0, 0.03])))
    return table


EXACT = (-np.log(0.05), stats.norm.isf(0.025) / 0.6)


@pytest.mark.parametrize("column", [0, 1])
@pytest.mark.parametrize("guess", [2.0, 3.2, 5.0])
def test_curve_through_exact_values_is_exact(column: int, guess: float) -> None:
    crossing = cls_crossing(thrown(100_000, None), column, 0.05, guess)
    assert crossing.mu == pytest.approx(EXACT[column], rel=2e-3)


@pytest.mark.parametrize("column", [0, 1])
def test_error_is_the_scatter(column: int) -> None:
    crossings = [cls_crossing(thrown(500, seed), column, 0.05, 3.0) for seed in range(300)]
    relative = np.array([crossing.mu for crossing in crossings]) / EXACT[column]
    assert relative.mean() == pytest.approx(1.0, abs=0.01)
    stated = np.mean([crossing.from_signal for crossing in crossings])
    assert relative.std(ddof=1) == pytest.approx(stated, rel=0.15)
    # The curve is better than the two strengths beside the limit: 1 / √25 / 3 with no background.
    assert stated < 0.06


def test_error_of_the_background_is_divided_by_the_slope() -> None:
    crossing = cls_crossing(thrown(100_000, None), 1, 0.05, 3.0)
    root = stats.norm.isf(0.025)
    slope = root * stats.norm.pdf(root) / 0.025
    assert crossing.from_background == pytest.approx(0.03 / slope, rel=0.02)
    assert crossing.error == pytest.approx(
        crossing.mu * np.hypot(crossing.from_signal, crossing.from_background)
    )
    assert Crossing(2.0, 0.03, 0.04).error == pytest.approx(0.1)


def test_strengths_without_toys_beyond_count_and_no_fall_is_an_error() -> None:
    table = [
        Levels(mu, 40, np.array([k / 40]), np.array([1.0]), np.zeros(1))
        for mu, k in ((2.0, 6), (3.0, 2), (4.0, 0), (5.0, 0), (6.0, 0))
    ]
    crossing = cls_crossing(table, 0, 0.05, 4.0)
    assert 2.2 < crossing.mu < 3.8
    assert crossing.from_signal > 0.1
    flat = [
        Levels(mu, 100_000, np.array([0.5]), np.array([1.0]), np.zeros(1))
        for mu in (1.0, 2.0, 4.0, 8.0, 16.0)
    ]
    with pytest.raises(FitError, match=r"do not show where CLs falls to 0\.05"):
        cls_crossing(flat, 0, 0.05, 4.0)


@pytest.mark.parametrize("jump", [2.0, 3.7, 7.0])
def test_limit_where_cls_falls_in_one_step(jump: float) -> None:
    """Almost no background: half of all toys are beyond up to a strength, and none from there on."""
    table = [
        Levels(mu, 5_000, np.array([0.55 if mu < jump else 0.0]), np.array([1.0]), np.zeros(1))
        for mu in np.geomspace(1.0, 8.0, 8)
    ]
    crossing = cls_crossing(table, 0, 0.05, 3.0)
    assert abs(crossing.mu - jump) <= 3 * crossing.error
    assert crossing.error < 0.2 * jump
