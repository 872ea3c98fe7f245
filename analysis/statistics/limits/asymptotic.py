"""Limits by the asymptotic formulae: observed, expected, best strength and p0 of one data set.

References:
    A. L. Read, "Presentation of search results: the CLs technique", J. Phys. G 28 (2002) 2693.
    G. Cowan et al., "Asymptotic formulae for likelihood-based tests of new physics",
    arXiv:1007.1727, equations 62-65 (q̃μ), 88-89 (bands) and 12 (q0).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from scipy import optimize, stats

from oddjet.analysis.statistics.limits.likelihood import Data, Fits, Likelihood, guarded_fit
from oddjet.errors import FitError
from oddjet.typing import Floats

__all__ = ["BANDS", "Asymptotic", "Expected"]

Expected: TypeAlias = tuple[float, float, float, float, float]

BANDS = (-2, -1, 0, 1, 2)
"""The expected limits are for backgrounds that fluctuated by so many σ."""

LARGEST_MU = 1e6
"""No limit is looked for beyond so many times the size that it should have."""
ROOT_RTOL = 1e-7
STARTS = (1.0, 3.0)
"""Strengths, in units of a signal of the size of the limit, from which the best one is looked for."""
STEP = 0.1
"""Distance from the best strength at which the likelihood's curvature is taken [σ]."""


class Asymptotic:
    """The fits of one data set, and what the asymptotic formulae make of them.

    Signal strengths are multiples of a yield of the size of the limit, so that every number in a fit
    is of order one whatever the units of the signal's template.

    Args:
        likelihood: The model.
        data: One data set.
    """

    def __init__(self, likelihood: Likelihood, data: Data) -> None:
        self.likelihood, self.data = likelihood, data
        self.null = self._fit(data, np.zeros((1, likelihood.n_parameters)), 0.0)
        self.best = self._fit(data, self.null.parameters, None)
        for mu in STARTS:
            self.at(mu)
        self.asimov = likelihood.asimov(self.null.parameters, data)

    def at(self, mu: float) -> Fits:
        """Fit the nuisance parameters at a signal strength, and the strength again where that leads lower."""
        fit = self._fit(self.data, self.null.parameters, mu)
        if self.best.mu[0] > 0:
            fit = fit.better_of(self._fit(self.data, self.best.parameters, mu))
        if mu in STARTS or fit.values[0] < self.best.values[0]:
            self.best = self.best.better_of(self._fit(self.data, fit.parameters, None))
        return fit

    def test_statistic(self, mu: float) -> float:
        """q̃μ of the data; arXiv:1007.1727, equation 16."""
        fit = self.at(mu)
        if self.best.mu[0] > mu:
            return 0.0
        return max(2.0 * float(fit.values[0] - self.best.values[0]), 0.0)

    def asimov_root(self, mu: float) -> float:
        """√q̃μ of the data expected without signal, whose best strength is zero."""
        fit = self._fit(self.asimov, self.null.parameters, mu)
        return float(np.sqrt(max(2.0 * fit.values[0], 0.0)))

    def cls(self, mu: float) -> float:
        """Observed CLs; arXiv:1007.1727, equations 65 and 66."""
        root, asimov = np.sqrt(self.test_statistic(mu)), self.asimov_root(mu)
        distance = (root, root - asimov)
        if root > asimov > 0:
            distance = (
                0.5 * (root**2 + asimov**2) / asimov,
                0.5 * (root**2 - asimov**2) / asimov,
            )
        return float(np.exp(stats.norm.logsf(distance[0]) - stats.norm.logsf(distance[1])))

    def limits(self, level: float) -> tuple[float, Expected]:
        """Strengths at which CLs falls to a level: observed, and expected for the five `BANDS`.

        Raises:
            FitError: No strength is excluded, or a fit failed.
        """
        why = "the uncertainties are too large for a limit"
        # Equation 89 for CLs: the background that fluctuated by N σ has √q = √q_A − N.
        wanted = [stats.norm.isf(level * stats.norm.cdf(band)) + band for band in BANDS]
        first, second, third, fourth, fifth = (
            _crossing(lambda mu, root=root: self.asimov_root(mu) - root, why)  # type: ignore[misc]
            for root in wanted
        )
        seen, background = self.data.counts.sum(), self.likelihood.background.sum()
        observed = _crossing(
            lambda mu: float(np.log(level) - np.log(max(self.cls(mu), 1e-300))),
            f"{seen:.4g} events are observed where the background expects {background:.4g}: "
            "check that both are normalised alike",
        )
        return observed, (first, second, third, fourth, fifth)

    @property
    def p0(self) -> float:
        """Local p of background alone; arXiv:1007.1727, equations 12 and 52."""
        gain = float(self.null.values[0] - self.best.values[0]) if self.best.mu[0] > 0 else 0.0
        return float(stats.norm.sf(np.sqrt(max(2.0 * gain, 0.0))))

    def strength(self) -> tuple[float, float]:
        """Best signal strength, which may be negative, and its error from the likelihood's curvature.

        It is not taken below where the expectation of a bin would vanish, and stays at zero where there is
        no minimum below zero.
        """
        null, best = self.null.parameters, self.best
        lowest = self.likelihood.lowest(self.null, self.data)
        if best.mu[0] <= 0:
            with contextlib.suppress(FitError):
                best = self._fit(self.data, null, None, lowest=lowest)
        error = float(np.sqrt(np.abs(np.linalg.pinv(best.hessians[0])[0, 0])))
        mu, step = float(best.mu[0]), STEP * error
        # Beside the best strength, or above it where less than nothing would be expected below.
        first = mu - step if mu - step > max(lowest, 0.0) else mu
        values = [
            float(self._fit(self.data, best.parameters, first + i * step).values[0])
            for i in range(3)
        ]
        bend = values[0] - 2.0 * values[1] + values[2]
        mu = mu if abs(mu) > 1e-6 * error else 0.0
        return mu, step / float(np.sqrt(bend)) if bend > 0 else error

    def _fit(self, data: Data, start: Floats, mu: float | None, *, lowest: float = 0.0) -> Fits:
        what = "the data" if data is self.data else "the data expected without signal"
        return guarded_fit(self.likelihood, data, start, mu=mu, lowest=lowest, what=what)


def _crossing(rising: Callable[[float], float], why: str) -> float:
    """Where a function of the signal strength, which begins below zero and rises, becomes zero."""
    low, high = 0.0, 1.0
    while rising(high) < 0:
        low, high = high, 2.0 * high
        if high > LARGEST_MU:
            msg = (
                f"no signal up to {LARGEST_MU:g} times the size that the background suggests is "
                f"excluded: {why}"
            )
            raise FitError(msg)
    while low == 0.0 and rising(0.5 * high) >= 0:
        high *= 0.5
    return float(optimize.brentq(rising, low or 0.5 * high, high, rtol=ROOT_RTOL, xtol=1e-12))
