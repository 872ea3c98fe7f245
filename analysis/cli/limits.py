"""The command `oddjet limit`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from oddjet.analysis.cli.console import RichReporter
from oddjet.analysis.cli.options import MassRange, spread_options
from oddjet.analysis.cli.results import print_result
from oddjet.analysis.pipeline.looks import check_file, record_limit
from oddjet.analysis.report.figures.style import PlotLabel
from oddjet.analysis.report.sections.limits import limits_section
from oddjet.analysis.report.write import write_limits
from oddjet.analysis.statistics.exchange.histogram_files import read_histogram
from oddjet.analysis.statistics.limits.inputs import LimitSettings, Systematics
from oddjet.analysis.statistics.limits.spectrum import SignalModel, limit_spectrum
from oddjet.analysis.statistics.spectrum import Spectrum
from oddjet.bounds import LARGEST_SEED, MOST_TOYS

__all__ = ["limit"]


@dataclasses.dataclass(frozen=True)
class Choices:
    """How the limit is set."""

    function: Annotated[str, typer.Option(help="Background function, or `auto`.")] = "exppoly6"
    simulation: Annotated[
        bool, typer.Option("--simulation", help="The spectrum is weighted simulation.")
    ] = False
    unblind: Annotated[bool, typer.Option("--unblind", help="Look under the signal.")] = False
    lumi: Annotated[float | None, typer.Option(help="Luminosity [1/fb], for σ.")] = None
    efficiency: Annotated[float, typer.Option(help="Fraction of signal in the spectrum.")] = 1.0
    cl: Annotated[float, typer.Option(help="Confidence level.")] = 0.95
    toys: Annotated[
        int | None,
        typer.Option(
            min=0, max=MOST_TOYS, help="Toys a point; 0: asymptotic. Toys at few events without."
        ),
    ] = None
    seed: Annotated[int, typer.Option(min=0, max=LARGEST_SEED, help="Fixes the toys.")] = 1

    def settings(self, systematics: Systematics) -> LimitSettings:
        """Give the settings of the limit."""
        return LimitSettings(
            function=self.function,
            is_data=not self.simulation,
            unblind=self.unblind,
            systematics=systematics,
            cl=self.cl,
            n_toys=self.toys,
            seed=self.seed,
            lumi_ifb=self.lumi,
            efficiency=self.efficiency,
        )


@dataclasses.dataclass(frozen=True)
class Sizes:
    """Sizes of the systematic uncertainties."""

    lumi_error: Annotated[float, typer.Option(help="Relative, of the luminosity.")] = 0.016
    mass_scale: Annotated[float, typer.Option(help="Relative, of the jet mass scale.")] = 0.01
    mass_resolution: Annotated[float, typer.Option(help="Relative, of the width.")] = 0.10
    tagger: Annotated[float, typer.Option(help="Relative, of the efficiency of the cut.")] = 0.10
    spurious: Annotated[float, typer.Option(help="Spurious signal [events].")] = 0.0


@spread_options
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
    choices: Choices,
    sizes: Sizes,
    background: Annotated[
        str | None, typer.Option(metavar="FILE:HIST", help="Expected background; fitted without.")
    ] = None,
    signal: Annotated[
        str | None,
        typer.Option(metavar="FILE:HIST", help="Template, for one mass; else a Gaussian."),
    ] = None,
    mass_range: MassRange = None,
) -> None:
    """Set a CLs limit on a signal in a mass histogram; write it for pyhf and Combine as well."""

    def read(name: str) -> Spectrum:
        check_file(name)
        histogram = read_histogram(name)
        return histogram if mass_range is None else histogram.within(*mass_range)

    settings = choices.settings(Systematics(*dataclasses.astuple(sizes)))
    spectrum = read(source)
    template = None if signal is None else read(signal)
    expected = None if background is None else read(background)
    with RichReporter().track("Limits", len(masses), "strengths") as progress:
        results = limit_spectrum(
            spectrum,
            [SignalModel(mass, width, template) for mass in masses],
            background=expected,
            settings=settings,
            progress=progress,
        )
    if choices.unblind and not choices.simulation:
        asked = {"masses": masses, "width": width, "signal": signal, "background": background}
        record_limit(source, {**asked, "range": mass_range, "function": choices.function})
    label = PlotLabel("simulation" if choices.simulation else "data")
    written = write_limits(output, results, label=label)
    print_result(limits_section(results), written)
