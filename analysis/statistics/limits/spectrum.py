"""Limits on a signal in a mass histogram: the background fitted or given, one mass or many."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from oddjet.analysis.statistics.background.fit import BackgroundFit, fit_sidebands
from oddjet.analysis.statistics.background.signal import gaussian_fractions
from oddjet.analysis.statistics.limits.inputs import LimitInputs, LimitSettings
from oddjet.analysis.statistics.limits.upper import Limit, upper_limit
from oddjet.analysis.statistics.spectrum import (
    Histogram,
    Spectrum,
    Window,
    check_same_edges,
    check_window,
)
from oddjet.errors import FitError
from oddjet.shown import Shown
from oddjet.typing import Floats

__all__ = ["SignalModel", "SpectrumLimit", "limit_inputs", "limit_spectrum"]


HALF_WINDOW = 3.0
"""Half the window [widths of the signal]: 0.3 % of a Gaussian are outside."""


@dataclasses.dataclass(frozen=True)
class SignalModel:
    """A signal hypothesis.

    Attributes:
        mass: Its mass [GeV].
        width: Its standard deviation [GeV]: of the Gaussian, and of the window.
        template: Its histogram, in the bins of the spectrum; a Gaussian without one.
    """

    mass: float
    width: float
    template: Spectrum | None = None

    def __post_init__(self) -> None:
        if not (np.isfinite(self.mass) and np.isfinite(self.width) and self.width > 0):
            msg = (
                "expected a signal with a mass and a width > 0 GeV, received "
                f"{self.mass:g} and {self.width:g}"
            )
            raise FitError(msg)

    @property
    def window(self) -> Window:
        """Where the signal is [GeV]."""
        half = HALF_WINDOW * self.width
        return (self.mass - half, self.mass + half)

    def shape(self, edges: Floats) -> Floats:
        """Fraction of the signal in each bin, shape (n_bins,)."""
        if self.template is None:
            return gaussian_fractions(edges, mass=self.mass, width=self.width)
        template = self.template.checked(is_data=False)
        check_same_edges(template.edges, edges, f"the signal template {self.template.name}")
        total = float(template.counts.sum())
        if total <= 0:
            msg = f"the signal template {self.template.name} has no events"
            raise FitError(msg)
        return template.counts / total

    def yield_or(self, reference: float) -> float:
        """Events at μ = 1: the template's sum, or a reference without one."""
        return reference if self.template is None else float(self.template.counts.sum())


@dataclasses.dataclass(frozen=True)
class SpectrumLimit(Shown):
    """A limit with the background it rests on.

    Attributes:
        limit: The limit.
        fit: The sideband fit; None with a given background.
    """

    limit: Limit
    fit: BackgroundFit | None = None

    def to_dict(self) -> dict[str, Any]:
        """Every number, ready for JSON."""
        fit = None if self.fit is None else self.fit.to_dict()
        return {**self.limit.to_dict(), "background_fit": fit}


def limit_spectrum(
    spectrum: Histogram,
    signals: Sequence[SignalModel],
    *,
    background: Histogram | None = None,
    settings: LimitSettings | None = None,
) -> tuple[SpectrumLimit, ...]:
    """Set a limit on each of some signals.

    Args:
        spectrum: The mass spectrum, as `Spectrum` or any UHI histogram.
        signals: The hypotheses.
        background: Expected background with variances, in the same bins; fitted without one.
        settings: How.

    Raises:
        FitError: The spectrum or background is not fit for it, or a fit failed.
    """
    chosen = settings or LimitSettings()
    results = []
    for signal in signals:
        inputs, fit = limit_inputs(spectrum, signal, background=background, settings=chosen)
        results.append(SpectrumLimit(upper_limit(inputs, chosen), fit))
    return tuple(results)


def limit_inputs(
    histogram: Histogram,
    signal: SignalModel,
    *,
    background: Histogram | None = None,
    settings: LimitSettings,
) -> tuple[LimitInputs, BackgroundFit | None]:
    """Gather what one limit is computed from.

    With a fitted background the model has the bins under the signal's window alone: the sidebands
    were used up by the fit, whose covariance stands for them. With a given background it has all
    bins. While blinded, bins under the window are replaced by NaN before anything is computed.

    Args:
        histogram: The mass spectrum, as `Spectrum` or any UHI histogram.
        signal: The hypothesis.
        background: Expected background with variances, in the same bins; fitted without one.
        settings: How.

    Returns:
        The inputs, and the sideband fit where there was one.

    Raises:
        FitError: The spectrum or background is not fit for it, or the fit failed.
    """
    blind = None if settings.unblind or not settings.is_data else signal.window
    spectrum = Spectrum.from_histogram(histogram)
    check_window(spectrum.edges, signal.window, name="signal window (mass ± 3 widths)")
    data = Spectrum.from_histogram(spectrum, is_data=settings.is_data, blind_window=blind)
    shape = signal.shape(data.edges)
    fit, covariance, variances = None, None, None
    if background is None:
        fit = fit_sidebands(data, window=signal.window, function=settings.function)
        data, use, expected = fit.data, fit.in_window, fit.expected
        covariance = fit.bin_covariance[np.ix_(use, use)]
    else:
        data, use = data.checked(), np.ones(data.n_bins, np.bool_)
        given = Spectrum.from_histogram(background, is_data=False).checked()
        check_same_edges(given.edges, data.edges, f"the background {given.name}")
        expected, variances = given.counts, given.sumw2
    first, last = np.flatnonzero(use)[[0, -1]]
    spread = expected[use] + (0.0 if covariance is None else np.diag(covariance))
    inputs = LimitInputs(
        edges=data.edges[first : last + 2],
        observed=data.counts[use] if settings.unblind else None,
        background=expected[use],
        signal_shape=shape[use],
        mass=signal.mass,
        signal_yield=signal.yield_or(_reference_yield(spread, shape[use])),
        background_covariance=covariance,
        background_variances=variances,
        systematics=settings.systematics,
    )
    return inputs, fit


def _reference_yield(variances: Floats, shape: Floats) -> float:
    """Two σ of the best estimator of the yield, and three events: about the expected limit."""
    filled = variances > 0
    information = float(np.sum(shape[filled] ** 2 / variances[filled]))
    return 3.0 + (2.0 / np.sqrt(information) if information > 0 else 0.0)
