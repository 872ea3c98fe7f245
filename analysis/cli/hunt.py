"""The command `oddjet hunt`."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path
from typing import Annotated

import typer

from oddjet.analysis.cli.options import (
    MassRange,
    OfScores,
    Unblind,
    chosen,
    refuse_given,
    spread_options,
)
from oddjet.analysis.cli.results import print_result
from oddjet.analysis.config import read_settings
from oddjet.analysis.pipeline.limits import limit_scores
from oddjet.analysis.pipeline.looks import hunt_in_file
from oddjet.analysis.pipeline.steps import UNUSED_BY_HUNT, hunt_scores
from oddjet.analysis.report.sections.hunt import histogram_section, scores_section
from oddjet.analysis.report.write import write_models, write_section
from oddjet.analysis.statistics.background import DEFAULT
from oddjet.analysis.statistics.bumphunt.settings import ScanSettings
from oddjet.bounds import LARGEST_SEED, MOST_TOYS, MOST_WORKERS
from oddjet.datasets.disk.validation import validate
from oddjet.errors import ConfigError

__all__ = ["hunt"]

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class OfHuntedScores(OfScores):
    """What a hunt in a scores table takes."""

    unblind: Unblind = False


@dataclasses.dataclass(frozen=True)
class OfHistogram:
    """What a hunt in a histogram takes."""

    background: Annotated[
        str | None,
        typer.Option(
            metavar="FILE:HIST",
            help="Of a histogram: its background, with Σw² as error; else fitted.",
        ),
    ] = None
    function: Annotated[
        str, typer.Option(help="Of a histogram: background function, a family, or `auto`.")
    ] = DEFAULT
    mass_range: MassRange = None
    widths: Annotated[
        tuple[int, int],
        typer.Option(metavar="MIN MAX", help="Of a histogram: widths of windows [bins]."),
    ] = (2, 8)
    signal_width: Annotated[
        float | None,
        typer.Option(help="Of a histogram: fit a Gaussian of this width instead [GeV]."),
    ] = None
    toys: Annotated[
        int, typer.Option(min=1, max=MOST_TOYS, help="Of a histogram: pseudo-experiments.")
    ] = 1000
    seed: Annotated[
        int, typer.Option(min=0, max=LARGEST_SEED, help="Of a histogram: fixes the toys.")
    ] = 1

    def scan(self) -> ScanSettings:
        """Give the settings of the scan."""
        values = {
            "range": self.mass_range,
            "function": self.function,
            "widths": self.widths,
            "signal_width": self.signal_width,
            "n_toys": self.toys,
            "seed": self.seed,
        }
        return validate(ScanSettings, values, where="oddjet hunt")


@spread_options
def hunt(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SCORES|FILE[:HIST]",
            help="A scores table; or a mass histogram, ROOT or UHI (JSON, zip), of any origin.",
        ),
    ],
    of_scores: OfHuntedScores,
    of_histogram: OfHistogram,
    workers: Annotated[
        int, typer.Option("-j", "--workers", min=1, max=MOST_WORKERS, help="Threads.")
    ] = 1,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            help="JSON file, models beside it; of a histogram: folder, with figures.",
        ),
    ] = None,
) -> None:
    """Scan a mass spectrum for a bump: local p, and global p over everything that was scanned.

    After cuts on decorrelated scores, jets that pass are compared with jets that fail, window by window;
    with --output the model of pass and fail is written for pyhf and Combine into a folder of the JSON file's name;
    else every window is tested against a function that is fitted beside it, in the data and in every
    pseudo-experiment. A histogram is scanned as a whole, unless it is of a run whose data are blinded: their
    signal window is not in its file.
    """
    if Path(source).is_dir():
        _hunt_scores(Path(source), of_scores, of_histogram, output, workers)
        return
    refuse_given(of_scores, "a scores table", "a histogram is scanned as it is")
    if of_histogram.background is not None and of_histogram.function != DEFAULT:
        msg = "--function is fitted where no background is given: give it, or --background"
        raise ConfigError(msg)
    result = hunt_in_file(
        source,
        of_histogram.scan(),
        background=of_histogram.background,
        workers=workers,
    )
    section = histogram_section(result)
    written = write_section(output, section) if output else []
    print_result(section, written)


def _hunt_scores(
    scores: Path,
    options: OfHuntedScores,
    of_histogram: OfHistogram,
    output: Path | None,
    workers: int,
) -> None:
    flags = {"unblind": options.unblind, "pseudo_data": options.pseudo_data}
    refuse_given(of_histogram, "a histogram", "in a scores table use --set, as in hunt.n_toys=500")
    changes = chosen(options.settings, flags)
    analysis = read_settings(options.config, changes, output=scores, unused=UNUSED_BY_HUNT)
    result = hunt_scores(analysis, scores, options.columns or (), output=output, workers=workers)
    written = []
    if output is not None and result.by_share:
        limits, problems = limit_scores(analysis, scores, result)
        for problem in problems:
            _log.warning(problem)
        written = write_models(output.with_suffix(""), limits)
    print_result(scores_section(result), written)
