"""Progress of long steps: what receives it, and how it is read from the parts that exist."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol, TypeAlias

from oddjet.processors.events.source import ChunkSource

__all__ = ["Progress", "Reporter", "SilentReporter", "Update", "watch_parts"]

Progress: TypeAlias = Callable[[int, int, int], None]
"""`progress(done_chunks, total_chunks, done_events)`; what is scored from a skim counts in jets."""


class Update(Protocol):
    """Moves the bar of a step."""

    def __call__(self, done: int, total: int | None = None, units: int | None = None) -> None:
        """Show how far the step is: steps done, of how many, and units if the rate is of others."""


class Reporter(Protocol):
    """Receives the progress of the steps of a chain."""

    def track(self, description: str, total: int, unit: str) -> AbstractContextManager[Update]:
        """Follow one step.

        Returns:
            A context that gives a function to call with the number done so far.
        """

    def log(self, message: str) -> None:
        """Show one line."""


class SilentReporter:
    """Shows nothing."""

    @contextmanager
    def track(self, description: str, total: int, unit: str) -> Iterator[Update]:  # noqa: ARG002
        """Follow one step silently."""

        def update(done: int, total: int | None = None, units: int | None = None) -> None:
            del done, total, units

        yield update

    def log(self, message: str) -> None:
        """Show nothing."""


@contextmanager
def watch_parts(
    folder: Path,
    chunks: Collection[ChunkSource],
    progress: Progress | None,
    *,
    sizes: Mapping[str, int] | None = None,
    interval: float = 0.5,
) -> Iterator[None]:
    """Report progress while a run goes on, on any machine.

    Args:
        folder: Where parts are written.
        chunks: All chunks of the run, those done before too.
        progress: Called from a thread of its own, at the beginning, when chunks are done, and at the end.
        sizes: Key to what is counted of a chunk; its entries unless given.
        interval: Seconds between two looks.

    Yields:
        Nothing; the run is the block.
    """
    if progress is None:
        yield
        return
    counted = sizes or {chunk.key: len(chunk) for chunk in chunks}
    waiting = {(chunk.dataset, chunk.key): counted[chunk.key] for chunk in chunks}
    total, events, reported = len(waiting), 0, -1
    stop = threading.Event()

    def look() -> None:
        nonlocal events, reported
        for dataset in {dataset for dataset, _ in waiting}:
            done = {path.stem for path in (folder / dataset).glob("*.json")}
            for key in done:
                events += waiting.pop((dataset, key), 0)
        if total - len(waiting) != reported:
            reported = total - len(waiting)
            progress(reported, total, events)

    def watch() -> None:
        while not stop.wait(interval):
            look()

    look()
    thread = threading.Thread(target=watch, name="oddjet-progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        look()
