"""How well a score finds a signal: area, area at fixed mass, rejection, and the ceiling's share.

All figures are of jets with the role "test", on which nothing was trained or chosen.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from oddjet.analysis.studies.reproduce.trial import CEILING, Scored, TrialResult
from oddjet.analysis.studies.reproduce.windows import Role
from oddjet.errors import TooFewJetsError
from oddjet.ml.evaluation.fixed_mass import FixedAuc, auc_at_fixed
from oddjet.ml.evaluation.roc import Interval, auc, background_rejection
from oddjet.typing import Bools, Floats

__all__ = [
    "Measured",
    "against_ceiling",
    "area",
    "compare_areas",
    "find_ceiling",
    "measure",
    "share_of_ceiling",
]


REPLICAS = 200
SIGNAL_EFFICIENCY = 0.2


@dataclasses.dataclass(frozen=True)
class Measured:
    """A score's figures for one signal.

    Attributes:
        rejection: 1/ε_b at ε_s = `signal_efficiency`.
        at_fixed_mass: The area at fixed jet mass; None with too few jets for it.
    """

    auc: Interval
    rejection: Interval
    at_fixed_mass: FixedAuc | None
    signal_efficiency: float
    n_signal: int
    n_background: int


def area(result: TrialResult, signal: str, score: str, role: Role) -> float:
    """Area under the ROC curve, without an interval."""
    return auc(*result.pair(signal, role, score), replicas=1).value


def measure(
    result: TrialResult,
    signal: str,
    score: str,
    *,
    signal_efficiency: float = SIGNAL_EFFICIENCY,
    seed: int = 1,
) -> Measured:
    """Measure a score on the test jets."""
    values, is_signal, events = result.scored(signal, "test", score)
    mass, _ = result.pair(signal, "test", "jet_mass")
    try:
        fixed = auc_at_fixed(values, is_signal, mass, events=events, seed=seed)
    except TooFewJetsError:
        fixed = None
    return Measured(
        auc=auc(values, is_signal, events=events, replicas=REPLICAS, seed=seed),
        rejection=background_rejection(
            values,
            is_signal,
            signal_efficiency=signal_efficiency,
            events=events,
            replicas=REPLICAS,
            seed=seed,
        ),
        at_fixed_mass=fixed,
        signal_efficiency=signal_efficiency,
        n_signal=int(is_signal.sum()),
        n_background=int((~is_signal).sum()),
    )


def find_ceiling(
    results: Sequence[TrialResult], window: str, background: str, signal: str
) -> TrialResult | None:
    """Find the supervised ceiling for a signal on the same jets; None if it was not trained."""
    wanted = (CEILING, CEILING, window, background, signal)
    for result in results:
        trial = result.trial
        if wanted == (trial.settings, trial.label, trial.window, trial.background, trial.signal):
            return result
    return None


def against_ceiling(
    results: Sequence[TrialResult], result: TrialResult, signal: str, score: str
) -> tuple[float | None, Interval | None]:
    """Give the AUC of the ceiling, and a score's share of it; None without a ceiling."""
    ceiling = find_ceiling(results, result.trial.window, result.trial.background, signal)
    if ceiling is None:
        return None, None
    limit = ceiling.scored(signal, "test", "log_odds")
    share = share_of_ceiling(result.scored(signal, "test", score), limit)
    return area(ceiling, signal, "log_odds", "test"), share


def share_of_ceiling(score: Scored, ceiling: Scored, *, seed: int = 1) -> Interval:
    """(AUC − ½) of a score over that of the supervised ceiling, with its 95 % bootstrap interval.

    Both are of the same jets in the same order.
    """
    return _paired(score, ceiling, lambda a, b: (a - 0.5) / (b - 0.5), seed)


def compare_areas(score: Scored, other: Scored, *, seed: int = 1) -> Interval:
    """Area of a score minus that of another, with its 95 % bootstrap interval.

    Events are resampled; if both are of the same jets, together.
    """
    return _paired(score, other, lambda a, b: a - b, seed)


def _paired(
    first: Scored, second: Scored, combine: Callable[[float, float], float], seed: int
) -> Interval:
    same_jets = first[1].shape == second[1].shape and bool((first[1] == second[1]).all())
    areas = (_Areas.from_scores(*first), _Areas.from_scores(*second))
    rng = np.random.default_rng(seed)
    samples = np.empty(REPLICAS)
    for i in range(REPLICAS):
        weights = areas[0].draw(rng)
        others = weights if same_jets else areas[1].draw(rng)
        samples[i] = combine(areas[0].area(*weights), areas[1].area(*others))
    low, high = np.quantile(samples, [0.025, 0.975])
    return Interval(combine(areas[0].area(), areas[1].area()), float(low), float(high))


@dataclasses.dataclass(frozen=True, eq=False)
class _Areas:
    """Areas of one score under many weights: signal and background apart, sorted once.

    The area is Σ_s w_s [W_b(below s) + W_b(equal)/2] / (Σ w_s Σ w_b).

    Attributes:
        events: The event of each signal jet, and of each background jet, numbered from 0.
    """

    below: npt.NDArray[np.int64]
    up_to: npt.NDArray[np.int64]
    order: npt.NDArray[np.int64]
    events: tuple[npt.NDArray[np.int64], ...]

    @classmethod
    def from_scores(cls, values: Floats, is_signal: Bools, events: Floats) -> _Areas:
        signal, background = values[is_signal], values[~is_signal]
        order = np.argsort(background, kind="stable")
        ranked = background[order]
        return cls(
            np.searchsorted(ranked, signal, side="left"),
            np.searchsorted(ranked, signal, side="right"),
            order,
            tuple(
                np.unique(events[kind], return_inverse=True)[1] for kind in (is_signal, ~is_signal)
            ),
        )

    def draw(self, rng: np.random.Generator) -> tuple[Any, Any]:
        """How often the event of each signal and of each background jet is drawn."""
        sizes = [int(place.max()) + 1 for place in self.events]
        times = [np.bincount(rng.integers(0, n, n), minlength=n) for n in sizes]
        return times[0][self.events[0]], times[1][self.events[1]]

    def area(self, signal: Any = 1, background: Any = None) -> float:
        w_b = np.ones(len(self.order)) if background is None else background[self.order]
        w_s = np.ones(len(self.below)) * signal
        cumulative = np.concatenate([[0.0], np.cumsum(w_b)])
        wins = (cumulative[self.below] + cumulative[self.up_to]) / 2
        return float(w_s @ wins / (w_s.sum() * cumulative[-1]))
