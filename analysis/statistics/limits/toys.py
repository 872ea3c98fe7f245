"""Limits and p0 from toys: the distribution of the test statistic instead of its asymptotic form.

Toys at a strength are drawn from the fit of the data at that strength, measurements of nuisance parameters included
(the profile construction), and every toy is fitted as the data are.

References:
    ATLAS and CMS, ATL-PHYS-PUB-2011-11 and CMS NOTE-2011/005, section 2 (CLs of the LHC with toys).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import numpy as np
from scipy import stats

from oddjet.analysis.statistics.limits.asymptotic import BANDS, Asymptotic, Expected
from oddjet.analysis.statistics.limits.likelihood import Data, Fits, guarded_fit
from oddjet.errors import FitError
from oddjet.typing import Floats

__all__ = ["Progress", "Toys"]

Progress = Callable[[int, int], None]
"""Called with the parts done and their number."""

POINTS = 8
"""Signal strengths at which toys are thrown first."""
MORE_POINTS = 6
"""Most strengths that are added where the first do not reach the limits."""
TIE = 1e-5
"""Toys of equal counts are equal but for the last digits of their fits."""


class Toys:
    """Toys of one data set.

    Args:
        asymptotic: The fits of the data.
        n_toys: Toys with signal, and as many without, at each strength.
        seed: Fixes them.
        progress: Called as strengths are done.
    """

    def __init__(
        self, asymptotic: Asymptotic, n_toys: int, seed: int, progress: Progress | None = None
    ) -> None:
        self.asymptotic, self.n_toys = asymptotic, n_toys
        self.rng = np.random.default_rng(seed)
        self.progress = progress

    @cached_property
    def without(self) -> tuple[Data, Fits, Fits]:
        """Toys without signal, with their fits without and with one."""
        null = self.asymptotic.null.parameters
        toys = self._draw(null)
        background = self._fit(toys, null, 0.0)
        return toys, background, self._fit(toys, background.parameters, None)

    def cls(self, mu: float) -> Floats:
        """CLs of the data, then that expected without signal for the five `BANDS`, shape (6,)."""
        values, with_signal, without = self._statistics(mu)
        bands = np.quantile(_cls(without, with_signal, without), stats.norm.cdf(BANDS))
        return np.concatenate([_cls(values, with_signal, without), bands])

    def observed(self, mu: float) -> tuple[float, float]:
        """CLs of the data, and CLs+b: the part of toys with a signal that are at least as far from it."""
        values, with_signal, without = self._statistics(mu)
        p_value = float(_beyond(values, with_signal)[0])
        return float(_cls(values, with_signal, without)[0]), p_value

    @property
    def p0(self) -> float:
        """Local p of background alone from q0: (1 + toys at or beyond) / (1 + toys)."""
        _, background, free = self.without
        data = self.asymptotic
        value = 2.0 * float(data.null.values[0] - data.best.values[0])
        beyond = np.sum(2.0 * (background.values - free.values) >= value - TIE)
        return float((1 + beyond) / (1 + self.n_toys))

    def limits(self, level: float, guess: tuple[float, Expected]) -> tuple[float, Expected]:
        """Strengths at which CLs falls to a level; ln CLs is interpolated between some strengths.

        Args:
            level: One minus the confidence level.
            guess: The asymptotic limits, which say where to throw toys.

        Raises:
            FitError: No strength is excluded, or fits of toys failed.
        """
        low, high = 0.7 * min(guess[0], guess[1][0]), 1.2 * max(guess[0], guess[1][4])
        points, table = list(np.geomspace(low, high, POINTS)), []
        for i, mu in enumerate(points):
            table.append(self.cls(mu))
            if self.progress is not None:
                self.progress(i + 1, POINTS)
        for _ in range(MORE_POINTS):
            if np.max(table[-1]) >= level:
                points.append(1.4 * points[-1])
                table.append(self.cls(points[-1]))
            elif np.min(table[0]) < level:
                points.insert(0, 0.7 * points[0])
                table.insert(0, self.cls(points[0]))
            else:
                break
        if np.max(table[-1]) >= level:
            msg = (
                f"{self.n_toys} toys exclude no signal up to {points[-1] / guess[1][2]:.3g} times the "
                "asymptotic limit: throw more toys"
            )
            raise FitError(msg)
        at = np.array(points)
        observed, first, second, third, fourth, fifth = (
            _crossing(at, column, level, self.n_toys) for column in np.array(table).T
        )
        return observed, (first, second, third, fourth, fifth)

    def _statistics(self, mu: float) -> tuple[Floats, Floats, Floats]:
        """q̃μ of the data, shape (1,), and of toys with and without a signal, shape (n_toys,)."""
        given = self.asymptotic.at(mu).parameters
        toys = self._draw(given)
        fixed = self._fit(toys, given, mu)
        with_signal = _q(mu, fixed, self._fit(toys, fixed.parameters, None))
        background, _, best = self.without
        without = _q(mu, self._fit(background, best.parameters, mu), best)
        return np.array([self.asymptotic.test_statistic(mu)]), with_signal, without

    def _draw(self, parameters: Floats) -> Data:
        likelihood, data = self.asymptotic.likelihood, self.asymptotic.data
        return likelihood.draw(parameters, data, self.n_toys, self.rng)

    def _fit(self, toys: Data, start: Floats, mu: float | None) -> Fits:
        return guarded_fit(self.asymptotic.likelihood, toys, start, mu=mu, what="toys")


def _q(mu: float, fixed: Fits, free: Fits) -> Floats:
    """q̃μ; arXiv:1007.1727, equation 16."""
    return np.where(free.mu > mu, 0.0, np.maximum(2.0 * (fixed.values - free.values), 0.0))


def _beyond(values: Floats, toys: Floats) -> Floats:
    """Part of the toys at or beyond each value."""
    return np.asarray(1.0 - np.searchsorted(np.sort(toys), values - TIE) / toys.size)


def _cls(values: Floats, with_signal: Floats, without: Floats) -> Floats:
    """CLs of values of the test statistic: toys at or beyond, with signal over without."""
    floor = 1.0 / without.size
    return np.asarray(_beyond(values, with_signal) / np.maximum(_beyond(values, without), floor))


def _crossing(points: Floats, values: Floats, level: float, n_toys: int) -> float:
    """Where CLs from toys crosses the level; ln CLs is taken as linear between points.

    CLs falls with the strength, its estimates fluctuate: the mean of the largest falling curve
    below them and the smallest one above them is taken.
    """
    at = np.concatenate([[0.0], points])
    # No toy at or beyond is no more than few.
    logs = np.log(np.maximum(np.concatenate([[1.0], values]), 0.5 / n_toys))
    below, above = np.minimum.accumulate(logs), np.maximum.accumulate(logs[::-1])[::-1]
    logs = 0.5 * (below + above)
    i = int(np.flatnonzero(logs < np.log(level))[0])
    fraction = (logs[i - 1] - np.log(level)) / (logs[i - 1] - logs[i])
    return float(at[i - 1] + fraction * (at[i] - at[i - 1]))
