"""The command `oddjet limit`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from oddjet.analysis.cli.console import err, exit_on_error, print_section, print_written

if TYPE_CHECKING:
    from oddjet.analysis.statistics.exchange import MassHistogram

__all__ = ["register"]


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
    from oddjet.analysis.report.sections.limits import limits_section  # noqa: PLC0415
    from oddjet.analysis.report.write import write_limits  # noqa: PLC0415
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
    print_section(limits_section(results))
    print_written(written)
