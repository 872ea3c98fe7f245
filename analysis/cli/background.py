"""The command `oddjet spurious`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from oddjet.analysis.cli.console import exit_on_error, out

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(spurious)


def spurious(
    skim_folder: Annotated[Path, typer.Argument(metavar="SKIM", help="A skim.")],
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
    import numpy as np  # noqa: PLC0415 (slow imports)

    from oddjet.analysis.report.figures.background_spurious import spurious_against_mass  # noqa: PLC0415
    from oddjet.analysis.report.figures.style import PlotLabel  # noqa: PLC0415
    from oddjet.analysis.report.page import jsonable  # noqa: PLC0415
    from oddjet.analysis.statistics.background.simulated import (  # noqa: PLC0415
        leading_mass,
        study_functions,
    )
    from oddjet.datasets.disk.atomic import write_text  # noqa: PLC0415
    from oddjet.datasets.skims.skim import open_skim  # noqa: PLC0415
    from oddjet.errors import ConfigError  # noqa: PLC0415

    with exit_on_error():
        low, high = mass_range
        if not (bin_width > 0 and low < high):
            msg = f"expected --range LOW HIGH and a bin width > 0, received {low}, {high}, {bin_width}"
            raise ConfigError(msg)
        edges = np.linspace(low, high, max(round((high - low) / bin_width), 1) + 1)
        counts, variances = leading_mass(
            open_skim(skim_folder), background, edges, mass=mass, pt_min=pt_min
        )
        study = study_functions(
            counts,
            edges,
            variances=variances,
            n_data=n_data,
            relative_width=width,
            functions=functions or (),
        )
        output.mkdir(parents=True, exist_ok=True)
        text = json.dumps(jsonable(study.to_dict()), indent=1, allow_nan=False)
        write_text(output / "spurious.json", text + "\n")
        right = f"{background}, {n_data:g} jets"
        figure = spurious_against_mass(study.tests, label=PlotLabel(right=right))
        figure.savefig(output / "spurious.png", dpi=150)
    table = Table(
        "function", "worst mass [GeV]", "N_spur/σ", "σ_MC/σ", "(|N_spur| − σ_MC)/σ", "accepted"
    )
    for test in study.tests:
        worst = test.worst
        cells = [f"{worst.mass:.0f}", "fit failed", "–", "–"]
        if not worst.failure:
            ratio, mc = worst.ratio, worst.sigma_mc / worst.sigma
            cells = [f"{worst.mass:.0f}", f"{ratio:+.2f}", f"{mc:.2f}", f"{worst.excess:.2f}"]
        table.add_row(test.function, *cells, "yes" if test.accepted else "no")
    out.print(table)
    fit = study.template
    out.print(
        f"simulation: {fit.data.counts.sum():.5g} jets in the range, template scaled to {n_data:g}, "
        f"p = {fit.p_value:.2g} with {fit.n_effective:.1f} effective parameters",
        highlight=False,
    )
    out.print(f"written: [bold]{output / 'spurious.json'}[/] and a figure", highlight=False)
