"""The command `oddjet sculpt`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from oddjet.analysis.cli.console import exit_on_error, out, print_section, print_written

__all__ = ["EXIT_CODES", "register"]

EXIT_CODES = {"PASS": 0, "FAIL": 3, "INCONCLUSIVE": 4}


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(sculpt)


def sculpt(
    folder: Annotated[Path, typer.Argument(metavar="SCORES", help="A scores table.")],
    columns: Annotated[
        list[str],
        typer.Option("--column", help="A score: raw, calibrated or decorrelated; repeatable."),
    ],
    config: Annotated[
        Path | None, typer.Option(help="Take mass, range, window and pt edges from an analysis.")
    ] = None,
    datasets: Annotated[
        list[str] | None,
        typer.Option(
            "--dataset", help="Judge this one, simulation or data; all background if not."
        ),
    ] = None,
    signals: Annotated[
        list[str] | None,
        typer.Option("--signal", help="Signal whose efficiency is measured; repeatable."),
    ] = None,
    exclude: Annotated[
        tuple[float, float] | None,
        typer.Option(
            "--exclude-window",
            metavar="LOW HIGH",
            help="Leave out these masses [GeV]; in data the signal window is left out anyway.",
        ),
    ] = None,
    tolerance: Annotated[
        float, typer.Option(min=0, help="Variation of the efficiency across mass that may be.")
    ] = 0.05,
    permutations: Annotated[int, typer.Option(min=299, help="Permutations of the mass.")] = 299,
    seed: Annotated[int, typer.Option(min=0, help="Fixes everything random.")] = 1,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="Folder of `sculpting.json` and figures."),
    ] = None,
) -> None:
    """Judge whether cuts on scores sculpt the background's mass: PASS, FAIL or INCONCLUSIVE.

    Exit codes: 0 all PASS; 3 at least one FAIL; 4 at least one INCONCLUSIVE and no FAIL; 1 an
    error; 2 wrong usage.
    """
    from oddjet.analysis.config import load_config  # noqa: PLC0415 (slow import)
    from oddjet.analysis.report.sections.sculpting import sculpting_section  # noqa: PLC0415
    from oddjet.analysis.report.write import write_section  # noqa: PLC0415
    from oddjet.analysis.sculpting.scores import judge_scores  # noqa: PLC0415

    with exit_on_error():
        result = judge_scores(
            folder,
            columns,
            datasets=datasets or (),
            signals=signals or (),
            settings=load_config(config).hunt if config else None,
            exclude=exclude,
            tolerance=tolerance,
            n_permutations=permutations,
            seed=seed,
        )
        section = sculpting_section(result)
        files = write_section(output, section) if output else []
    print_section(section)
    for score in result.scores:
        for note in score.verdict.notes:
            out.print(f"{score.column}: {note}", markup=False, highlight=False, style="dim")
    if files:
        print_written(files)
    raise typer.Exit(EXIT_CODES[result.outcome.value])
