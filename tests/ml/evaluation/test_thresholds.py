from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from oddjet.errors import InputError, TooFewJetsError
from oddjet.ml.evaluation.thresholds import (
    Threshold,
    background_thresholds,
    efficiencies_at,
    labelled_thresholds,
)


def scores(n: int = 20_000, shift: float = 2.0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(2)
    return np.concatenate([rng.normal(size=n), rng.normal(shift, size=n)]), np.arange(2 * n) >= n


def test_thresholds_of_a_gaussian_background() -> None:
    values, is_signal = scores()
    thresholds = {
        t.rule: t for t in background_thresholds(values[~is_signal], efficiencies=[0.1, 0.01])
    }
    assert list(thresholds) == [
        "background mean",
        "background median",
        "10 % of background",
        "1 % of background",
    ]
    assert thresholds["background mean"].value == pytest.approx(0, abs=0.03)
    assert thresholds["background median"].value == pytest.approx(0, abs=0.03)
    assert thresholds["10 % of background"].value == pytest.approx(norm.isf(0.1), abs=0.03)
    assert thresholds["1 % of background"].value == pytest.approx(norm.isf(0.01), abs=0.1)
    assert not any(t.needs_signal for t in thresholds.values())


def test_thresholds_with_signal_lie_between() -> None:
    thresholds = labelled_thresholds(*scores())
    assert [t.rule for t in thresholds] == [
        "between the means",
        "between the medians",
        "largest ε_s − ε_b",
    ]
    # Two Gaussians of one width: all three are in the middle.
    for threshold, tolerance in zip(thresholds, (0.03, 0.03, 0.15), strict=True):
        assert threshold.value == pytest.approx(1.0, abs=tolerance)
        assert threshold.needs_signal


def test_efficiencies_are_those_of_gaussians() -> None:
    values, is_signal = scores()
    for cut in efficiencies_at([Threshold("x", 1.0), Threshold("y", 3.0)], values, is_signal):
        assert cut.signal.low < norm.sf(cut.threshold.value - 2) < cut.signal.high
        assert cut.background.low < norm.sf(cut.threshold.value) < cut.background.high


def test_a_wanted_efficiency_is_never_exceeded() -> None:
    values = np.repeat(np.arange(10.0), 3)  # with ties
    for efficiency in (0.05, 0.1, 0.3, 0.5, 0.95):
        threshold = background_thresholds(values, efficiencies=[efficiency])[2].value
        assert np.mean(values > threshold) <= efficiency + 1e-12
        lower = values[values < threshold]
        if len(lower):
            assert np.mean(values > lower.max()) > efficiency


def test_weights_act_like_repeated_jets() -> None:
    rng = np.random.default_rng(2)
    values, is_signal = rng.normal(size=200), np.arange(200) % 2 == 0
    times = rng.integers(1, 5, 200)
    repeated = np.repeat(values, times), np.repeat(is_signal, times)
    for weighted, plain in zip(
        [*background_thresholds(values, times), *labelled_thresholds(values, is_signal, times)],
        [*background_thresholds(repeated[0]), *labelled_thresholds(*repeated)],
        strict=True,
    ):
        assert weighted.value == pytest.approx(plain.value)
    (cut,) = efficiencies_at([Threshold("x", 0.3)], values, is_signal, times)
    assert cut.signal.value == pytest.approx(np.mean(repeated[0][repeated[1]] > 0.3))


def test_the_best_threshold_keeps_what_the_curve_counts() -> None:
    values, is_signal = np.array([0.0, 1.0, 2.0, 3.0]), np.array([False, False, True, True])
    best = labelled_thresholds(values, is_signal)[2]
    (cut,) = efficiencies_at([best], values, is_signal)
    assert (cut.signal.value, cut.background.value) == (1.0, 0.0)
    # A score that points the other way: nothing is better than no jet at all.
    worst = labelled_thresholds(-values, is_signal)[2]
    (cut,) = efficiencies_at([worst], -values, is_signal)
    assert (cut.signal.value, cut.background.value) == (0.0, 0.0)
    assert cut.background.high > 0.5


def test_refusals() -> None:
    with pytest.raises(InputError, match="efficiencies"):
        background_thresholds([1.0, 2.0], efficiencies=[1.0])
    with pytest.raises(TooFewJetsError, match="0 background jets"):
        background_thresholds([])
    with pytest.raises(TooFewJetsError, match="0 signal"):
        labelled_thresholds([1.0], [False])
