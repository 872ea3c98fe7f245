"""Progress of long steps: silent in a library, bars with rates on a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

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
from rich.text import Text

__all__ = ["Reporter", "RichReporter", "SilentReporter", "Update"]


class Update(Protocol):
    """Moves the bar of a step."""

    def __call__(self, done: int, total: int | None = None, units: int | None = None) -> None:
        """Say how far the step is.

        Args:
            done: Steps done so far.
            total: Steps in all, where that became known or changed.
            units: Units done so far, for the rate, where they are not the steps themselves.
        """


class Reporter(Protocol):
    """What the steps of a chain tell about themselves."""

    def track(self, description: str, total: int, unit: str) -> AbstractContextManager[Update]:
        """Follow one step.

        Args:
            description: What is done.
            total: How many steps there are.
            unit: What the rate counts.

        Returns:
            A context that gives a function to call with the number done so far.
        """

    def log(self, message: str) -> None:
        """Tell one line."""


class SilentReporter:
    """Tells nothing."""

    @contextmanager
    def track(self, description: str, total: int, unit: str) -> Iterator[Update]:  # noqa: ARG002
        """Follow one step without a word."""

        def update(done: int, total: int | None = None, units: int | None = None) -> None:
            del done, total, units

        yield update

    def log(self, message: str) -> None:
        """Say nothing."""


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
