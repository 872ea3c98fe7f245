"""The command `oddjet sculpt`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from oddjet.analysis.cli.console import exit_on_error, out

if TYPE_CHECKING:
    from oddjet.analysis.sculpting.scores import SculptingResult

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
    from oddjet.analysis.sculpting.files import write_sculpting  # noqa: PLC0415
    from oddjet.analysis.sculpting.scores import judge_scores  # noqa: PLC0415

    with exit_on_error():
        found = judge_scores(
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
        files = write_sculpting(output, found) if output else []
    _print(found)
    if files:
        out.print(f"written: [bold]{files[0]}[/] and {len(files) - 1} figures", highlight=False)
    raise typer.Exit(EXIT_CODES[found.outcome.value])


def _print(found: SculptingResult) -> None:
    left_out = f", without {found.left_out}" if found.left_out else ""
    table = Table(
        title=f"sculpting of {found.mass} by cuts, {', '.join(found.datasets)}{left_out}",
        title_justify="left",
    )
    table.add_column("score", overflow="fold")
    table.add_column("p", justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    for heading in ("variation", "power", "JSD 10 %", "JSD 1 %"):
        table.add_column(heading, justify="right", no_wrap=True)
    colours = {"PASS": "green", "FAIL": "bold red", "INCONCLUSIVE": "yellow"}
    for each in found.scores:
        verdict = each.verdict
        name = verdict.outcome.value
        table.add_row(
            each.column,
            f"{verdict.global_p:.2g}",
            f"[{colours[name]}]{name}[/]",
            f"{100 * verdict.variation:.1f} %" if verdict.is_significant else "–",
            f"{100 * verdict.power:.0f} %",
            f"{each.jsd(0.1):.2g}",
            f"{each.jsd(0.01):.2g}",
        )
    out.print(table)
    if found.signals:
        _print_separation(found)
    for each in found.scores:
        out.print(f"{each.column}: {each.verdict.sentence}", markup=False, highlight=False)
        for note in each.verdict.notes:
            out.print(f"  {note}", markup=False, highlight=False, style="dim")


def _print_separation(found: SculptingResult) -> None:
    table = Table(title="signal against background, with 95 % intervals", title_justify="left")
    table.add_column("score", overflow="fold")
    for heading in ("signal", "AUC", "at fixed mass", "best SIC in the window"):
        table.add_column(heading, justify="right", overflow="fold")
    for each in found.scores:
        for name, one in each.separation.items():
            sic = "–"
            if one.best_sic is not None:
                sic = f"{one.best_sic:.2f} at {100 * (one.best_sic_at or 0):g} %"
            table.add_row(each.column, name, f"{one.auc}", f"{one.auc_at_fixed_mass}", sic)
    out.print(table)
