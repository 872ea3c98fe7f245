"""95 % intervals: from resampling jets, and of fractions of jets in closed form.

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
    weights: Floats, is_signal: npt.NDArray[np.bool_], *, replicas: int, seed: int
) -> Iterator[Floats]:
    """Draw as many jets with replacement, signal and background apart, again and again.

    Gives the weights (n,) times how often each jet was drawn; jets may be all of one kind.

    Raises:
        InputError: If there are no replicas.
    """
    if replicas < 1:
        msg = f"evaluation: replicas must be at least 1. Received: {replicas}."
        raise InputError(msg)
    rng = np.random.default_rng(seed)
    classes = [np.flatnonzero(is_signal), np.flatnonzero(~is_signal)]
    for _ in range(replicas):
        drawn = np.zeros(len(weights))
        for rows in classes:
            if not len(rows):
                continue
            times = np.bincount(rng.integers(0, len(rows), len(rows)), minlength=len(rows))
            drawn[rows] = weights[rows] * times
            if not drawn[rows].any():  # only jets of weight 0 were drawn: nothing to evaluate
                drawn[rows] = weights[rows]
        yield drawn


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
    replicas: int = REPLICAS,
    seed: int = 1,
) -> Interval:
    """Give any number of a sample, `statistic(values, weights)`, with its bootstrap interval.

    Values and weights, not negative, have shape (n,).

    Raises:
        InputError: If there are no replicas.
    """
    one_kind = np.zeros(len(values), dtype=bool)
    drawn = resampled_weights(weights, one_kind, replicas=replicas, seed=seed)
    samples = [statistic(values, drawn_weights) for drawn_weights in drawn]
    return percentile_interval(statistic(values, weights), samples)


def fraction_interval(passed: npt.NDArray[Any], weights: Floats) -> Interval:
    """Wilson's interval of the weighted fraction of jets that pass, bool (n,); weights (n,).

    It needs no replicas, and says something where none or all pass. Weighted jets count as their
    effective number, (Σw)²/Σw².

    References:
        Wilson (1927), eq. (4).

    >>> fraction_interval(np.arange(10) < 0, np.ones(10)).high.__round__(3)
    0.278
    """
    total = float(weights.sum())
    n = total**2 / float(np.sum(weights**2))
    fraction = float(weights[passed].sum()) / total
    z2 = float(stats.norm.ppf((1 + CONFIDENCE) / 2)) ** 2
    centre = (fraction + z2 / (2 * n)) / (1 + z2 / n)
    half = np.sqrt(z2 * (fraction * (1 - fraction) / n + z2 / (4 * n * n))) / (1 + z2 / n)
    # Rounding must not put the fraction itself outside.
    low, high = max(centre - half, 0.0), centre + half
    return Interval(fraction, float(min(low, fraction)), float(max(high, fraction)))
