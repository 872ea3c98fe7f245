from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from oddjet.analysis.studies.reproduce.measure import compare_areas, share_of_ceiling

RNG = np.random.default_rng(1)
IS_SIGNAL = np.repeat([True, False], [400, 1000])
GOOD = RNG.normal(size=1400) + 1.2 * IS_SIGNAL
POOR = RNG.integers(0, 5, 1400) + 1.0 * IS_SIGNAL  # with ties


def scored(
    values: np.ndarray, is_signal: np.ndarray, events: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Values of jets; every jet is of an event of its own unless events are given."""
    return values, is_signal, np.arange(len(values)) if events is None else events


def test_differences_and_shares_are_those_of_the_areas() -> None:
    good, poor = (roc_auc_score(IS_SIGNAL, scores) for scores in (GOOD, POOR))
    difference = compare_areas(scored(GOOD, IS_SIGNAL), scored(POOR, IS_SIGNAL))
    assert difference.value == pytest.approx(good - poor, abs=1e-12)
    assert difference.low < difference.value < difference.high
    share = share_of_ceiling(scored(POOR, IS_SIGNAL), scored(GOOD, IS_SIGNAL))
    assert share.value == pytest.approx((poor - 0.5) / (good - 0.5), abs=1e-12)


def test_the_same_jets_are_resampled_together() -> None:
    same = compare_areas(scored(GOOD, IS_SIGNAL), scored(2 * GOOD + 1, IS_SIGNAL))
    assert (same.value, same.low, same.high) == (0.0, 0.0, 0.0)
    others = np.repeat([True, False], [500, 1000])
    other = scored(RNG.normal(size=1500) + 1.2 * others, others)
    apart = compare_areas(scored(GOOD, IS_SIGNAL), other)
    assert apart.low < 0 < apart.high
    assert apart.high - apart.low > 0.02


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    covered = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        first, second = rng.normal(size=(2, 300)) + 0.8 * (np.arange(300) < 100)
        is_signal = np.arange(300) < 100
        difference = compare_areas(scored(first, is_signal), scored(second, is_signal), seed=seed)
        covered += difference.low <= 0 <= difference.high
    assert 86 <= covered <= 100


def test_twins_of_an_event_say_nothing_new() -> None:
    """Each jet twice, in one event: intervals are those of the jets alone, and not narrower by √2."""
    twice = np.repeat(np.arange(1400), 2)
    widths = []
    for events in (twice, np.arange(2800)):
        pairs = (scored(v[twice], IS_SIGNAL[twice], events) for v in (GOOD, POOR))
        difference = compare_areas(*pairs)
        widths.append(difference.high - difference.low)
    alone = compare_areas(scored(GOOD, IS_SIGNAL), scored(POOR, IS_SIGNAL))
    assert widths[0] == pytest.approx(alone.high - alone.low, rel=0.2)
    assert widths[0] / widths[1] == pytest.approx(np.sqrt(2), rel=0.2)
