"""Where to cut on a score, and what is left of signal and background there.

References:
    D. Khanal, Anomalous Jet Detection using Unsupervised Learning (2023), section 6.3 (a jet above
    the threshold is an anomaly), figures 10 (the best threshold) and 13 (mean and median of the
    losses as thresholds).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from oddjet.errors import InputError, TooFewJetsError
from oddjet.ml.evaluation.bootstrap import Interval, fraction_interval
from oddjet.ml.evaluation.checks import checked_columns
from oddjet.ml.evaluation.roc import checked, roc_curve
from oddjet.typing import Bools, Floats

__all__ = [
    "BACKGROUND_EFFICIENCIES",
    "Cut",
    "Threshold",
    "background_thresholds",
    "efficiencies_at",
    "labelled_thresholds",
]


BACKGROUND_EFFICIENCIES = (0.1, 0.01)


@dataclass(frozen=True)
class Threshold:
    """A value of the score; jets above it are tagged.

    Attributes:
        rule: Where it comes from.
        needs_signal: Whether labelled signal was used to find it: not possible in a search.
    """

    rule: str
    value: float
    needs_signal: bool = False


@dataclass(frozen=True)
class Cut:
    """What a threshold does.

    Attributes:
        signal, background: Fractions above it, with Wilson's 95 % intervals.
    """

    threshold: Threshold
    signal: Interval
    background: Interval


def background_thresholds(
    scores: npt.ArrayLike,
    weights: npt.ArrayLike | None = None,
    *,
    efficiencies: Sequence[float] = BACKGROUND_EFFICIENCIES,
) -> list[Threshold]:
    """Find thresholds from the scores of background alone, as a search has to.

    Its mean; its median; and for each wanted efficiency the least score with at most that fraction
    of the background above it.

    The document finds its threshold from the means and medians of both kinds' losses, and does not
    print how; the mean and the median of the background are what a search can use of that.

    Args:
        scores: Of background, shape (n,).
        weights: Not negative, shape (n,); 1 by default.
        efficiencies: Each in (0, 1).

    Raises:
        TooFewJetsError: If no jet has a weight.
        NonFiniteError: If a score or weight is NaN or infinite.
        InputError: If a weight is negative, shapes differ, or an efficiency is not in (0, 1).
    """
    for efficiency in efficiencies:
        if not 0 < efficiency < 1:
            msg = f"thresholds: background efficiencies lie in (0, 1). Received: {efficiency}."
            raise InputError(msg)
    columns, w = checked_columns({"scores": scores}, weights)
    values = columns["scores"]
    if not w.sum() > 0:
        msg = f"thresholds: none of {len(w)} background jets has a weight above 0."
        raise TooFewJetsError(msg)
    mean, median = _mean_and_median(values, w)
    wanted = [(f"{100 * e:g} % of background", _quantile(values, w, 1 - e)) for e in efficiencies]
    rules = [("background mean", mean), ("background median", median), *wanted]
    return [Threshold(rule, value) for rule, value in rules]


def labelled_thresholds(
    scores: npt.ArrayLike, is_signal: npt.ArrayLike, weights: npt.ArrayLike | None = None
) -> list[Threshold]:
    """Find thresholds that need to know the signal: what the others can be compared with.

    Halfway between the two means and between the two medians, and the threshold where the
    difference of the efficiencies, ε_s − ε_b, is largest.

    Takes and raises what `roc_curve` does.
    """
    values, signal, w = checked(scores, is_signal, weights)
    (s_mean, s_median), (b_mean, b_median) = (
        _mean_and_median(values[kind], w[kind]) for kind in (signal, ~signal)
    )
    roc = roc_curve(values, signal, w)
    best = int(np.argmax(roc.tpr - roc.fpr))
    rules = [
        ("between the means", 0.5 * (s_mean + b_mean)),
        ("between the medians", 0.5 * (s_median + b_median)),
        ("largest ε_s − ε_b", _just_below(roc.thresholds, best)),
    ]
    return [Threshold(rule, value, needs_signal=True) for rule, value in rules]


def efficiencies_at(
    thresholds: Sequence[Threshold],
    scores: npt.ArrayLike,
    is_signal: npt.ArrayLike,
    weights: npt.ArrayLike | None = None,
    *,
    events: npt.ArrayLike | None = None,
) -> list[Cut]:
    """Count what is above thresholds: of jets other than those that the thresholds come from.

    Takes and raises what `roc_curve` does; `events` are as of `fraction_interval`.
    """
    values, signal, w = checked(scores, is_signal, weights)

    def left(threshold: Threshold, kind: Bools) -> Interval:
        together = None if events is None else np.asarray(events)[kind]
        return fraction_interval(values[kind] > threshold.value, w[kind], together)

    return [
        Cut(threshold, signal=left(threshold, signal), background=left(threshold, ~signal))
        for threshold in thresholds
    ]


def _mean_and_median(values: Floats, weights: Floats) -> tuple[float, float]:
    return float(np.average(values, weights=weights)), _quantile(values, weights, 0.5)


def _quantile(values: Floats, weights: Floats, fraction: float) -> float:
    """The least value with at least a weighted fraction at or below it."""
    return float(np.quantile(values, fraction, weights=weights, method="inverted_cdf"))


def _just_below(thresholds: Floats, i: int) -> float:
    """A value between a threshold of the curve, whose jets pass there, and the next lower score."""
    if i == 0:
        return float(thresholds[1])  # no jet passes
    if i + 1 == len(thresholds):
        return float(np.nextafter(thresholds[i], -np.inf))
    return float(0.5 * (thresholds[i] + thresholds[i + 1]))
