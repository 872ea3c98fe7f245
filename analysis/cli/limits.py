"""The command `oddjet limit`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from oddjet.analysis.cli.console import err, exit_on_error, out

if TYPE_CHECKING:
    from oddjet.analysis.statistics.exchange import MassHistogram
    from oddjet.analysis.statistics.limits import Limit, SpectrumLimit

__all__ = ["register"]

POOR_FIT = 0.01


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(limit)


def limit(
    source: Annotated[
        str,
        typer.Argument(
            metavar="FILE[:HIST]",
            help="A mass histogram: ROOT or UHI JSON; of several axes `FILE:HIST?AXIS=VALUE&...`.",
        ),
    ],
    masses: Annotated[
        list[float], typer.Option("--mass", help="Mass of the signal [GeV]; repeatable.")
    ],
    width: Annotated[float, typer.Option(help="Its standard deviation [GeV].")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder to write to.")],
    background: Annotated[
        str | None, typer.Option(metavar="FILE:HIST", help="Expected background; fitted without.")
    ] = None,
    signal: Annotated[
        str | None, typer.Option(metavar="FILE:HIST", help="Signal template; else a Gaussian.")
    ] = None,
    function: Annotated[str, typer.Option(help="Background function, or `auto`.")] = "exppoly6",
    mass_range: Annotated[
        tuple[float, float] | None,
        typer.Option("--range", metavar="LOW HIGH", help="Use these masses alone [GeV]."),
    ] = None,
    simulation: Annotated[
        bool, typer.Option("--simulation", help="The spectrum is weighted simulation.")
    ] = False,
    unblind: Annotated[bool, typer.Option("--unblind", help="Look under the signal.")] = False,
    lumi: Annotated[float | None, typer.Option(help="Luminosity [1/fb], for σ.")] = None,
    efficiency: Annotated[float, typer.Option(help="Fraction of signal in the spectrum.")] = 1.0,
    lumi_error: Annotated[float, typer.Option(help="Relative, of the luminosity.")] = 0.016,
    mass_scale: Annotated[float, typer.Option(help="Relative, of the jet mass scale.")] = 0.01,
    mass_resolution: Annotated[float, typer.Option(help="Relative, of the width.")] = 0.10,
    tagger: Annotated[float, typer.Option(help="Relative, of the efficiency of the cut.")] = 0.10,
    spurious: Annotated[float, typer.Option(help="Spurious signal [events].")] = 0.0,
    cl: Annotated[float, typer.Option(help="Confidence level.")] = 0.95,
    toys: Annotated[int, typer.Option(min=0, help="Toys a point; 0: asymptotic.")] = 0,
    seed: Annotated[int, typer.Option(min=0, help="Fixes the toys.")] = 1,
) -> None:
    """Set a CLs limit on a signal in a mass histogram; write it for pyhf and Combine as well."""
    from oddjet.analysis.report.figures.style import PlotLabel  # noqa: PLC0415
    from oddjet.analysis.report.limit_files import write_limits  # noqa: PLC0415
    from oddjet.analysis.statistics.exchange import read_histogram  # noqa: PLC0415 (slow import)
    from oddjet.analysis.statistics.limits import (  # noqa: PLC0415
        LimitSettings,
        SignalModel,
        Systematics,
        limit_spectrum,
    )

    with exit_on_error():
        settings = LimitSettings(
            function=function,
            is_data=not simulation,
            unblind=unblind,
            systematics=Systematics(lumi_error, mass_scale, mass_resolution, tagger, spurious),
            cl=cl,
            n_toys=toys,
            seed=seed,
            lumi_ifb=lumi,
            efficiency=efficiency,
        )

        def read(name: str) -> MassHistogram:
            histogram = read_histogram(name)
            return histogram if mass_range is None else histogram.within(*mass_range)

        spectrum = read(source)
        template = None if signal is None else read(signal)
        if spectrum.flow_note:
            err.print(spectrum.flow_note, markup=False, highlight=False, soft_wrap=True)
        results = limit_spectrum(
            spectrum,
            [SignalModel(mass, width, template) for mass in masses],
            background=None if background is None else read(background),
            settings=settings,
        )
        label = PlotLabel("simulation" if simulation else "data")
        written = write_limits(output, results, label=label)
    _print(results)
    out.print(f"written: [bold]{written[0]}[/] and {len(written) - 1} files", highlight=False)


def _print(results: Sequence[SpectrumLimit]) -> None:
    first = results[0].limit
    title = f"upper limits on signal events, {100 * first.cl:g} % CL (CLs)"
    table = Table(title=title, title_justify="left")
    headings = ["mass [GeV]", "expected (68 %)", "observed", "best fit", "local p"]
    if first.lumi_ifb is not None:
        headings += ["exp. [pb]", "obs. [pb]"]
    for heading in headings:
        table.add_column(heading, justify="right")
    for result in results:
        table.add_row(*_row(result.limit))
    out.print(table)
    for result in results:
        _print_fit(result)


def _row(limit: Limit) -> list[str]:
    low, middle, high = (_text(limit.in_events(mu)) for mu in limit.expected[1:4])
    row = [f"{limit.mass:g}", f"{middle} ({low}–{high})", "blinded", "blinded", "blinded"]
    observed, mu_hat, mu_error, p0 = limit.observed, limit.mu_hat, limit.mu_error, limit.p0
    if observed is not None and mu_hat is not None and mu_error is not None and p0 is not None:
        best = f"{_text(limit.in_events(mu_hat))} ± {_text(limit.in_events(mu_error))}"
        row[2:] = [_text(limit.in_events(observed)), best, f"{p0:.2g}"]
    if limit.lumi_ifb is not None:
        row.append(f"{limit.in_pb(limit.expected[2]):.3g}")
        row.append("blinded" if observed is None else f"{limit.in_pb(observed):.3g}")
    return row


def _text(events: float) -> str:
    return f"{events:.0f}" if 100 <= abs(events) < 1e6 else f"{events:.3g}"


def _print_fit(result: SpectrumLimit) -> None:
    fit, mass = result.fit, f"{result.limit.mass:g} GeV"
    if fit is None:
        return
    out.print(
        f"{mass}: {fit.predicted:.5g} ± {fit.predicted_error:.2g} background in the window from "
        f"{fit.name}, goodness of fit p = {fit.p_value:.2g}",
        highlight=False,
        soft_wrap=True,
    )
    if fit.p_value < POOR_FIT:
        err.print(
            f"{mass}: {fit.name} does not describe the sidebands: the limit does not hold",
            style="bold yellow",
            soft_wrap=True,
        )
