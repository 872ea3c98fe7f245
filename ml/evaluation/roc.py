"""How well a score separates signal from background: ROC, AUC, background rejection.

Everything is weighted, and every number comes with a 95 % interval from resampling the events of signal
and of background, each among themselves. Weights must not be negative.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from oddjet.errors import InputError, TooFewJetsError
from oddjet.ml.evaluation.bootstrap import (
    REPLICAS,
    Interval,
    percentile_interval,
    resampled_weights,
)
from oddjet.ml.evaluation.checks import checked_columns
from oddjet.ml.evaluation.ranking import Ranking
from oddjet.typing import Bools, Floats

__all__ = [
    "Evaluation",
    "Interval",
    "Roc",
    "auc",
    "background_rejection",
    "checked",
    "evaluate",
    "roc_curve",
]


SIGNAL_EFFICIENCIES = (0.1, 0.2, 0.5)


@dataclass(frozen=True, eq=False)
class Roc:
    """A weighted ROC curve, from the strictest threshold to the loosest.

    Attributes:
        fpr: Background efficiency at `scores >= thresholds`, from 0 to 1.
        tpr: Signal efficiency, from 0 to 1.
        thresholds: Distinct scores, descending; the first is infinity, above all jets.
    """

    fpr: Floats
    tpr: Floats
    thresholds: Floats

    @property
    def auc(self) -> float:
        """Area under tpr(fpr): chance that signal outscores background, ties counting half."""
        return _area(self.fpr, self.tpr)

    def background_efficiency(self, signal_efficiency: float) -> float:
        """Background efficiency at a signal efficiency in (0, 1], interpolated linearly."""
        return _efficiency(self.fpr, self.tpr, signal_efficiency)


@dataclass(frozen=True)
class Evaluation:
    """One score's figures.

    Attributes:
        rejection: Signal efficiency → 1/ε_b.
        n_signal, n_background: Jets, unweighted.
    """

    score: str
    auc: Interval
    rejection: dict[float, Interval]
    n_signal: int
    n_background: int


def roc_curve(
    scores: npt.ArrayLike, is_signal: npt.ArrayLike, weights: npt.ArrayLike | None = None
) -> Roc:
    """Draw the ROC curve of a score.

    Args:
        scores: Shape (n,), higher for signal.
        is_signal: Bool, shape (n,).
        weights: Not negative, shape (n,); 1 by default. Signal and background are normalised each.

    Raises:
        TooFewJetsError: If signal or background have no weight.
        NonFiniteError: If a score or weight is NaN or infinite.
        InputError: If a weight is negative, or shapes differ.
    """
    values, signal, w = checked(scores, is_signal, weights)
    ranking = Ranking.from_scores(values, signal)
    return Roc(*ranking.rates(w), np.concatenate([[np.inf], ranking.scores]))


def auc(
    scores: npt.ArrayLike,
    is_signal: npt.ArrayLike,
    weights: npt.ArrayLike | None = None,
    *,
    events: npt.ArrayLike | None = None,
    replicas: int = REPLICAS,
    seed: int = 1,
) -> Interval:
    """Area under the ROC curve, with its interval; takes and raises what `roc_curve` does.

    Jets with the same number in `events`, shape (n,), are resampled together; without, each alone.
    """
    return _bootstrap((scores, is_signal, weights, events), [_area], replicas, seed)[0]


def background_rejection(
    scores: npt.ArrayLike,
    is_signal: npt.ArrayLike,
    weights: npt.ArrayLike | None = None,
    *,
    signal_efficiency: float,
    events: npt.ArrayLike | None = None,
    replicas: int = REPLICAS,
    seed: int = 1,
) -> Interval:
    """1/ε_b at a signal efficiency in (0, 1], with its interval; takes and raises as `auc`.

    It is infinite where no background is left.
    """
    statistics = [_rejection_at(signal_efficiency)]
    return _bootstrap((scores, is_signal, weights, events), statistics, replicas, seed)[0]


def evaluate(
    scores: Mapping[str, npt.ArrayLike],
    is_signal: npt.ArrayLike,
    weights: npt.ArrayLike | None = None,
    *,
    signal_efficiencies: Sequence[float] = SIGNAL_EFFICIENCIES,
    events: npt.ArrayLike | None = None,
    replicas: int = REPLICAS,
    seed: int = 1,
) -> list[Evaluation]:
    """Make a table of the figures of several scores of the same jets, one row a score.

    Scores are name → (n,); the resamplings are the same for every score, so that scores can be
    compared. Takes and raises else what `auc` does.
    """
    signal = np.asarray(is_signal, dtype=bool)
    statistics = [_area, *(_rejection_at(efficiency) for efficiency in signal_efficiencies)]
    table = []
    for name, values in scores.items():
        given = (values, signal, weights, events)
        area, *rejections = _bootstrap(given, statistics, replicas, seed)
        n_signal = int(np.count_nonzero(signal))
        table.append(
            Evaluation(
                score=name,
                auc=area,
                rejection=dict(zip(signal_efficiencies, rejections, strict=True)),
                n_signal=n_signal,
                n_background=len(signal) - n_signal,
            )
        )
    return table


Statistic = Callable[[Floats, Floats], float]
"""A number of a ROC curve: (fpr, tpr) → float."""


Given = tuple[npt.ArrayLike, npt.ArrayLike, npt.ArrayLike | None, npt.ArrayLike | None]
"""Scores, whether signal, weights, events: (n,) each."""


def _bootstrap(
    given: Given, statistics: Sequence[Statistic], replicas: int, seed: int
) -> list[Interval]:
    """Give numbers of a score's ROC curve, each with its interval."""
    values, signal, w = checked(*given[:3])
    ranking = Ranking.from_scores(values, signal)
    drawn = resampled_weights(w, signal, replicas=replicas, seed=seed, events=given[3])
    samples = [
        [statistic(*ranking.rates(drawn_w)) for statistic in statistics] for drawn_w in drawn
    ]
    rates = ranking.rates(w)
    return [
        percentile_interval(statistic(*rates), column)
        for statistic, column in zip(statistics, np.transpose(samples), strict=True)
    ]


def _area(fpr: Floats, tpr: Floats) -> float:
    return float(np.trapezoid(tpr, fpr))


def _efficiency(fpr: Floats, tpr: Floats, signal_efficiency: float) -> float:
    """Background efficiency where the curve first reaches a signal efficiency."""
    # The tolerance keeps rounding from skipping the first of several points of this efficiency.
    i = int(np.searchsorted(tpr, signal_efficiency * (1 - 1e-12), side="left"))
    rise = tpr[i] - tpr[i - 1]
    fraction = (signal_efficiency - tpr[i - 1]) / rise if rise > 0 else 1.0
    return float(fpr[i - 1] + fraction * (fpr[i] - fpr[i - 1]))


def _rejection_at(signal_efficiency: float) -> Statistic:
    if not 0 < signal_efficiency <= 1:
        msg = f"evaluation: signal_efficiency must be in (0, 1]. Received: {signal_efficiency}."
        raise InputError(msg)

    def rejection(fpr: Floats, tpr: Floats) -> float:
        efficiency = _efficiency(fpr, tpr, signal_efficiency)
        return 1 / efficiency if efficiency > 0 else float("inf")

    return rejection


def checked(
    scores: npt.ArrayLike, is_signal: npt.ArrayLike, weights: npt.ArrayLike | None
) -> tuple[Floats, Bools, Floats]:
    """Take scores, whether signal, and weights, each (n,), as float64, bool, float64, or refuse.

    Raises:
        TooFewJetsError: If signal or background have no weight.
        NonFiniteError: If a score or weight is NaN or infinite.
        InputError: If a weight is negative, or shapes differ.
    """
    signal = np.asarray(is_signal, dtype=bool)
    columns, w = checked_columns({"scores": scores}, weights)
    if signal.shape != w.shape:
        msg = f"evaluation: expected is_signal of shape {w.shape}. Received: {signal.shape}."
        raise InputError(msg)
    for what, mask in (("signal", signal), ("background", ~signal)):
        if not w[mask].sum() > 0:
            msg = (
                f"evaluation: {int(np.count_nonzero(mask))} {what} jets with a weight above 0 of "
                f"{len(w)}: a ROC curve needs both kinds."
            )
            raise TooFewJetsError(msg)
    return columns["scores"], signal, w
