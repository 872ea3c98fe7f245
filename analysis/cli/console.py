"""What all commands share: where they print, how errors are shown, progress bars, tables of two columns."""

from __future__ import annotations

import contextlib
import signal
import traceback
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import typer
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

from oddjet.errors import OddjetError, shortened, without_queries
from oddjet.faults import describe_fault, mend_full_disk
from oddjet.processes import stopped_by

if TYPE_CHECKING:
    from oddjet.processors.engine.progress import Update

__all__ = [
    "RichReporter",
    "err",
    "exit_on_error",
    "out",
    "print_note",
    "print_place",
    "print_rows",
    "print_table",
]


def _console(*, stderr: bool = False) -> Console:
    """Make a console that shows text as it is: names of a user are no markup, emoji or numbers."""
    return Console(stderr=stderr, markup=False, emoji=False, highlight=False)


out, err = _console(), _console(stderr=True)


@contextmanager
def exit_on_error(*, debug: bool = False) -> Iterator[None]:
    """Turn every error into one message and exit code 1, an interruption into 128 + the signal's number.

    Args:
        debug: Print the traceback too.
    """
    try:
        yield
    except BaseException as error:
        number = signal.SIGINT if isinstance(error, KeyboardInterrupt) else stopped_by()
        if number is not None:  # whatever came of it, such as a pool that lost its workers
            name = f"interrupted: {signal.Signals(number).name}"
            with contextlib.suppress(OSError):  # the terminal may be gone
                _tell(
                    error,
                    name,
                    "repeat the command: what it had finished and stored is not done again",
                    debug,
                )
            raise typer.Exit(128 + number) from error
        if not isinstance(error, Exception) or isinstance(error, typer.Abort):
            raise
        if hasattr(error, "exit_code"):
            raise  # typer's own: wrong usage, or an exit code that was chosen
        if isinstance(error, OddjetError):
            title, text = f"error: {type(error).__name__}", str(error) + mend_full_disk(str(error))
        elif (fault := describe_fault(error)) is not None:
            title, text = f"error: {type(error).__name__}", fault
        else:
            title = f"error: {type(error).__name__}, which was not foreseen"
            text = f"{shortened(str(error))}\nplease report it with what `oddjet --debug` prints before it"
        _tell(error, title, text, debug)
        raise typer.Exit(1) from error


def _tell(error: BaseException, title: str, text: str, debug: bool) -> None:
    if debug:
        err.print("".join(traceback.format_exception(error)), soft_wrap=True)
    kind, colon, name = title.partition(":")
    err.print(Text.assemble((kind + colon, "bold red"), name))
    err.print(without_queries(text), soft_wrap=True)


def print_rows(title: str, headings: tuple[str, str], rows: Sequence[tuple[str, str]]) -> None:
    """Print a table of two columns."""
    print_table(title, headings, rows, right=())


def print_table(
    title: str,
    headings: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    right: Sequence[str] | None = None,
    lines: bool = False,
    styles: Sequence[str] = (),
) -> None:
    """Print a table; None is shown as a dash, and `Text` in its style.

    Args:
        title: Above the table.
        headings: Of the columns.
        rows: Their cells.
        right: Headings of the columns that are justified to the right; by default all but the first.
        lines: Whether lines separate the rows.
        styles: Of the rows, where they differ.
    """
    table = Table(title=title or None, title_justify="left", show_lines=lines)
    numbers = headings[1:] if right is None else right
    for heading in headings:
        justify: Literal["left", "right"] = "right" if heading in numbers else "left"
        table.add_column(heading, justify=justify, overflow="fold")
    for cells, style in zip_longest(rows, styles):
        shown = ["–" if cell is None else cell for cell in cells]
        table.add_row(*(x if isinstance(x, Text) else str(x) for x in shown), style=style)
    out.print(table)


def print_note(text: str) -> None:
    """Print a note about an input as it is, to the errors' stream."""
    err.print(text, soft_wrap=True)


def print_place(what: str, place: Path, more: str = "") -> None:
    """Print where something was written, in one line; what follows the place comes after it."""
    out.print(Text.assemble(f"{what}: ", (str(place), "bold"), more), soft_wrap=True)


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
        self.console = console or _console(stderr=True)

    @contextmanager
    def track(self, description: str, total: int, unit: str) -> Iterator[Update]:
        """Follow one step with a bar."""
        bar = Progress(
            SpinnerColumn(finished_text="✓"),
            TextColumn("{task.description}", markup=False),
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
        message = without_queries(message)
        self.console.print(message, markup=False, emoji=False, highlight=False)
