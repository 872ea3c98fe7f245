"""The command `oddjet spurious`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from oddjet.analysis.cli.options import SkimFolder
from oddjet.analysis.cli.results import print_result
from oddjet.analysis.pipeline.steps import open_of_run
from oddjet.analysis.report.sections.spurious import spurious_section
from oddjet.analysis.report.write import write_section
from oddjet.analysis.scores.sample import leading_mass
from oddjet.analysis.statistics.background.simulated import study_functions
from oddjet.analysis.statistics.spectrum import Spectrum
from oddjet.bounds import MOST_BINS
from oddjet.errors import ConfigError, look_up

__all__ = ["spurious"]


def spurious(
    skim_folder: SkimFolder,
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Folder of `spurious.json` and the figure.")
    ],
    background: Annotated[str, typer.Option(help="Dataset of simulated background.")],
    n_data: Annotated[
        float, typer.Option("--jets", help="Jets in the range that data would have.")
    ] = 3000.0,
    functions: Annotated[
        list[str] | None, typer.Option("--function", help="Function to test; all by default.")
    ] = None,
    mass: Annotated[str, typer.Option(help="Column of the mass.")] = "msoftdrop",
    mass_range: Annotated[
        tuple[float, float], typer.Option("--range", help="Range of the mass [GeV].")
    ] = (40.0, 240.0),
    bin_width: Annotated[float, typer.Option(help="Width of the bins [GeV].")] = 5.0,
    width: Annotated[float, typer.Option(help="Width of the signal over its mass.")] = 0.1,
    pt_min: Annotated[float, typer.Option(help="Smallest pt of a jet [GeV].")] = 0.0,
) -> None:
    """Test how much signal a fit finds in simulated background, function by function."""
    low, high = mass_range
    if not (bin_width > 0 and low < high and (high - low) / bin_width <= MOST_BINS):
        msg = (
            f"expected --range LOW HIGH, a bin width > 0 and at most {MOST_BINS} bins, received {low}, "
            f"{high}, {bin_width}"
        )
        raise ConfigError(msg)
    skim = open_of_run(skim_folder)
    dataset = look_up(skim.manifest.datasets, background, "dataset of the skim")
    if dataset.kind == "data":
        msg = (
            f"--background {background}: expected simulation, received data. A bump in it would be taken for one that the "
            "function makes, and their signal window may be blinded"
        )
        raise ConfigError(msg)
    edges = np.linspace(low, high, max(round((high - low) / bin_width), 1) + 1)
    counts, variances = leading_mass(skim, background, edges, mass=mass, pt_min=pt_min)
    study = study_functions(
        Spectrum(edges, counts, variances, is_data=False),
        n_data=n_data,
        relative_width=width,
        functions=functions or (),
    )
    section = spurious_section(study, background=background)
    written = write_section(output, section)
    print_result(section, written)
