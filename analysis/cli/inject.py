"""The command `oddjet inject`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from oddjet.analysis.cli.console import (
    RichReporter,
    err,
    exit_on_error,
    print_section,
    print_written,
)

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(inject)


def inject(
    config: Annotated[
        Path, typer.Argument(help="The analysis, a YAML file with an `injection:` block.")
    ],
    skim: Annotated[
        Path | None, typer.Option(help="A skim to use instead of the analysis' own.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", help="Folder; by default `injection/` in the analysis' own."
        ),
    ] = None,
    detectors: Annotated[
        list[str] | None, typer.Option("--detector", help="Its label; repeatable; all without.")
    ] = None,
    fractions: Annotated[
        list[float] | None,
        typer.Option("--fraction", help="One of the configuration's; repeatable; all without."),
    ] = None,
) -> None:
    """Put signal into background before training, repeat the whole chain, and see what is found.

    Experiments that are done are not repeated; an interrupted call goes on.
    """
    from oddjet.analysis.pipeline.inject import inject_and_write  # noqa: PLC0415 (slow import)
    from oddjet.analysis.report.sections.injection import injection_section  # noqa: PLC0415

    with exit_on_error():
        result, written = inject_and_write(
            config,
            skim=skim,
            output=output,
            detectors=detectors or (),
            fractions=fractions or (),
            reporter=RichReporter(err),
        )
    print_section(injection_section(result))
    print_written(written)
