"""The Σ weight that the cross section of a dataset belongs to: that of all its generated events."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from oddjet.datasets.files.dataset import Dataset
from oddjet.datasets.files.doubts import ROUNDED, Doubt, unknown_history
from oddjet.datasets.files.history import FileHistory

__all__ = ["Normalisation", "Sums", "normalise"]

_EXACT = 1e-6
_MANY = 20
"""So many events have one weight because all have, not by chance."""


class Normalisation(BaseModel):
    """The Σ weight that a cross section belongs to.

    Attributes:
        source: Where it is from: the `Runs` trees, the dataset's `sumw` or `n_events`, or the events that were read.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    sumw: float
    source: Literal["Runs", "sumw", "n_events", "events"]


@dataclass(frozen=True)
class Sums:
    """What was read of files, before any cut: entries, Σ weight and Σ weight²."""

    n_events: int = 0
    sumw: float = 0.0
    sumw2: float = 0.0

    @classmethod
    def of(cls, parts: Iterable[Any]) -> Sums:
        """Add up chunks, or sums: whatever has these attributes."""
        listed = list(parts)
        return cls(
            sum(part.n_events for part in listed),
            math.fsum(part.sumw for part in listed),
            math.fsum(part.sumw2 for part in listed),
        )

    @property
    def weight(self) -> float | None:
        """The weight that all events have; None where they differ."""
        if not self.n_events:
            return 1.0
        spread = self.n_events * self.sumw2 - self.sumw**2
        is_one = spread <= _EXACT * self.n_events * self.sumw2
        return self.sumw / self.n_events if is_one else None

    @property
    def size(self) -> float | None:
        """The |weight| that all events have, as far as it can be seen: they have one weight, or ±1; None with few events."""
        if self.n_events < _MANY:
            return None
        if abs(self.sumw2 - self.n_events) <= _EXACT * self.n_events:
            return 1.0
        return None if self.weight is None else abs(self.weight)


def normalise(
    dataset: Dataset, files: Sequence[tuple[str, FileHistory, Sums]], *, is_complete: bool = True
) -> tuple[Normalisation | None, list[Doubt]]:
    """Give the Σ weight that the cross section of a dataset of simulation belongs to.

    A file that holds all its generated events counts with what was read of it, so that chunks may be missing;
    a filtered one with its Runs tree, and as a whole.

    Args:
        dataset: The dataset.
        files: Path, history and what was read, of the files that were read, also of those without entries.
        is_complete: Whether everything planned was read; a stated sum is of nothing else.

    Returns:
        The sum, None where it is not known; and what does not fit. Where that is accepted, the sum is as its
        `Doubt.meaning` says.
    """
    if dataset.kind == "data":
        return None, []
    total = Sums.of(sums for _, _, sums in files)
    if dataset.sumw is not None or dataset.n_events is not None:
        return _as_stated(dataset, total) if is_complete else (None, [])
    parts = [_generated_sum(path, history, sums) for path, history, sums in files]
    doubts = [unknown_history(problem) for _, problem in parts if problem]
    is_known = all(sumw is not None for sumw, _ in parts)
    if not is_known and "unknown_history" not in dataset.accept:
        return None, doubts
    kept = [
        read.sumw if sumw is None else sumw
        for (sumw, _), (_, _, read) in zip(parts, files, strict=True)
    ]
    return Normalisation(sumw=math.fsum(kept), source="Runs" if is_known else "events"), doubts


def _generated_sum(path: str, history: FileHistory, read: Sums) -> tuple[float | None, str]:
    """Σ weight of the generated events that a file stands for, None if not known; and what is wrong with it."""
    if not history.is_known or history.is_wrong:
        return None, ""  # told before anything was read
    if history.is_whole:
        expected, n = history.sumw, history.n_entries
        if expected is None or read.n_events < n:
            return read.sumw, ""
        # √(n Σw²) is Σ|w| for equal |w|, and no less in general.
        scale = max(abs(expected), (n * read.sumw2) ** 0.5)
        if abs(read.sumw - expected) <= _EXACT * scale:
            return read.sumw, ""
        return None, (
            f"{path}: Σ genWeight over its {n} entries is {read.sumw:.9g}, its Runs tree says {expected:.9g} for as"
            " many: entries or weights were changed after it was made"
        )
    if history.sumw is None:
        if read.weight is not None and history.n_generated is not None:
            return history.n_generated * read.weight, ""
        return None, (
            f"{path}: {history.n_entries} of {history.n_generated} events are left, their weights differ, and its Runs tree"
            " has no genEventSumw, or one that is not finite"
        )
    most = (history.n_generated or math.inf) * (read.size or math.inf)
    if abs(history.sumw) > most * (1 + _EXACT):
        return None, (
            f"{path}: the weights of its {history.n_entries} entries are {read.size:.9g} or minus that, and Σ genWeight of all"
            f" {history.n_generated} generated events is {history.sumw:.9g} by its Runs tree, which is more than they can add up to:"
            " weights were rescaled after it was made"
        )
    if read.weight is not None and read.sumw > history.sumw * (1 + _EXACT) + _EXACT:
        return None, (
            f"{path}: Σ genWeight over its {history.n_entries} entries is {read.sumw:.9g}, more than the {history.sumw:.9g} of its Runs tree"
        )
    return history.sumw, ""


def _as_stated(dataset: Dataset, read: Sums) -> tuple[Normalisation, list[Doubt]]:
    as_read = Normalisation(sumw=read.sumw, source="events")
    if dataset.n_events is not None:
        if dataset.n_events < read.n_events:
            what = f"n_events states {dataset.n_events} generated events, and {read.n_events} were read"
            return as_read, [unknown_history(what)]
        if read.weight is None:
            what = "n_events cannot stand for a sum of weights, since weights differ from event to event"
            return as_read, [unknown_history(what)]
        return Normalisation(sumw=dataset.n_events * read.weight, source="n_events"), []
    sumw = dataset.sumw or 0.0
    if sumw < read.sumw * (1 - ROUNDED):
        what = f"sumw states {sumw:.9g}, and the events that were read have more, {read.sumw:.9g}"
        return as_read, [unknown_history(what)]
    return Normalisation(sumw=sumw, source="sumw"), []
