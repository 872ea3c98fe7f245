"""The section of the limits."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from oddjet.analysis.report.figures.limits import limit_band, signal_at_limit
from oddjet.analysis.report.figures.style import PlotLabel
from oddjet.analysis.report.page import Cell, Picture, Section, Table, p_text
from oddjet.analysis.statistics.limits.inputs import Systematics
from oddjet.analysis.statistics.limits.passfail import PassFailInputs
from oddjet.analysis.statistics.limits.spectrum import SpectrumLimit
from oddjet.analysis.statistics.limits.upper import Limit

__all__ = ["limits_section", "spectrum_picture"]

HEADERS = (
    "Mass [GeV]",
    "Expected events",
    "68 %",
    "95 %",
    "Observed events",
    "Expected σ [pb]",
    "Observed σ [pb]",
    "Best fit [events]",
    "Local p",
)

SHARES = (
    "After a cut on a decorrelated score, jets that pass and jets that fail are fitted together, and how the map of the cut "
    "may be off is in the fit: the jets that fail are free in each bin of mass, and those that pass are these times a smooth "
    "ratio. A signal of simulation has its own shares of jets that pass and fail, and its events are all of its jets in the "
    "range; of a Gaussian only jets that pass are counted."
)


def limits_section(
    results: Sequence[SpectrumLimit],
    *,
    label: PlotLabel | None = None,
    axis_label: str = "Jet mass [GeV]",
) -> Section:
    """Show the limits: a table, and a band over mass or the spectrum of a single mass."""
    limits = [result.limit for result in results]
    caveats = dict.fromkeys(caveat for result in results for caveat in result.caveats)
    warnings = (flag for result in results for flag in result.flags)
    settings = limits[0].settings
    named = any(result.name for result in results)
    headers = ("Signal", *HEADERS[1:]) if named else HEADERS
    caption = (
        f"Upper limits at {100 * settings.cl:g} % CL. The bands hold 68 % and 95 % of what "
        "background alone would give."
    )
    if any(limit.n_toys for limit in limits):
        caption += " Behind a limit from toys, ± is its Monte-Carlo error: of the number of toys."
    return Section(
        title="Limits",
        anchor="limits",
        paragraphs=(
            (
                "The limit is on the number of signal events in the whole spectrum. A fitted background is "
                "fitted again with each signal, in all bins; a given one enters with its "
                f"statistical errors. {_sizes(settings.systematics)}"
            ),
            *([SHARES] if any(isinstance(x.inputs, PassFailInputs) for x in limits) else []),
        ),
        warnings=(*caveats, *warnings),
        statements=tuple(dict.fromkeys(text for result in results for text in _statements(result))),
        tables=(Table(headers, tuple(_row(result) for result in results), caption),),
        pictures=_pictures(results, label, axis_label),
        numbers=[result.to_dict() for result in results],
    )


def _sizes(sizes: Systematics) -> str:
    """Name the uncertainties with their sizes: defaults are nobody's measurement."""
    return (
        f"Uncertainties of the signal: luminosity {100 * sizes.luminosity:g} %, jet mass scale "
        f"{100 * sizes.mass_scale:g} %, jet mass resolution {100 * sizes.mass_resolution:g} %, tagger efficiency "
        f"{100 * sizes.tagger_efficiency:g} %; spurious signal {sizes.spurious_signal:g} events."
    )


def _statements(result: SpectrumLimit) -> list[str]:
    limit, fit, given = result.limit, result.fit, result.given
    statements = [f"{result.label}: {limit.method}"]
    if limit.toy_error is not None:
        statements.append(f"{result.label}: {limit.toy_error}")
    if fit is not None:
        statements.append(
            f"{result.label}: {fit.predicted:.5g} ± {fit.predicted_error:.2g} background in the window from "
            f"{fit.name}, goodness of fit p = {p_text(fit.p_value)}"
        )
    if given is not None:
        beside = "no bin is there, so it is not tested"
        if given.n_bins:
            beside = (
                f"{given.observed:g} events seen, {given.expected:.5g} ± {given.error:.2g} expected, "
                f"p = {p_text(given.p_value)}"
            )
        statements.append(f"{result.label}: the given background beside the window: {beside}")
    statements += result.notes
    if limit.inputs.left_out:
        statements.append(
            f"{result.label}: left out, because no background is expected there: "
            f"{', '.join(limit.inputs.left_out)}"
        )
    return statements


def _row(result: SpectrumLimit) -> tuple[Cell, ...]:
    limit = result.limit
    events = [limit.in_events(mu) for mu in limit.expected]
    blinded = "blinded"
    seen, cross_section, best, p0 = (blinded, blinded, blinded, blinded)
    if limit.observed is not None and limit.mu_hat is not None:
        seen = _events(limit, limit.observed, limit.observed_error)
        cross_section = _pb(limit, limit.observed)
        error = limit.in_events(limit.mu_error or 0.0)
        best = f"{limit.in_events(limit.mu_hat):.3g} ± {error:.2g}"
        p0 = p_text(limit.p0 or 0.0)
    return (
        result.name or f"{limit.mass:g}",
        _events(limit, limit.expected[2], limit.expected_errors and limit.expected_errors[2]),
        f"{events[1]:.3g} – {events[3]:.3g}",
        f"{events[0]:.3g} – {events[4]:.3g}",
        seen,
        _pb(limit, limit.expected[2]),
        cross_section,
        best,
        p0,
    )


def _events(limit: Limit, mu: float, error: float | None) -> str:
    """Events of a limit, with its Monte-Carlo error where it comes from toys."""
    words = f"{limit.in_events(mu):.4g}"
    return words if error is None else f"{words} ± {limit.in_events(error):.2g}"


def _pb(limit: Limit, mu: float) -> str:
    value = limit.in_pb(mu)
    return "–" if value is None else f"{value:.4g}"


def _pictures(
    results: Sequence[SpectrumLimit], label: PlotLabel | None, axis_label: str
) -> tuple[Picture, ...]:
    if len(results) == 1 or any(result.name for result in results):
        return tuple(
            spectrum_picture(
                r.limit,
                name=r.label if len(results) > 1 else r.name,
                label=label,
                axis_label=axis_label,
            )
            for r in results
        )
    band = Picture(
        partial(limit_band, [result.limit for result in results], label=label),
        "Upper limits over the mass of the signal.",
        hint="an observed line above the bands is an excess there, below them a deficit.",
        alt="Limits over mass",
        name="limits",
    )
    return (band,)


def spectrum_picture(
    limit: Limit,
    *,
    name: str = "",
    label: PlotLabel | None = None,
    axis_label: str = "Jet mass [GeV]",
) -> Picture:
    """Show the spectrum that a limit was set on, with a signal, of a name or of its mass, at the limit."""
    return Picture(
        partial(signal_at_limit, limit, axis_label=axis_label, label=label),
        f"The bins of the model {f'of {name}' if name else f'at {limit.mass:g} GeV'}, with a signal at its limit.",
        hint="a signal above the red line is excluded.",
        alt="Signal at its limit",
        name=f"limit_{name}" if name else "limit",
    )
