"""The command `oddjet plan`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from oddjet.analysis.cli.console import err, exit_on_error, out, print_rows

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(plan)


def plan(
    config: Annotated[Path, typer.Argument(help="The analysis, a YAML file.")],
    measure: Annotated[
        bool, typer.Option("--measure", help="Measure again although that was done before.")
    ] = False,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Write every number as JSON.")
    ] = None,
) -> None:
    """Say what an analysis will take: chunks, time, memory, disk, network; some events are measured."""
    import json  # noqa: PLC0415

    from oddjet.analysis.config import load_config  # noqa: PLC0415 (slow imports)
    from oddjet.analysis.jobs.plan import describe, plan_analysis  # noqa: PLC0415
    from oddjet.datasets.disk.atomic import write_text  # noqa: PLC0415

    with exit_on_error():
        settings = load_config(config)
        found = plan_analysis(settings, measure=measure)
    table = Table("dataset", title=f"plan: {settings.name}", title_justify="left")
    for heading in ("files", "events", "chunks", "jets", "events/s", "read", "skim"):
        table.add_column(heading, justify="right")
    for each in found.datasets:
        table.add_row(
            each.name,
            f"{each.n_files:,}",
            f"{each.n_events:,}",
            f"{each.n_chunks:,}",
            f"{each.n_jets:,.0f}",
            f"{each.n_events / max(each.skim_seconds, 1e-9):,.0f}",
            f"{each.read_bytes / 1e6:,.0f} MB",
            f"{each.skim_bytes / 1e6:,.0f} MB",
        )
    out.print(table)
    print_rows("in all", ("", "expected"), list(describe(found)))
    if found.n_unusable:
        err.print(f"{found.n_unusable} files cannot be opened and are in none of the numbers")
    if found.calibration.load_average > 1:
        err.print("this machine had other work to do: times are too long; measure again later")
    if output is not None:
        output.parent.mkdir(parents=True, exist_ok=True)
        write_text(output, json.dumps(found.to_dict(), indent=1) + "\n")
