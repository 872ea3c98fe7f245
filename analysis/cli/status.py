"""The command `oddjet status`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from oddjet.analysis.cli.console import err, exit_on_error, out

if TYPE_CHECKING:
    from oddjet.analysis.jobs.status import StepStatus

__all__ = ["register"]

_STYLES = {
    "finished": "green",
    "incomplete": "yellow",
    "outdated": "yellow",
    "going on": "cyan",
    "stopped": "bold red",
    "not begun": "dim",
}
_SHOWN = 10


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(status)


def status(
    folder: Annotated[
        Path, typer.Argument(help="A skim, scores, the output of `run`, or the folder of `submit`.")
    ],
    plan: Annotated[
        bool, typer.Option(help="Open the files of a run to know what is planned.")
    ] = True,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Write everything as JSON.")
    ] = None,
) -> None:
    """Say what is done, going on, failed, and why; while a run goes on, or after it died."""
    import json  # noqa: PLC0415

    from oddjet.analysis.jobs.status import read_status  # noqa: PLC0415 (slow imports)
    from oddjet.datasets.disk.atomic import write_text  # noqa: PLC0415

    with exit_on_error():
        steps = read_status(folder, plan=plan)
    table = Table("step", "state", title=str(folder), title_justify="left")
    for heading in ("chunks", "events", "jets", "last written"):
        table.add_column(heading, justify="right")
    for step in steps:
        table.add_row(step.name, Text(step.state, _STYLES[step.state]), *_cells(step))
    out.print(table)
    for step in steps:
        if step.note:
            out.print(f"{step.name}: {step.note}", markup=False, highlight=False, soft_wrap=True)
        for fault in step.faults[:_SHOWN]:
            text = f"{step.name}: {fault.where}: {fault.error}: {fault.message}"
            err.print(text, style="red", markup=False, highlight=False, soft_wrap=True)
        if len(step.faults) > _SHOWN:
            err.print(f"{step.name}: and {len(step.faults) - _SHOWN} more", style="red")
    if output is not None:
        output.parent.mkdir(parents=True, exist_ok=True)
        write_text(output, json.dumps([step.to_dict() for step in steps], indent=1) + "\n")


def _cells(step: StepStatus) -> tuple[str, str, str, str]:
    if step.name == "report" or step.name.startswith("train "):
        return "", "", "", _ago(step.seconds_ago)
    return (
        _of(step.n_done, step.n_planned),
        _of(step.n_events, step.n_events_planned),
        f"{step.n_jets:,}",
        _ago(step.seconds_ago),
    )


def _of(done: int, planned: int | None) -> str:
    return f"{done:,} of {'?' if planned is None else f'{planned:,}'}"


def _ago(seconds: float | None) -> str:
    if seconds is None:
        return ""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit} ago"
    return f"{seconds:.0f} s ago"
