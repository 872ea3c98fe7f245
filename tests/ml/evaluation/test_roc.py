from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm
from sklearn.metrics import roc_auc_score
from sklearn.metrics import roc_curve as sklearn_roc_curve

from oddjet.errors import InputError, NonFiniteError, TooFewJetsError
from oddjet.ml.evaluation.roc import auc, background_rejection, evaluate, roc_curve


def gaussians(n: int, shift: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """n background scores around 0 and n signal scores around a shift."""
    rng = np.random.default_rng(seed)
    scores = np.concatenate([rng.normal(size=n), rng.normal(shift, size=n)])
    return scores, np.arange(2 * n) >= n


@given(st.integers(0, 10_000), st.integers(1, 30))
def test_auc_and_curve_equal_sklearn_with_weights_and_ties(seed: int, distinct: int) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, distinct, 60).astype(float)
    is_signal = np.arange(60) % 3 == 0
    weights = rng.uniform(0.1, 5, 60)
    roc = roc_curve(scores, is_signal, weights)
    assert roc.auc == pytest.approx(roc_auc_score(is_signal, scores, sample_weight=weights))
    fpr, tpr, thresholds = sklearn_roc_curve(
        is_signal, scores, sample_weight=weights, drop_intermediate=False
    )
    np.testing.assert_allclose(roc.fpr, fpr, atol=1e-12)
    np.testing.assert_allclose(roc.tpr, tpr, atol=1e-12)
    np.testing.assert_array_equal(roc.thresholds, thresholds)


def test_auc_of_two_gaussians() -> None:
    scores, is_signal = gaussians(20_000, 1.5, seed=1)
    interval = auc(scores, is_signal)
    expected = norm.cdf(1.5 / np.sqrt(2))
    assert interval.low < expected < interval.high
    assert interval.low < interval.value < interval.high


def test_rejection_of_two_gaussians() -> None:
    scores, is_signal = gaussians(50_000, 2.0, seed=2)
    interval = background_rejection(scores, is_signal, signal_efficiency=0.5)
    assert interval.low < 1 / norm.sf(2.0) < interval.high


def test_interval_covers_as_often_as_it_says() -> None:
    expected = norm.cdf(1.0 / np.sqrt(2))
    covered = 0
    for seed in range(200):
        interval = auc(*gaussians(100, 1.0, seed), seed=seed)
        covered += interval.low <= expected <= interval.high
    assert 180 <= covered <= 198  # 95 % of 200 is 190, ± 2.6 standard deviations


def test_scores_without_information() -> None:
    assert roc_curve(np.ones(10), np.arange(10) < 4).auc == pytest.approx(0.5)


def test_perfect_and_inverted_scores() -> None:
    is_signal = np.arange(10) < 4
    assert auc(is_signal.astype(float), is_signal) == auc(is_signal * 9.0, is_signal)
    assert auc(is_signal.astype(float), is_signal).low == 1.0
    assert auc(-is_signal.astype(float), is_signal).high == 0.0
    rejection = background_rejection(is_signal.astype(float), is_signal, signal_efficiency=0.5)
    assert np.isinf(rejection.value)


def test_rejection_takes_the_strictest_cut_that_keeps_the_efficiency() -> None:
    # From the top: S S B B B S S S B … : at 0.4 no background has passed, at 0.6 three of five.
    is_signal = np.array([1, 1, 0, 0, 0, 1, 1, 1, 0, 0], dtype=bool)
    roc = roc_curve(-np.arange(10.0), is_signal)
    assert roc.background_efficiency(0.4) == 0.0
    assert roc.background_efficiency(0.6) == pytest.approx(0.6)
    assert roc.background_efficiency(1.0) == pytest.approx(0.6)


def test_weights_act_like_repeated_jets() -> None:
    rng = np.random.default_rng(3)
    scores, is_signal = rng.normal(size=100), np.arange(100) % 2 == 0
    times = rng.integers(1, 5, 100)
    weighted = roc_curve(scores, is_signal, times.astype(float))
    repeated = roc_curve(np.repeat(scores, times), np.repeat(is_signal, times))
    np.testing.assert_allclose(weighted.fpr, repeated.fpr)
    np.testing.assert_allclose(weighted.tpr, repeated.tpr)


def test_table_of_several_scores() -> None:
    scores, is_signal = gaussians(500, 1.0, seed=4)
    good, bad = evaluate({"good": scores, "bad": -scores}, is_signal, signal_efficiencies=[0.3])
    assert (good.score, bad.score) == ("good", "bad")
    assert (good.n_signal, good.n_background) == (500, 500)
    assert good.auc.value == pytest.approx(1 - bad.auc.value)
    assert good.auc == auc(scores, is_signal)
    assert good.rejection == {0.3: background_rejection(scores, is_signal, signal_efficiency=0.3)}


def test_same_seed_same_interval_and_another_seed_another() -> None:
    scores, is_signal = gaussians(100, 1.0, seed=5)
    assert auc(scores, is_signal, seed=1) == auc(scores, is_signal, seed=1)
    assert auc(scores, is_signal, seed=1) != auc(scores, is_signal, seed=2)


@pytest.mark.parametrize(
    ("scores", "is_signal", "weights", "error", "message"),
    [
        ([1.0, 2.0], [True, True], None, TooFewJetsError, "0 background jets"),
        ([1.0, 2.0], [False, False], None, TooFewJetsError, "0 signal jets"),
        ([], [], None, TooFewJetsError, "0 signal"),
        ([1.0, 2.0], [True, False], [0.0, 1.0], TooFewJetsError, "signal"),
        ([1.0, 2.0], [True, False], [-1.0, 1.0], InputError, "1 of 2 weights are negative"),
        ([1.0, np.nan], [True, False], None, NonFiniteError, "1 of 2 scores"),
        ([1.0, 2.0], [True], None, InputError, "shape"),
    ],
)
def test_refusals(scores, is_signal, weights, error, message) -> None:
    with pytest.raises(error, match=message):
        roc_curve(scores, is_signal, weights)


@pytest.mark.parametrize("efficiency", [0.0, 1.1, float("nan")])
def test_impossible_efficiency_is_refused(efficiency: float) -> None:
    with pytest.raises(InputError, match="signal_efficiency"):
        background_rejection([1.0, 0.0], [True, False], signal_efficiency=efficiency)


def test_no_replicas_are_refused() -> None:
    with pytest.raises(InputError, match="replicas"):
        auc([1.0, 0.0], [True, False], replicas=0)


@pytest.mark.slow
def test_two_hundred_replicas_of_two_hundred_thousand_jets_take_seconds() -> None:
    scores, is_signal = gaussians(100_000, 1.0, seed=6)
    start = time.process_time()
    auc(scores, is_signal, replicas=200)
    assert time.process_time() - start < 20


def test_intervals_cover_where_the_jets_of_an_event_are_alike() -> None:
    """Two jets an event with one score between them: resampled alone, 95 % intervals cover 83 %."""
    rng = np.random.default_rng(3)
    covered = {"events": 0, "jets": 0}
    is_signal, events = np.arange(200) < 100, np.arange(200) // 2
    truth = float(norm.cdf(1 / np.sqrt(2)))
    for seed in range(120):
        scores = np.repeat(rng.normal(size=100), 2) + is_signal
        for name, together in (("events", events), ("jets", None)):
            area = auc(scores, is_signal, events=together, replicas=100, seed=seed)
            covered[name] += area.low <= truth <= area.high
    assert covered["events"] >= 106  # of 120; 114 wanted
    assert covered["jets"] <= 106
