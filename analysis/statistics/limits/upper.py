"""The CLs upper limit of one model: asymptotic where events are many, from toys where they are few."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from scipy import stats

from oddjet.analysis.statistics.limits.asymptotic import Asymptotic, Expected
from oddjet.analysis.statistics.limits.inputs import (
    DEFAULT_TOYS,
    LOW_COUNT,
    Inputs,
    LimitSettings,
)
from oddjet.analysis.statistics.limits.likelihood import Likelihood
from oddjet.analysis.statistics.limits.toys import Progress, Toys

__all__ = ["Limit", "Progress", "choose_toys", "fit_asymptotically", "upper_limit"]


@dataclasses.dataclass(frozen=True)
class Limit:
    """An upper limit on the yield of a signal.

    Attributes:
        expected: Limits on μ at −2, −1, 0, +1, +2 σ of the background. While blinded they come
            from the background estimate alone; else from the nuisance parameters fitted to data.
        observed: Limit on μ; None while blinded.
        mu_hat: Best signal strength, may be negative; None while blinded.
        mu_error: Its uncertainty.
        p0: Local p of background alone against q0; None while blinded.
        n_toys: Toys at each signal strength; 0 for the asymptotic formulae.
        expected_errors: Monte-Carlo errors of `expected` from the number of toys; None without toys.
        observed_error: The same of `observed`.
    """

    inputs: Inputs
    settings: LimitSettings
    expected: Expected
    observed: float | None = None
    mu_hat: float | None = None
    mu_error: float | None = None
    p0: float | None = None
    n_toys: int = 0
    expected_errors: Expected | None = None
    observed_error: float | None = None

    @property
    def mass(self) -> float:
        """Mass of the signal [GeV]."""
        return self.inputs.mass

    @property
    def significance(self) -> float | None:
        """Local significance of p0 [σ]; None while blinded."""
        return None if self.p0 is None else float(stats.norm.isf(self.p0))

    @property
    def method(self) -> str:
        """How it was computed, in words."""
        if not self.n_toys:
            return "CLs, asymptotic"
        why = ""
        if self.settings.n_toys is None:
            events = self.inputs.background_under_signal
            why = f", because {events:.3g} background events are expected under the signal"
        return f"CLs, {self.n_toys} toys a point{why}"

    @property
    def toy_error(self) -> str | None:
        """Relative Monte-Carlo errors of the limits, in words; None without toys."""
        if self.expected_errors is None:
            return None
        parts = [
            f"{100 * error / mu:.2g}"
            for error, mu in zip(self.expected_errors, self.expected, strict=True)
        ]
        words = f"expected {', '.join(parts)} % (−2 to +2 σ)"
        if self.observed is not None and self.observed_error is not None:
            words = f"observed {100 * self.observed_error / self.observed:.2g} %, {words}"
        return f"Monte-Carlo errors of the limits, from the number of toys: {words}"

    @property
    def mu_max(self) -> float:
        """Upper end of the signal strength for fits by other programs."""
        return 4.0 * max(self.expected[4], self.observed or 0.0)

    def in_events(self, mu: float) -> float:
        """Signal events in the whole spectrum at a signal strength."""
        return mu * self.inputs.signal_yield

    def in_pb(self, mu: float) -> float | None:
        """Cross section at a signal strength [pb]: N / (ε L), or that of the signal's template; None where unknown."""
        if self.inputs.cross_section_pb is not None:
            return mu * self.inputs.cross_section_pb
        efficiency, lumi_ifb = self.settings.efficiency, self.settings.lumi_ifb
        return None if lumi_ifb is None else self.in_events(mu) / (efficiency * lumi_ifb * 1000.0)

    def to_dict(self) -> dict[str, Any]:
        """Every number, ready for JSON."""

        def shown(mu: float | None) -> dict[str, float | None] | None:
            if mu is None:
                return None
            return {"mu": mu, "events": self.in_events(mu), "cross_section_pb": self.in_pb(mu)}

        names = ("minus_2_sigma", "minus_1_sigma", "median", "plus_1_sigma", "plus_2_sigma")
        bands = zip(names, self.expected, strict=True)
        errors = None
        if self.expected_errors is not None:
            errors = {"observed": shown(self.observed_error)}
            errors |= {n: shown(e) for n, e in zip(names, self.expected_errors, strict=True)}
        return {
            "mass": self.mass,
            "cl": self.settings.cl,
            "method": self.method,
            "blinded": self.observed is None,
            "observed": shown(self.observed),
            "expected": {name: shown(mu) for name, mu in bands},
            "toy_errors": errors,
            "best_fit": shown(self.mu_hat),
            "best_fit_error": shown(self.mu_error),
            "p0": self.p0,
            "local_significance": self.significance,
            "lumi_ifb": self.settings.lumi_ifb,
            "efficiency": self.settings.efficiency,
            "inputs": self.inputs.to_dict(),
        }


def upper_limit(
    inputs: Inputs, settings: LimitSettings | None = None, *, progress: Progress | None = None
) -> Limit:
    """Compute the CLs upper limit on a signal, with q̃μ as test statistic.

    The asymptotic formulae take a fraction of a second. Where few events are expected under the signal, toys replace
    them by the rule of `LimitSettings.n_toys`, with Monte-Carlo errors: some seconds to a minute.

    Args:
        inputs: Spectrum, signal, background and systematics.
        settings: Confidence level, toys, luminosity.
        progress: Called with the parts done and their number, where toys are thrown.

    Raises:
        FitError: A fit failed, or no signal strength is excluded.
    """
    chosen = settings or LimitSettings()
    asymptotic = fit_asymptotically(inputs)
    level, n_toys = 1.0 - chosen.cl, choose_toys(inputs, chosen)
    guess = asymptotic.limits(level)
    unit = inputs.reference_yield / inputs.signal_yield
    toys = Toys(asymptotic, n_toys, chosen.seed, progress) if n_toys else None
    if toys is None:
        observed, expected = unit * guess[0], _scaled(guess[1], unit)
        limit = Limit(inputs, chosen, expected)
    else:
        seen, *bands = toys.limits(level, guess)
        observed = unit * seen.mu
        limit = Limit(
            inputs,
            chosen,
            _scaled([band.mu for band in bands], unit),
            n_toys=n_toys,
            expected_errors=_scaled([band.error for band in bands], unit),
            observed_error=None if inputs.observed is None else unit * seen.error,
        )
    if inputs.observed is None:
        return limit
    mu, error = asymptotic.strength()
    p0 = asymptotic.p0 if toys is None else toys.p0
    return dataclasses.replace(
        limit, observed=observed, mu_hat=unit * mu, mu_error=unit * error, p0=p0
    )


def _scaled(values: Sequence[float], unit: float) -> Expected:
    first, second, third, fourth, fifth = (unit * value for value in values)
    return first, second, third, fourth, fifth


def choose_toys(inputs: Inputs, settings: LimitSettings) -> int:
    """Toys at each signal strength; 0 for the asymptotic formulae. See `LimitSettings.n_toys`."""
    if settings.n_toys is not None:
        return settings.n_toys
    return DEFAULT_TOYS if inputs.background_under_signal < LOW_COUNT else 0


def fit_asymptotically(inputs: Inputs) -> Asymptotic:
    """Fit the data of some inputs, with signal strengths in units of their reference yield.

    Raises:
        FitError: A fit failed.
    """
    channel = inputs.channel(signal_yield=inputs.reference_yield)
    likelihood = Likelihood(channel, free=inputs.free)
    return Asymptotic(likelihood, likelihood.data(channel.data))
