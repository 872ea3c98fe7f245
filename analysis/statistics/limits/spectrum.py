"""Limits on a signal in a mass histogram: the background fitted or given, one mass or many."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from oddjet.analysis.statistics.background.fit import BackgroundFit, fit_sidebands
from oddjet.analysis.statistics.background.methods import WORST_P
from oddjet.analysis.statistics.background.signal import gaussian_fractions
from oddjet.analysis.statistics.limits.agreement import Agreement, compare_background
from oddjet.analysis.statistics.limits.inputs import LimitInputs, LimitSettings
from oddjet.analysis.statistics.limits.passfail import PassFailInputs
from oddjet.analysis.statistics.limits.templates import function_modes
from oddjet.analysis.statistics.limits.upper import Limit, Progress, upper_limit
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
LEAST_INSIDE = 0.5
"""A template with less of its events inside the window is one of another mass."""
FAR_BELOW = 3.0
"""A best fit so many errors below zero is not one of a background that is known [σ]."""
WINDOW_NAME = "signal window (mass ± 3 widths)"


@dataclasses.dataclass(frozen=True)
class SignalModel:
    """A signal hypothesis.

    Attributes:
        mass: Its mass [GeV].
        width: Its standard deviation [GeV]: of the Gaussian, and of the window.
        template: Its histogram, in the bins of the spectrum, at least half of it inside the window; a
            Gaussian without one.
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

    @property
    def notes(self) -> tuple[str, ...]:
        """Say that statistical errors of the template are not used, and their size."""
        template = self.template
        if template is None or template.variances is None or not template.variances.any():
            return ()
        size = float(np.sqrt(template.variances.sum()) / template.counts.sum())
        what = "statistical errors of the signal template are not used"
        return (f"{self.mass:g} GeV: {what}: {100 * size:.2g} % of all its events, more in a bin",)

    def shape(self, edges: Floats) -> Floats:
        """Fraction of the signal in each bin, shape (n_bins,)."""
        if self.template is None:
            return gaussian_fractions(edges, mass=self.mass, width=self.width)
        template = self.template.checked(is_data=False, errors=False)
        check_same_edges(template.edges, edges, f"the signal template {self.template.name}")
        total = float(template.counts.sum())
        if total <= 0:
            msg = f"the signal template {self.template.name} has no events"
            raise FitError(msg)
        shape = template.counts / total
        inside = float(shape[check_window(edges, self.window, name=WINDOW_NAME)].sum())
        if inside < LEAST_INSIDE:
            msg = (
                f"{100 * inside:.2g} % of the signal template {self.template.name} is inside "
                f"[{self.window[0]:g}, {self.window[1]:g}) GeV, mass ± 3 widths: expected {100 * LEAST_INSIDE:g} % or "
                f"more. The template's mean is {float(shape @ template.centres):.4g} GeV: give its own mass and width"
            )
            raise FitError(msg)
        return shape

    def yield_or(self, reference: float) -> float:
        """Events at μ = 1: the template's sum, or a reference without one."""
        return reference if self.template is None else float(self.template.counts.sum())


@dataclasses.dataclass(frozen=True)
class SpectrumLimit(Shown):
    """A limit with the background it rests on.

    Attributes:
        fit: The sideband fit; None with a given background.
        caveats: What was accepted of the files that its histograms were filled from.
        given: A given background against the data beside the window; None where it was fitted.
        notes: What was not used, a sentence each.
        name: What the signal is called; empty where its mass says it.
    """

    limit: Limit
    fit: BackgroundFit | None = None
    caveats: tuple[str, ...] = ()
    given: Agreement | None = None
    notes: tuple[str, ...] = ()
    name: str = ""

    @property
    def label(self) -> str:
        """How the signal is called in tables."""
        return self.name or f"{self.limit.mass:g} GeV"

    @property
    def flags(self) -> tuple[str, ...]:
        """What speaks against the limit, a sentence each; none where nothing does."""
        limit, fit, given, flags = self.limit, self.fit, self.given, []
        if fit is not None and fit.p_value < WORST_P:
            flags.append(
                f"the function {fit.name} does not describe the sidebands "
                f"(goodness of fit p = {fit.p_value:.2g}): no limit from it holds"
            )
        if given is not None and given.p_value < WORST_P:
            flags.append(
                f"the given background does not describe what is beside the signal: {given.observed:g} events were "
                f"seen, {given.expected:.5g} ± {given.error:.2g} expected (p = {given.p_value:.2g}): no limit with "
                "it holds. It must be events a bin, normalised to the spectrum"
            )
        shares = limit.inputs if isinstance(limit.inputs, PassFailInputs) else None
        if shares is not None and shares.goodness_p < WORST_P:
            flags.append(
                "jets that fail times a smooth ratio do not describe those that pass (goodness of fit "
                f"p = {shares.goodness_p:.2g}): no limit from them holds. Allow more powers of mass (`hunt.orders`), or "
                "look for a peak that is no signal"
            )
        if limit.mu_hat is not None and limit.mu_hat < -FAR_BELOW * (limit.mu_error or np.inf):
            flags.append(
                f"the best fit of the signal is {limit.in_events(limit.mu_hat):.3g} ± "
                f"{limit.in_events(limit.mu_error or 0.0):.2g} events, far below zero: the background "
                "is too high under the signal, so that the limit is too low"
            )
        return tuple(f"{self.label}: {flag}" for flag in flags)

    def to_dict(self) -> dict[str, Any]:
        """Every number, ready for JSON."""
        fit = None if self.fit is None else self.fit.to_dict()
        given = None if self.given is None else self.given.to_dict()
        said = {name: list(getattr(self, name)) for name in ("caveats", "flags", "notes")}
        return {
            "name": self.name,
            **self.limit.to_dict(),
            "background_fit": fit,
            "given_background": given,
            **said,
        }


def limit_spectrum(
    spectrum: Histogram,
    signals: Sequence[SignalModel],
    *,
    background: Histogram | None = None,
    settings: LimitSettings | None = None,
    progress: Progress | None = None,
) -> tuple[SpectrumLimit, ...]:
    """Set a limit on each of some signals.

    Args:
        spectrum: The mass spectrum, as `Spectrum` or any UHI histogram.
        signals: The hypotheses.
        background: Expected background with variances, in the same bins; fitted without one.
        settings: How.
        progress: Called with the parts done and their number, over all signals.

    Raises:
        FitError: The spectrum or background is not fit for it, a fit failed, or one template is given for
            several masses.
    """
    chosen = settings or LimitSettings()
    _check_templates(signals)
    results = []
    for i, signal in enumerate(signals):

        def report(done: int, total: int, i: int = i) -> None:
            if progress is not None:
                progress(i * total + done, len(signals) * total)

        inputs, fit = limit_inputs(spectrum, signal, background=background, settings=chosen)
        caveats = _caveats(spectrum, background, signal.template)
        given = None if background is None else _compare(spectrum, background, signal, chosen)
        result = upper_limit(inputs, chosen, progress=report)
        notes = (*_notes(spectrum, signal, chosen), *signal.notes)
        results.append(SpectrumLimit(result, fit, caveats, given, notes))
        report(1, 1)
    return tuple(results)


def _caveats(*histograms: Histogram | None) -> tuple[str, ...]:
    given = [Spectrum.from_histogram(h) for h in histograms if h is not None]
    return tuple(dict.fromkeys(caveat for spectrum in given for caveat in spectrum.caveats))


def _notes(spectrum: Histogram, signal: SignalModel, settings: LimitSettings) -> tuple[str, ...]:
    """What lies outside the range, and what of the errors is not used; blinded bins are not looked at."""
    window = None if settings.unblind or not settings.is_data else signal.window
    seen = Spectrum.from_histogram(spectrum, is_data=settings.is_data, blind_window=window)
    return tuple(note for note in (seen.flow_note, seen.errors_note) if note)


def _compare(
    spectrum: Histogram, background: Histogram, signal: SignalModel, settings: LimitSettings
) -> Agreement:
    return compare_background(
        spectrum, background, signal.window, is_data=settings.is_data, seed=settings.seed
    )


def _check_templates(signals: Sequence[SignalModel]) -> None:
    """Refuse one template for several masses: it has one."""
    masses: dict[bytes, float] = {}
    for signal in signals:
        if signal.template is None:
            continue
        first = masses.setdefault(signal.template.counts.tobytes(), signal.mass)
        if first != signal.mass:
            msg = (
                f"the signal template {signal.template.name} is given for {first:g} GeV and for "
                f"{signal.mass:g} GeV: a template has one mass. Give one mass at a time, each with its own template, or "
                "no template for a Gaussian"
            )
            raise FitError(msg)


def _check_visible(spectrum: Spectrum, settings: LimitSettings) -> None:
    """Refuse an observed limit on data of which masses are not in the file."""
    if spectrum.blind_window is None or not settings.unblind:
        return
    low, high = spectrum.blind_window
    msg = (
        f"{spectrum.name or 'the spectrum'}: {low:g}–{high:g} GeV of the data are blinded and not in the file, so no "
        "limit is observed. Leave --unblind out (unblind=False in Python) for the expected one; or unblind the run that "
        "the file is of (`oddjet run … --unblind`), which fills it again"
    )
    raise FitError(msg)


def limit_inputs(
    histogram: Histogram,
    signal: SignalModel,
    *,
    background: Histogram | None = None,
    settings: LimitSettings,
) -> tuple[LimitInputs, BackgroundFit | None]:
    """Gather what one limit is computed from.

    The model has all bins. A function of the background is chosen beside the signal's window; in the likelihood
    its parameters are free, so that sidebands and window are fitted together, no event is used twice, and few
    events are described as well as many. While blinded, bins under the window are replaced by NaN
    before anything is computed, and the data of the model are what the fit expects.

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
    _check_visible(spectrum, settings)
    check_window(spectrum.edges, signal.window, name=WINDOW_NAME)
    data = Spectrum.from_histogram(spectrum, is_data=settings.is_data, blind_window=blind)
    shape = signal.shape(data.edges)
    fit, modes, variances = None, None, None
    if background is None:
        fit = fit_sidebands(data, window=signal.window, function=settings.function)
        data, expected, modes = fit.data, fit.expected, function_modes(fit)
    else:
        data = data.checked()
        given = Spectrum.from_histogram(background, is_data=False).checked()
        check_same_edges(given.edges, data.edges, f"the background {given.name}")
        expected, variances = given.counts, given.sumw2
    inputs = LimitInputs(
        edges=data.edges,
        observed=data.counts if settings.unblind else None,
        background=expected,
        signal_shape=shape,
        mass=signal.mass,
        signal_yield=signal.yield_or(1.0),
        background_modes=modes,
        modes_are_free=modes is not None,
        background_variances=variances,
        systematics=settings.systematics,
    )
    if signal.template is None:
        inputs = dataclasses.replace(inputs, signal_yield=inputs.reference_yield)
    return inputs, fit
