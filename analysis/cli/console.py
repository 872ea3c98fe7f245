"""What all commands share: where they print, how errors are shown, progress bars, tables of two columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
import yaml
from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from oddjet.errors import ConfigError, OddjetError

if TYPE_CHECKING:
    from oddjet.analysis.report.page import Section
    from oddjet.processors.engine.progress import Update

__all__ = [
    "RichReporter",
    "assignments",
    "err",
    "exit_on_error",
    "out",
    "print_rows",
    "print_section",
    "print_written",
]

out = Console()
err = Console(stderr=True)


@contextmanager
def exit_on_error() -> Iterator[None]:
    """Turn an error raised on purpose into one message and exit code 1."""
    try:
        yield
    except OddjetError as error:
        err.print(f"[bold red]error:[/] {type(error).__name__}", highlight=False)
        err.print(str(error), markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(1) from error


def assignments(texts: Sequence[str]) -> dict[str, Any]:
    """Read NAME=VALUE pairs, the value as YAML reads it.

    Raises:
        ConfigError: If a text is no such pair.
    """
    values = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            msg = f"expected --set NAME=VALUE, received {text!r}"
            raise ConfigError(msg)
        values[name] = yaml.safe_load(value)
    return values


def print_rows(title: str, headings: tuple[str, str], rows: Sequence[tuple[str, str]]) -> None:
    """Print a table of two columns."""
    table = Table(*headings, title=title, title_justify="left")
    for name, value in rows:
        table.add_row(name, value)
    out.print(table)


class _RateColumn(ProgressColumn):
    """Units done, and units a second since the step began."""

    def render(self, task: Task) -> Text:
        units, unit = task.fields["units"], task.fields["unit"]
        seconds = task.finished_time or task.elapsed or 0.0
        rate = f" {units / seconds:,.0f} {unit}/s" if seconds > 0 and units else ""
        return Text(f"{units:,} {unit}{rate}", style="progress.data.speed")


class RichReporter:
    """Bars with rates on a terminal; one line a finished step elsewhere.

    Args:
        console: Where to draw.
    """

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True)

    @contextmanager
    def track(self, description: str, total: int, unit: str) -> Iterator[Update]:
        """Follow one step with a bar."""
        bar = Progress(
            SpinnerColumn(finished_text="✓"),
            TextColumn("{task.description}"),
            BarColumn(bar_width=28),
            TextColumn("{task.percentage:>3.0f}%"),
            _RateColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=self.console,
        )
        with bar:
            task = bar.add_task(description, total=total or None, unit=unit, units=0)

            def update(done: int, total: int | None = None, units: int | None = None) -> None:
                done_units = done if units is None else units
                bar.update(task, completed=done, total=total, units=done_units)

            yield update

    def log(self, message: str) -> None:
        """Print one line."""
        self.console.print(message, highlight=False)


def print_section(section: Section) -> None:
    """Print what came out: tables, sentences, and warnings to the error stream."""
    from oddjet.analysis.report.tables import rich_table  # noqa: PLC0415 (slow import)

    for table in section.tables:
        out.print(rich_table(table, width=out.width))
    for statement in section.statements:
        out.print(Text(statement), soft_wrap=True)
    for warning in section.warnings:
        err.print(Text(warning), style="bold yellow", soft_wrap=True)


def print_written(files: Sequence[Path]) -> None:
    """Print which file was written first, and how many beside it."""
    out.print(f"written: [bold]{files[0]}[/] and {len(files) - 1} more", highlight=False)
