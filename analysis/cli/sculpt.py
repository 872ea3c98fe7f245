"""The command `oddjet sculpt`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from oddjet.analysis.cli.console import out
from oddjet.analysis.cli.options import ConfigOption, Seed, Settings, chosen
from oddjet.analysis.cli.results import print_result
from oddjet.analysis.pipeline.steps import verdict_settings
from oddjet.analysis.report.sections.sculpting import sculpting_section
from oddjet.analysis.report.write import write_section
from oddjet.analysis.sculpting.scores import judge_scores
from oddjet.analysis.sculpting.verdict import JudgeSettings
from oddjet.bounds import MOST_TOYS

__all__ = ["EXIT_CODES", "sculpt"]

EXIT_CODES = {"PASS": 0, "FAIL": 3, "INCONCLUSIVE": 4}


def sculpt(
    folder: Annotated[Path, typer.Argument(metavar="SCORES", help="A scores table.")],
    columns: Annotated[
        list[str],
        typer.Option("--column", help="A score: raw, calibrated or decorrelated; repeatable."),
    ],
    config: ConfigOption = None,
    settings: Settings = None,
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
    permutations: Annotated[
        int, typer.Option(min=299, max=MOST_TOYS, help="Permutations of the mass.")
    ] = 299,
    seed: Seed = 1,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="Folder of `sculpting.json` and figures."),
    ] = None,
) -> None:
    """Judge whether cuts on scores sculpt the background's mass: PASS, FAIL or INCONCLUSIVE.

    Exit codes: 0 all PASS; 3 at least one FAIL; 4 at least one INCONCLUSIVE and no FAIL; 1 an
    error; 2 wrong usage.
    """
    used = verdict_settings(folder, config, chosen(settings, {}), datasets or ())
    result = judge_scores(
        folder,
        columns,
        datasets=datasets or (),
        signals=signals or (),
        settings=used.hunt,
        exclude=exclude,
        judging=JudgeSettings(tolerance=tolerance, n_permutations=permutations, seed=seed),
        verify=used.verify,
    )
    section = sculpting_section(result)
    print_result(section, write_section(output, section) if output else [])
    for column, note in ((s.column, note) for s in result.scores for note in s.verdict.notes):
        out.print(f"{column}: {note}", style="dim")
    raise typer.Exit(EXIT_CODES[result.outcome.value])
