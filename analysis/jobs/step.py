"""How far a step is, and what of it failed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

__all__ = ["Fault", "State", "StepStatus"]

State = Literal["finished", "damaged", "incomplete", "outdated", "going on", "stopped", "not begun"]


@dataclass(frozen=True)
class Fault:
    """Something that failed.

    Attributes:
        where: File and entries, or job.
        error: Class of the error, or state of the job.
    """

    where: str
    error: str
    message: str


@dataclass(frozen=True)
class StepStatus:
    """How far a step is.

    Attributes:
        name: skim, scores, a detector, a round of jobs.
        state: finished; damaged: a file is not what was written, which is looked for where asked; incomplete: finished with parts missing; outdated: finished, with other
            files, settings or code than would be used now; going on: something was written lately;
            stopped: nothing was, and it is not finished; not begun.
        n_done: Chunks done, of those that are wanted where that is known.
        n_planned: Chunks in all, None if unknown.
        n_events: Entries of what is done.
        n_events_planned: Entries in all, None if unknown.
        n_jets: Jets of what is done; those of data left out while they are blinded.
        n_writing: Files that are being written.
        seconds_ago: Since something was written; None where nothing was.
        faults: What failed, and why.
    """

    name: str
    folder: Path
    state: State
    n_done: int = 0
    n_planned: int | None = None
    n_events: int = 0
    n_events_planned: int | None = None
    n_jets: int = 0
    n_writing: int = 0
    seconds_ago: float | None = None
    faults: tuple[Fault, ...] = ()
    note: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Give everything in JSON types."""
        return {
            **vars(self),
            "folder": str(self.folder),
            "faults": [vars(fault) for fault in self.faults],
        }
