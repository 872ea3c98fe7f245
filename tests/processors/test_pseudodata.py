"""Pseudo-data: mean, variance, and what they are refused for."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from oddjet.datasets.folds import event_hash, fold_of
from oddjet.errors import ConfigError, InputError, NonFiniteError
from oddjet.processors.pseudodata import (
    ExpectedWeights,
    draw_pseudodata,
    largest_luminosity,
    uniform_of,
)

N = 20_000
EVENTS = event_hash(np.ones(N, np.uint64), np.arange(N) // 100, np.arange(N))
NAMES = np.full(N, "qcd")


def test_events_are_kept_with_the_probability_of_their_weight() -> None:
    weights = np.where(np.arange(N) % 2, 0.1, 0.6)
    kept = draw_pseudodata(weights, EVENTS, NAMES, lumi_ifb=1.0, seed=1)
    for value in (0.1, 0.6):
        n = int(np.sum(weights == value))
        spread = np.sqrt(n * value * (1 - value))
        assert kept[weights == value].sum() == pytest.approx(n * value, abs=4 * spread)


def test_variance_given_the_simulation_is_that_of_thinning() -> None:
    weights = np.full(500, 0.3)
    totals = [
        draw_pseudodata(weights, EVENTS[:500], NAMES[:500], lumi_ifb=1.0, seed=seed).sum()
        for seed in range(800)
    ]
    assert np.mean(totals) == pytest.approx(150, abs=4 * np.sqrt(105 / 800))
    assert np.var(totals) == pytest.approx(500 * 0.3 * 0.7, rel=4 * np.sqrt(2 / 800))


def test_variance_with_the_simulations_own_fluctuation_is_poissons() -> None:
    rng = np.random.default_rng(1)
    totals = []
    for seed in range(800):
        n = int(rng.poisson(100))
        events = event_hash(np.ones(n, np.uint64), np.full(n, seed), np.arange(n))
        kept = draw_pseudodata(np.full(n, 0.8), events, np.full(n, "qcd"), lumi_ifb=1.0, seed=seed)
        totals.append(kept.sum())
    assert np.mean(totals) == pytest.approx(80, abs=4 * np.sqrt(80 / 800))
    assert np.var(totals) == pytest.approx(80, rel=4 * np.sqrt(2 / 800))


def test_jets_of_one_event_stay_together() -> None:
    events = np.repeat(EVENTS[:2000], 3)
    kept = draw_pseudodata(np.full(6000, 0.4), events, np.full(6000, "qcd"), lumi_ifb=1.0, seed=1)
    per_event = kept.reshape(-1, 3).sum(axis=1)
    assert set(per_event.tolist()) == {0, 3}


def test_same_numbers_in_two_datasets_are_different_events() -> None:
    weights = np.full(2 * N, 0.5)
    kept = draw_pseudodata(
        weights,
        np.concatenate([EVENTS, EVENTS]),
        np.repeat(["qcd", "w"], N),
        lumi_ifb=1.0,
        seed=1,
    )
    both = np.mean(kept[:N] & kept[N:])
    assert both == pytest.approx(0.25, abs=0.02)


def test_draw_does_not_depend_on_order_or_on_other_datasets() -> None:
    weights = np.full(N, 0.3)
    kept = draw_pseudodata(weights, EVENTS, NAMES, lumi_ifb=1.0, seed=7)
    order = np.random.default_rng(1).permutation(N)
    mixed = draw_pseudodata(weights, EVENTS[order], NAMES[order], lumi_ifb=1.0, seed=7)
    assert np.array_equal(kept[order], mixed)
    half = draw_pseudodata(weights[:100], EVENTS[:100], NAMES[:100], lumi_ifb=1.0, seed=7)
    assert np.array_equal(kept[:100], half)
    other = draw_pseudodata(weights, EVENTS, NAMES, lumi_ifb=1.0, seed=8)
    assert np.mean(kept & other) == pytest.approx(0.09, abs=0.01)


def test_uniform_numbers_are_uniform_and_independent_of_the_fold() -> None:
    values = uniform_of(EVENTS, "qcd", 1)
    assert values.min() >= 0
    assert values.max() < 1
    assert stats.kstest(values, "uniform").pvalue > 0.01
    folds = fold_of(EVENTS, 3)
    for fold in range(3):
        assert stats.kstest(values[folds == fold], "uniform").pvalue > 0.001


def test_weight_above_one_names_the_largest_luminosity() -> None:
    weights = np.full(N, 0.5)
    weights[3] = 2.5
    with pytest.raises(ConfigError, match=r"too large for the simulated statistics.*at most 4/fb"):
        draw_pseudodata(weights, EVENTS, NAMES, lumi_ifb=10.0, seed=1)
    assert largest_luminosity(weights, 10.0) == pytest.approx(4.0)
    draw_pseudodata(weights * 0.4, EVENTS, NAMES, lumi_ifb=4.0, seed=1)


def test_bad_weights_are_refused() -> None:
    weights = np.full(N, 0.5)
    weights[0] = -0.1
    with pytest.raises(InputError, match="1 of 20000 expected weights are negative"):
        draw_pseudodata(weights, EVENTS, NAMES, lumi_ifb=1.0, seed=1)
    weights[0] = np.nan
    with pytest.raises(NonFiniteError, match="NaN or infinite"):
        draw_pseudodata(weights, EVENTS, NAMES, lumi_ifb=1.0, seed=1)
    with pytest.raises(InputError, match="different weights"):
        draw_pseudodata([0.1, 0.2], EVENTS[[0, 0]], NAMES[:2], lumi_ifb=1.0, seed=1)
    with pytest.raises(InputError, match="received shapes"):
        draw_pseudodata([0.1, 0.2], EVENTS[:3], NAMES[:2], lumi_ifb=1.0, seed=1)


def test_nothing_in_nothing_out() -> None:
    kept = draw_pseudodata([], EVENTS[:0], NAMES[:0], lumi_ifb=1.0, seed=1)
    assert kept.shape == (0,)


def test_summaries_of_parts_add_up_to_that_of_all_rows() -> None:
    weights = np.array([0.2, 1.5, 0.7, 2.0, -0.1, np.nan])
    parts = [ExpectedWeights.from_weights(part) for part in np.split(weights[:4], 2)]
    assert parts[0] + parts[1] == ExpectedWeights.from_weights(weights[:4])
    assert not (parts[0] + parts[1]).usable
    assert ExpectedWeights.from_weights(np.empty(0)) == ExpectedWeights()
    with pytest.raises(ConfigError, match=r"2 of 4 rows .* at most 0\.5/fb"):
        (parts[0] + parts[1]).check(1.0)
    with pytest.raises(InputError, match="1 of 5 expected weights are negative"):
        ExpectedWeights.from_weights(weights[:5]).check(1.0)
    with pytest.raises(NonFiniteError, match="1 expected weights"):
        ExpectedWeights.from_weights(weights).check(1.0)
