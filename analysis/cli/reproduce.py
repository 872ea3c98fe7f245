"""The command `oddjet reproduce`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from oddjet.analysis.cli.console import RichReporter, err, exit_on_error, out

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(reproduce)


def reproduce(
    documents: Annotated[
        list[str] | None,
        typer.Argument(
            help="`khanal`, `ene`, `golling`, `cms`, `buss`, or `comparison`; all by default."
        ),
    ] = None,
    scale: Annotated[
        str, typer.Option(help="`quick`: an hour on two cores; `full`: the published sizes.")
    ] = "quick",
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Folder of skims, trainings and report.")
    ] = Path("runs/reproduce"),
    samples: Annotated[
        Path, typer.Option(help="Folder of the simulated samples, which are kept.")
    ] = Path("runs/samples"),
    fileset: Annotated[
        str, typer.Option(help="Where the samples come from.")
    ] = "catalog:reproduce",
    workers: Annotated[int, typer.Option("-j", "--workers", min=1, help="Worker processes.")] = 2,
) -> None:
    """Train and measure everything the five documents report; an interrupted call goes on."""
    from oddjet.analysis.studies.reproduce import reproduce as run  # noqa: PLC0415 (slow import)

    with exit_on_error():
        found = run(
            documents or (),
            scale=scale,  # type: ignore[arg-type] # refused with a message if it is none
            output=output,
            samples=samples,
            workers=workers,
            fileset=fileset,
            reporter=RichReporter(err),
        )
    for chapter in found.chapters:
        table = Table(title=chapter.document.title, title_justify="left")
        for heading in (
            "detector",
            "score",
            "signal",
            "published",
            "AUC",
            "fixed mass",
            "jets",
            "s",
        ):
            table.add_column(heading)
        for row in chapter.rows:
            fixed = row.measured.at_fixed_mass
            table.add_row(
                row.detector,
                row.score,
                f"{row.signal} in {row.background}",
                row.published,
                str(row.measured.auc),
                "–" if fixed is None else str(fixed.auc),
                f"{row.n_train:,}",
                f"{row.train_seconds:.0f}",
            )
        out.print(table)
    for choice in found.choices:
        table = Table(*choice.headers, title=choice.caption, title_justify="left")
        for cells in choice.rows:
            table.add_row(*("–" if cell is None else str(cell) for cell in cells))
        out.print(table)
    out.print(f"report: [bold]{found.report}[/]", highlight=False)
