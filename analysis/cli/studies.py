"""The command `oddjet study`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from oddjet.analysis.cli.console import (
    RichReporter,
    assignments,
    err,
    exit_on_error,
    out,
    print_section,
    print_written,
)

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(study)


def _print_list(wanted: bool) -> None:
    from oddjet.analysis.studies import describe_studies  # noqa: PLC0415 (slow import)

    if not wanted:
        return
    table = Table("name", "what", "options", show_lines=True)
    for each in describe_studies():
        options = ", ".join(f"{name}={value}" for name, value in each.options.items())
        table.add_row(each.name, each.summary, options)
    out.print(table)
    raise typer.Exit


def study(
    name: Annotated[str, typer.Argument(help="The study; `--list` names them all.")],
    skim_folder: Annotated[Path, typer.Argument(metavar="SKIM", help="A skim.")],
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Folder of `study.json` and figures.")
    ],
    background: Annotated[str, typer.Option(help="Dataset that is taken for ordinary.")],
    signals: Annotated[list[str], typer.Option("--signal", help="Dataset to find; repeatable.")],
    detectors: Annotated[
        list[str],
        typer.Option("--detector", help="Name, or `package.module:Class`; repeatable."),
    ],
    hyper_parameters: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="A hyper-parameter of the detectors."),
    ] = None,
    options: Annotated[
        list[str] | None,
        typer.Option("--option", metavar="NAME=VALUE", help="An option of the study."),
    ] = None,
    folds: Annotated[int, typer.Option(min=2, help="Folds of events; one is for testing.")] = 3,
    max_jets: Annotated[
        int | None, typer.Option(min=1, help="At most so many jets of each dataset.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Fixes everything random.")] = 1,
    show_list: Annotated[  # noqa: ARG001 (typer calls it)
        bool,
        typer.Option("--list", callback=_print_list, is_eager=True, help="List the studies."),
    ] = False,
) -> None:
    """Ask a question of detectors: what they find when trained the other way round, and others."""
    from oddjet.analysis.studies.run import detectors_with, run_study  # noqa: PLC0415 (slow import)
    from oddjet.datasets.skims.skim import open_skim  # noqa: PLC0415

    with exit_on_error():
        found = run_study(
            name,
            open_skim(skim_folder),
            output,
            background=background,
            signals=signals,
            detectors=detectors_with(detectors, assignments(hyper_parameters or [])),
            options=assignments(options or []),
            k=folds,
            max_jets=max_jets,
            seed=seed,
            reporter=RichReporter(err),
        )
    print_section(found.section)
    print_written(found.files)
