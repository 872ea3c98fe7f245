"""95 % intervals: from resampling events, and of fractions of jets in closed form.

The jets of one event are not independent: they share its scale, its pile-up, often its cut. So whole
events are drawn, with all of their jets, wherever it is known which jets belong together.

References:
    B. Efron, "Bootstrap methods: another look at the jackknife", Annals of Statistics 7 (1979).
    E. B. Wilson, "Probable inference", Journal of the American Statistical Association 22 (1927).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats

from oddjet.errors import InputError
from oddjet.typing import Floats

__all__ = [
    "REPLICAS",
    "Interval",
    "fraction_interval",
    "percentile_interval",
    "resampled_weights",
    "statistic_interval",
]


REPLICAS = 200
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Interval:
    """A number and its 95 % interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3g} [{self.low:.3g}, {self.high:.3g}]"

    def text(self, digits: int = 3) -> str:
        """Write it as a table shows it; a dash for NaN.

        >>> Interval(0.87, 0.861, 0.8799).text(), Interval(12.0, 9.0, float("inf")).text(1)
        ('0.870 [0.861, 0.880]', '12.0 [9.0, ∞]')
        """
        value, low, high = (
            "–" if np.isnan(number) else f"{number:.{digits}f}".replace("inf", "∞")
            for number in (self.value, self.low, self.high)
        )
        return value if value == "–" else f"{value} [{low}, {high}]"


def resampled_weights(
    weights: Floats,
    is_signal: npt.NDArray[np.bool_],
    *,
    replicas: int,
    seed: int,
    events: npt.ArrayLike | None = None,
) -> Iterator[Floats]:
    """Draw as many events with replacement, signal and background apart, again and again.

    Gives the weights (n,) times how often the event of each jet was drawn; jets may be all of one kind.

    Args:
        weights: Not negative, shape (n,).
        is_signal: Shape (n,).
        replicas: How often to draw.
        seed: Of the drawing.
        events: The same number for jets of the same event, such as `jets_hash`, shape (n,); without, every
            jet is an event of its own.

    Raises:
        InputError: If there are no replicas, or not as many event numbers as jets.
    """
    if replicas < 1:
        msg = f"evaluation: replicas must be at least 1. Received: {replicas}."
        raise InputError(msg)
    rng = np.random.default_rng(seed)
    place = _event_places(events, len(weights))
    classes = []
    for rows in (np.flatnonzero(is_signal), np.flatnonzero(~is_signal)):
        if len(rows):
            of_kind = np.unique(place[rows], return_inverse=True)[1]
            classes.append((rows, of_kind, int(of_kind.max()) + 1))
    for _ in range(replicas):
        drawn = np.zeros(len(weights))
        for rows, of_kind, n_events in classes:
            times = np.bincount(rng.integers(0, n_events, n_events), minlength=n_events)
            drawn[rows] = weights[rows] * times[of_kind]
            if not drawn[rows].any():  # only jets of weight 0 were drawn: nothing to evaluate
                drawn[rows] = weights[rows]
        yield drawn


def _event_places(events: npt.ArrayLike | None, n_jets: int) -> npt.NDArray[np.int64]:
    """Number the events of jets from 0, shape (n_jets,); every jet is one where they are not known."""
    if events is None:
        return np.arange(n_jets)
    numbers = np.asarray(events)
    if numbers.shape != (n_jets,):
        msg = f"evaluation: expected the events of {n_jets} jets, shape ({n_jets},). Received: {numbers.shape}."
        raise InputError(msg)
    return np.asarray(np.unique(numbers, return_inverse=True)[1], dtype=np.int64)


def percentile_interval(value: float, samples: npt.ArrayLike) -> Interval:
    """Put a number between the percentiles 2.5 and 97.5 of its replicas; NaN ones are left out."""
    replicas = np.asarray(samples, dtype=np.float64)
    replicas = replicas[~np.isnan(replicas)]
    if not len(replicas):
        return Interval(value, float("nan"), float("nan"))
    # "nearest" takes samples as they are: between an infinite and a finite one there is no number.
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(replicas, [tail, 1 - tail], method="nearest")
    return Interval(value, float(low), float(high))


def statistic_interval(
    statistic: Callable[[Floats, Floats], float],
    values: Floats,
    weights: Floats,
    *,
    events: npt.ArrayLike | None = None,
    replicas: int = REPLICAS,
    seed: int = 1,
) -> Interval:
    """Give any number of a sample, `statistic(values, weights)`, with its bootstrap interval.

    Values and weights, not negative, have shape (n,); `events` are as of `resampled_weights`.

    Raises:
        InputError: If there are no replicas, or not as many event numbers as jets.
    """
    one_kind = np.zeros(len(values), dtype=bool)
    drawn = resampled_weights(weights, one_kind, replicas=replicas, seed=seed, events=events)
    samples = [statistic(values, drawn_weights) for drawn_weights in drawn]
    return percentile_interval(statistic(values, weights), samples)


def fraction_interval(
    passed: npt.NDArray[Any], weights: Floats, events: npt.ArrayLike | None = None
) -> Interval:
    """Wilson's interval of the weighted fraction of jets that pass, bool (n,); weights (n,).

    It needs no replicas, and says something where none or all pass. Weighted jets count as their
    effective number, (Σw)²/Σw². With `events`, as of `resampled_weights`, that number is
    f (1 − f) (Σw)² / Σ_e (Σ_{j in e} w_j (x_j − f))², x being 1 for jets that pass and f their fraction: the one
    that the scatter of whole events stands for. Where none or all pass, jets of one event count as one.

    References:
        Wilson (1927), eq. (4). L. Kish, Survey Sampling (1965), section 8.2 (the effect of clusters).

    >>> fraction_interval(np.arange(10) < 0, np.ones(10)).high.__round__(3)
    0.278
    """
    total = float(weights.sum())
    fraction = float(weights[passed].sum()) / total
    n = total**2 / float(np.sum(weights**2))
    if events is not None:
        mixed = 0 < fraction < 1
        residual = weights * (passed - fraction) if mixed else weights
        by_event = np.bincount(_event_places(events, len(weights)), residual)
        variance = fraction * (1 - fraction) if mixed else 1.0
        n = variance * total**2 / float(np.sum(by_event**2))
    z2 = float(stats.norm.ppf((1 + CONFIDENCE) / 2)) ** 2
    centre = (fraction + z2 / (2 * n)) / (1 + z2 / n)
    half = np.sqrt(z2 * (fraction * (1 - fraction) / n + z2 / (4 * n * n))) / (1 + z2 / n)
    # Rounding must not put the fraction itself outside.
    low, high = max(centre - half, 0.0), centre + half
    return Interval(fraction, float(min(low, fraction)), float(max(high, fraction)))
