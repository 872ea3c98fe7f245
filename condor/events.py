"""HTCondor's event log: the state of each job, without asking the pool."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

__all__ = ["JobState", "read_events", "tail"]

State = Literal["idle", "running", "held", "removed", "done"]

_EVENT = re.compile(r"^(\d{3}) \((\d+)\.(\d+)\.\d+\) ")
_STATES: dict[str, State] = {
    "000": "idle",
    "001": "running",
    "004": "idle",
    "005": "done",
    "009": "removed",
    "012": "held",
    "013": "idle",
    "022": "idle",
    "024": "idle",
}
_VALUE = re.compile(r"return value (\d+)")
_SIGNAL = re.compile(r"signal (\d+)")


@dataclass(frozen=True)
class JobState:
    """The state of a job.

    Attributes:
        state: idle, running, held, removed, or done: it ended on its own.
        reason: Why it is held or was removed; of one that is done, how it ended.
        exit_code: Of one that is done, 128 + signal if one killed it.
    """

    state: State
    reason: str = ""
    exit_code: int | None = None

    @property
    def is_active(self) -> bool:
        """Whether it may still produce something without intervention."""
        return self.state in ("idle", "running")


def read_events(path: Path | str) -> dict[tuple[int, int], JobState]:
    """Read an event log: (cluster, process) to state by the last event; nothing without a log."""
    try:
        text = Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return {}
    states: dict[tuple[int, int], JobState] = {}
    for block in re.split(r"^\.\.\.\n", text, flags=re.MULTILINE):
        if (match := _EVENT.match(block)) and match[1] in _STATES:
            lines = block.splitlines()
            states[int(match[2]), int(match[3])] = _state(_STATES[match[1]], lines[1:])
    return states


def _state(state: State, lines: list[str]) -> JobState:
    details = [line.strip() for line in lines if line.strip()]
    first = details[0] if details else ""
    if state == "done":
        if value := _VALUE.search(first):
            return JobState(state, f"ended with exit code {value[1]}", int(value[1]))
        signal = _SIGNAL.search(first)
        number = int(signal[1]) if signal else 0
        return JobState(state, f"was killed by signal {number}", 128 + number)
    return JobState(state, first if state in ("held", "removed") else "")


def tail(paths: Iterable[Path], *, lines: int = 8) -> str:
    """Give the last lines of the first file that has any, the most informative files first."""
    for path in paths:
        try:
            text = path.read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        if last := [line for line in text.splitlines() if line.strip()]:
            return "\n".join(last[-lines:])
    return ""
