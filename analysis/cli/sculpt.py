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
from oddjet.analysis.sculpting.fakes import HuntedIn
from oddjet.analysis.sculpting.judging import JudgeSettings
from oddjet.analysis.sculpting.scores import SculptingResult, judge_scores
from oddjet.bounds import MOST_TOYS

__all__ = ["EXIT_CODES", "sculpt"]

EXIT_CODES = {"PASS": 0, "FAIL": 3, "INCONCLUSIVE": 4}


Datasets = Annotated[
    list[str] | None,
    typer.Option(
        "--dataset",
        help="Judge this one, simulation or data; by default background, and data beside.",
    ),
]
Excluded = Annotated[
    tuple[float, float] | None,
    typer.Option(
        "--exclude-window",
        metavar="LOW HIGH",
        help="Leave out these masses [GeV]; in blinded data the signal window is left out anyway.",
    ),
]
Hunted = Annotated[
    float | None,
    typer.Option(
        min=1, help="Jets before any cut that are hunted in; as many as are judged if not given."
    ),
]
Tolerance = Annotated[
    float, typer.Option(min=0, help="Variation of the efficiency across mass that may be.")
]
Permutations = Annotated[
    int, typer.Option(min=299, max=MOST_TOYS, help="Permutations of the mass.")
]


def sculpt(
    folder: Annotated[Path, typer.Argument(metavar="SCORES", help="A scores table.")],
    columns: Annotated[
        list[str],
        typer.Option("--column", help="A score: raw, calibrated or decorrelated; repeatable."),
    ],
    config: ConfigOption = None,
    settings: Settings = None,
    datasets: Datasets = None,
    signals: Annotated[
        list[str] | None,
        typer.Option("--signal", help="Signal whose efficiency is measured; repeatable."),
    ] = None,
    exclude: Excluded = None,
    hunted: Hunted = None,
    tolerance: Tolerance = 0.05,
    permutations: Permutations = 299,
    seed: Seed = 1,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="Folder of `sculpting.json` and figures."),
    ] = None,
) -> None:
    """Judge whether cuts on scores sculpt the background's mass: PASS, FAIL or INCONCLUSIVE.

    A PASS says that in no window of the hunt more than 0.3σ can be faked, in as many jets as are hunted in.
    Exit codes, of simulation where there is any, else of data: 0 all PASS; 3 at least one FAIL; 4 at least one INCONCLUSIVE and no FAIL; 1 an
    error; 2 wrong usage.
    """
    used = verdict_settings(folder, config, chosen(settings, {}), datasets or ())
    judging = JudgeSettings(
        hunted=HuntedIn(jets=hunted),
        tolerance=tolerance,
        n_permutations=permutations,
        **used.seen,
        seed=seed,
    )
    result = judge_scores(
        folder,
        columns,
        datasets=datasets or (),
        signals=signals or (),
        settings=used.hunt,
        exclude=exclude,
        judging=judging,
        verify=used.verify,
    )
    _print(result, output)
    raise typer.Exit(EXIT_CODES[result.outcome.value])


def _print(result: SculptingResult, output: Path | None) -> None:
    section = sculpting_section(result)
    print_result(section, write_section(output, section) if output else [])
    for sample in result.samples:
        for score in sample.scores:
            for note in score.verdict.notes:
                out.print(f"{score.column}, {', '.join(sample.datasets)}: {note}", style="dim")
