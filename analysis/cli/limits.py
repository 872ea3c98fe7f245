"""The command `oddjet limit`."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path
from typing import Annotated

import typer

from oddjet.analysis.cli.console import RichReporter
from oddjet.analysis.cli.options import (
    MassRange,
    OfScores,
    chosen,
    refuse_given,
    spread_options,
)
from oddjet.analysis.cli.results import print_result
from oddjet.analysis.config import read_settings
from oddjet.analysis.pipeline.limits import limit_scores
from oddjet.analysis.pipeline.looks import check_file, record_limit
from oddjet.analysis.pipeline.steps import UNUSED_BY_HUNT, hunt_scores
from oddjet.analysis.report.figures.style import PlotLabel
from oddjet.analysis.report.sections.limits import limits_section
from oddjet.analysis.report.write import write_limits
from oddjet.analysis.statistics.exchange.histogram_files import read_histogram
from oddjet.analysis.statistics.limits.inputs import LimitSettings, Systematics
from oddjet.analysis.statistics.limits.spectrum import (
    SignalModel,
    SpectrumLimit,
    limit_spectrum,
)
from oddjet.analysis.statistics.spectrum import Spectrum
from oddjet.bounds import LARGEST_SEED, MOST_TOYS
from oddjet.errors import FitError

__all__ = ["limit"]

_log = logging.getLogger(__name__)


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


@dataclasses.dataclass(frozen=True)
class OfHistogram:
    """What a limit in a histogram takes."""

    background: Annotated[
        str | None, typer.Option(metavar="FILE:HIST", help="Expected background; fitted without.")
    ] = None
    signal: Annotated[
        str | None,
        typer.Option(metavar="FILE:HIST", help="Template, for one mass; else a Gaussian."),
    ] = None
    mass_range: MassRange = None


@spread_options
def limit(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SCORES|FILE[:HIST]",
            help="A scores table; or a mass histogram: ROOT or UHI JSON; of several axes `FILE:HIST?AXIS=VALUE&...`.",
        ),
    ],
    masses: Annotated[
        list[float], typer.Option("--mass", help="Mass of the signal [GeV]; repeatable.")
    ],
    width: Annotated[float, typer.Option(help="Its standard deviation [GeV].")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder to write to.")],
    choices: Choices,
    sizes: Sizes,
    of_histogram: OfHistogram,
    of_scores: OfScores,
) -> None:
    """Set a CLs limit on a signal; write the model for pyhf and Combine as well.

    In a scores table jets that pass the tightest cut are fitted together with jets that fail it, on a Gaussian of each mass, and
    on each signal of the table from all cuts. In a mass histogram the background is a function, or given.
    """
    settings = choices.settings(Systematics(*dataclasses.astuple(sizes)))
    if Path(source).is_dir():
        refuse_given(
            of_histogram, "a histogram", "in a scores table signals of its fileset are taken"
        )
        results = _limit_scores(
            Path(source), of_scores, [SignalModel(m, width) for m in masses], settings
        )
    else:
        refuse_given(of_scores, "a scores table", "a histogram is taken as it is")
        results = _limit_histogram(source, of_histogram, masses, width, settings)
    label = PlotLabel("simulation" if choices.simulation else "data")
    written = write_limits(output, results, label=label)
    print_result(limits_section(results), written)


def _limit_scores(
    scores: Path, options: OfScores, signals: list[SignalModel], settings: LimitSettings
) -> tuple[SpectrumLimit, ...]:
    """Hunt in the table and set limits.

    Raises:
        FitError: No limit could be set.
    """
    flags = {"unblind": settings.unblind, "pseudo_data": options.pseudo_data}
    changes = chosen(options.settings, flags)
    analysis = read_settings(options.config, changes, output=scores, unused=UNUSED_BY_HUNT)
    hunt = hunt_scores(analysis, scores, options.columns or ())
    results, problems = limit_scores(analysis, scores, hunt, gaussians=signals, how=settings)
    if not results:
        raise FitError("; ".join(problems))
    for problem in problems:
        _log.warning(problem)
    return results


def _limit_histogram(
    source: str, options: OfHistogram, masses: list[float], width: float, settings: LimitSettings
) -> tuple[SpectrumLimit, ...]:
    def read(name: str) -> Spectrum:
        check_file(name)
        histogram = read_histogram(name)
        within = options.mass_range
        return histogram if within is None else histogram.within(*within)

    spectrum = read(source)
    template = None if options.signal is None else read(options.signal)
    expected = None if options.background is None else read(options.background)
    with RichReporter().track("Limits", len(masses), "strengths") as progress:
        results = limit_spectrum(
            spectrum,
            [SignalModel(mass, width, template) for mass in masses],
            background=expected,
            settings=settings,
            progress=progress,
        )
    if settings.unblind:
        asked = {"masses": masses, "width": width, "signal": options.signal}
        asked |= {"background": options.background, "range": options.mass_range}
        record_limit(source, {**asked, "function": settings.function})
    return results
