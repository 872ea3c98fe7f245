"""The command `oddjet hunt`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from oddjet.analysis.cli.console import err, exit_on_error, out, print_section, print_written

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(hunt)


def hunt(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SCORES|FILE[:HIST]",
            help="A scores table; or a mass histogram, ROOT or UHI JSON, of any origin.",
        ),
    ],
    columns: Annotated[
        list[str] | None,
        typer.Option("--column", help="Of a scores table: a score to cut on; repeatable."),
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="Of a scores table: take range, window and cuts from it.")
    ] = None,
    background: Annotated[
        str | None,
        typer.Option(
            metavar="FILE:HIST", help="Of a histogram: a background that is known; else fitted."
        ),
    ] = None,
    function: Annotated[
        str, typer.Option(help="Of a histogram: background function, a family, or `auto`.")
    ] = "exppoly6",
    mass_range: Annotated[
        tuple[float, float] | None,
        typer.Option("--range", metavar="LOW HIGH", help="Of a histogram: use these masses alone."),
    ] = None,
    widths: Annotated[
        tuple[int, int],
        typer.Option(metavar="MIN MAX", help="Of a histogram: widths of windows [bins]."),
    ] = (2, 8),
    signal_width: Annotated[
        float | None,
        typer.Option(help="Of a histogram: fit a Gaussian of this width instead [GeV]."),
    ] = None,
    toys: Annotated[int, typer.Option(min=1, help="Of a histogram: pseudo-experiments.")] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Of a histogram: fixes the toys.")] = 1,
    workers: Annotated[int, typer.Option("-j", "--workers", min=1, help="Threads.")] = 1,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="JSON file; of a histogram: folder, with figures."),
    ] = None,
    unblind: Annotated[
        bool, typer.Option("--unblind", help="Of a scores table: look into the window of data.")
    ] = False,
    pseudo_data: Annotated[
        tuple[float, int] | None,
        typer.Option(metavar="LUMI SEED", help="Of a scores table: draw pseudo-data [1/fb]."),
    ] = None,
) -> None:
    """Scan a mass spectrum for a bump: local p, and global p over everything that was scanned.

    Every window is tested against a function that is fitted beside it, in the data and in every
    pseudo-experiment. A histogram is scanned as a whole: nothing in it is taken to be blind.
    """
    if Path(source).is_dir():
        _hunt_scores(
            Path(source),
            columns or [],
            config,
            output,
            pseudo_data,
            unblind=unblind,
            workers=workers,
        )
        return
    from oddjet.analysis.hunt.histogram import FileHuntSettings, hunt_file  # noqa: PLC0415 (slow)
    from oddjet.analysis.report.sections.hunt import histogram_section  # noqa: PLC0415
    from oddjet.analysis.report.write import write_section  # noqa: PLC0415

    with exit_on_error():
        settings = FileHuntSettings(
            range=mass_range,
            function=function,
            widths=widths,
            signal_width=signal_width,
            n_toys=toys,
            seed=seed,
            workers=workers,
        )
        result = hunt_file(source, settings, background=background)
        section = histogram_section(result)
        written = write_section(output, section) if output else []
    if result.spectrum.flow_note:
        err.print(result.spectrum.flow_note, markup=False, highlight=False, soft_wrap=True)
    print_section(section)
    if written:
        print_written(written)


def _hunt_scores(
    scores: Path,
    columns: list[str],
    config: Path | None,
    output: Path | None,
    pseudo_data: tuple[float, int] | None,
    *,
    unblind: bool,
    workers: int,
) -> None:
    from oddjet.analysis.pipeline.steps import hunt_scores  # noqa: PLC0415 (slow import)

    with exit_on_error():
        found = hunt_scores(
            scores,
            columns,
            config=config,
            output=output,
            unblind=unblind,
            pseudo_data=pseudo_data,
            workers=workers,
        )
    table = Table("cut", title=f"{found.mass}: {found.tests}", title_justify="left")
    for heading in ("jets", "fit", "χ² p", "window [GeV]", "local p", "p over its windows"):
        table.add_column(heading, justify="right")
    for row in found.rows():
        table.add_row(*row)
    out.print(table)
    scan = found.bump_hunt
    if scan is not None:
        bound = "≤ " if scan.global_p_is_bound else ""
        out.print(
            f"global p over {scan.n_windows} windows of {len(scan.channels)} spectra: "
            f"[bold]{bound}{scan.global_p:.3g}[/] ({scan.global_significance:.1f}σ, "
            f"{scan.n_toys} toys)",
            highlight=False,
        )
