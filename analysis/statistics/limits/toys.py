"""Limits and p0 from toys: the distribution of the test statistic instead of its asymptotic form.

Toys at a strength are drawn from the fit of the data at that strength, measurements of nuisance parameters included
(the profile construction), and every toy is fitted as the data are. CLs is a smooth curve through the toys of all
strengths around the limit (`curve.py`), and more toys are thrown at the limits that are known worst.

References:
    ATLAS and CMS, ATL-PHYS-PUB-2011-11 and CMS NOTE-2011/005, section 2 (CLs of the LHC with toys).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import numpy as np
from scipy import stats

from oddjet.analysis.statistics.limits.asymptotic import BANDS, Asymptotic, Expected
from oddjet.analysis.statistics.limits.curve import Crossing, Levels, cls_crossing
from oddjet.analysis.statistics.limits.likelihood import Data, Fits, guarded_fit
from oddjet.errors import FitError
from oddjet.typing import Floats

__all__ = ["Progress", "Toys"]

Progress = Callable[[int, int], None]
"""Called with the parts done and their number."""

POINTS = 8
"""Signal strengths at which toys are thrown first, half of the number."""
ROUNDS, PER_ROUND = 5, 3
"""Most strengths, at the limits found so far, at which toys are thrown afterwards, and how many times the number with
signal: toys near a limit say most about it."""
GOALS = np.array([0.035, 0.14, 0.07, 0.035, 0.07, 0.07])
"""Relative errors at which the observed limit and those of the `BANDS` are known well enough. At −2 σ is one toy with
signal in a thousand."""
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
        toys = self._draw(null, self.n_toys)
        background = self._fit(toys, null, 0.0)
        return toys, background, self._fit(toys, background.parameters, None)

    def levels(self, mu: float, n_toys: int) -> Levels:
        """CLs of the data, then that expected without signal for the five `BANDS`, with `n_toys` with signal."""
        values, with_signal, without = self._statistics(mu, n_toys)
        seen = _cls(values, with_signal, without)
        clb = np.maximum(_beyond(values, without), 1.0 / without.size)
        toys = _cls(without, with_signal, without)
        parts = stats.norm.cdf(BANDS)
        bands = np.quantile(toys, parts)
        below = np.mean(toys <= bands[:, None] * (1.0 + 1e-9), axis=1)
        # The background's toys are the same at all strengths: what they leave open is common to all.
        spread = np.sqrt(parts * (1.0 - parts) / without.size)
        floor = 0.5 / with_signal.size
        ends = [
            np.log(np.maximum(np.quantile(toys, np.clip(parts + s, 0.0, 1.0)), floor))
            for s in (-spread, spread)
        ]
        return Levels(
            mu,
            n_toys,
            np.concatenate([seen, bands]),
            np.concatenate([clb, below]),
            np.concatenate(
                [np.sqrt((1.0 - clb) / (clb * without.size)), 0.5 * (ends[1] - ends[0])]
            ),
        )

    def observed(self, mu: float) -> tuple[float, float]:
        """CLs of the data, and CLs+b: the part of toys with a signal that are at least as far from it."""
        values, with_signal, without = self._statistics(mu, self.n_toys)
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

    def limits(self, level: float, guess: tuple[float, Expected]) -> tuple[Crossing, ...]:
        """Strengths at which CLs falls to a level, with their errors from the numbers of toys.

        Args:
            level: One minus the confidence level.
            guess: The asymptotic limits, which say where to throw toys.

        Returns:
            The observed limit, and the expected ones of the five `BANDS`.

        Raises:
            FitError: No strength is excluded, or fits of toys failed.
        """
        table, starts = self._first(level, guess), (guess[0], *guess[1])

        def crossings() -> tuple[Crossing, ...]:
            return tuple(cls_crossing(table, i, level, mu) for i, mu in enumerate(starts))

        for i in range(ROUNDS):
            limits = crossings()
            excess = np.array([crossing.from_signal for crossing in limits]) / GOALS
            if excess.max() < 1:
                break
            mu = limits[int(np.argmax(excess))].mu
            table.append(self.levels(mu, PER_ROUND * self.n_toys))
            self._report(POINTS + 1 + i)
        self._report(POINTS + ROUNDS)
        return crossings()

    def _first(self, level: float, guess: tuple[float, Expected]) -> list[Levels]:
        """CLs at strengths around the asymptotic limits, and beyond where that does not reach the limits."""
        n_toys = (self.n_toys + 1) // 2
        low, high = 0.7 * min(guess[0], guess[1][0]), 1.2 * max(guess[0], guess[1][4])
        table = []
        for i, mu in enumerate(np.geomspace(low, high, POINTS)):
            table.append(self.levels(float(mu), n_toys))
            self._report(i + 1)
        for _ in range(MORE_POINTS):
            if np.max(table[-1].cls) >= level:
                table.append(self.levels(1.4 * table[-1].mu, n_toys))
            elif np.min(table[0].cls) < level:
                table.insert(0, self.levels(0.7 * table[0].mu, n_toys))
            else:
                break
        if np.max(table[-1].cls) >= level:
            msg = (
                f"{self.n_toys} toys exclude no signal up to {table[-1].mu / guess[1][2]:.3g} times the "
                "asymptotic limit: throw more toys"
            )
            raise FitError(msg)
        return table

    def _report(self, done: int) -> None:
        if self.progress is not None:
            self.progress(done, POINTS + ROUNDS)

    def _statistics(self, mu: float, n_toys: int) -> tuple[Floats, Floats, Floats]:
        """q̃μ of the data, shape (1,), and of toys with and without a signal, `n_toys` and all."""
        given = self.asymptotic.at(mu).parameters
        toys = self._draw(given, n_toys)
        fixed = self._fit(toys, given, mu)
        with_signal = _q(mu, fixed, self._fit(toys, fixed.parameters, None))
        background, _, best = self.without
        without = _q(mu, self._fit(background, best.parameters, mu), best)
        return np.array([self.asymptotic.test_statistic(mu)]), with_signal, without

    def _draw(self, parameters: Floats, n_toys: int) -> Data:
        likelihood, data = self.asymptotic.likelihood, self.asymptotic.data
        return likelihood.draw(parameters, data, n_toys, self.rng)

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
