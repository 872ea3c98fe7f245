"""What a file says of its history: of which events it is what is left.

NanoAOD keeps it in two small trees. `Runs` of simulation counts the generated events and adds up their weights, before any filter;
`LuminosityBlocks` of data lists all blocks, those without an event too. Skims made elsewhere often lost these trees, and then nobody
can tell from the file what a cross section or a luminosity belongs to. `oddjet.datasets.files.doubts` compares it with what is declared,
`oddjet.datasets.files.normalisation` draws the conclusion for cross sections.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["FileHistory", "read_history"]

_GENERATED = re.compile(
    r"n?(Sub)?Gen[A-Z].*|gen[A-Z].*|Generator_.*|n?LHE.*|n?PSWeight|HTXS_.*|Pileup_.*"
    r"|(?!HLT_|L1_)\w+_(gen(Jet|Part|Vis)\w*(Idx|Flav)|(hadron|parton)Flavour|n[BC]Hadrons)"
)
"""Names of branches that real events do not have, in NanoAOD of any version and its extensions."""


@dataclass(frozen=True)
class FileHistory:
    """What a file says of the events it was made from.

    Attributes:
        n_entries: Entries of its tree of events.
        n_generated: Events that its `Runs` tree counts (genEventCount), None without.
        sumw: Σ of their weights (genEventSumw), None without, or if it is not finite.
        runs: Least and greatest run number in `Runs` or `LuminosityBlocks`, None without.
        has_blocks: Whether it has the tree `LuminosityBlocks`.
        generated: What in it real events do not have, empty if nothing.
    """

    n_entries: int = 0
    n_generated: int | None = None
    sumw: float | None = None
    runs: tuple[int, int] | None = None
    has_blocks: bool = False
    generated: str = ""

    @property
    def is_known(self) -> bool:
        """Whether the file tells of which generated events it is what is left."""
        return self.n_generated is not None or self.sumw is not None

    @property
    def is_whole(self) -> bool:
        """Whether all generated events are in it."""
        return self.n_generated == self.n_entries

    @property
    def is_wrong(self) -> bool:
        """Whether it holds more events than were generated: a `Runs` tree was lost in merging."""
        return self.n_generated is not None and self.n_generated < self.n_entries


def read_history(file: Any, n_entries: int, branches: Collection[str]) -> FileHistory:
    """Read what an open ROOT file says of its history."""
    has_blocks = "LuminosityBlocks" in file
    # Early NanoAOD wrote an underscore at the end.
    names = ("genEventCount", "genEventCount_", "genEventSumw", "genEventSumw_")
    runs = _columns(file, "Runs", ("run", *names))
    count = next((runs[name] for name in names[:2] if name in runs), None)
    sumw = next((runs[name] for name in names[2:] if name in runs), None)
    total = math.nan if sumw is None else float(np.sum(sumw, dtype=np.float64))
    numbers = runs.get("run", ())
    if not len(numbers):
        numbers = _columns(file, "LuminosityBlocks", ("run",)).get("run", ())
    return FileHistory(
        n_entries=n_entries,
        n_generated=None if count is None else int(np.sum(count)),
        sumw=total if math.isfinite(total) else None,
        runs=(int(np.min(numbers)), int(np.max(numbers))) if len(numbers) else None,
        has_blocks=has_blocks,
        generated=_mark(branches) or ("" if sumw is None else "Runs.genEventSumw"),
    )


def _mark(branches: Iterable[str]) -> str:
    """Name what real events do not have, genWeight if it is there; empty if nothing."""
    marks = sorted(name for name in branches if _GENERATED.fullmatch(name))
    return next((name for name in ("genWeight", *marks) if name in marks), "")


def _columns(file: Any, tree: str, names: Sequence[str]) -> Mapping[str, Any]:
    if tree not in file:
        return {}
    opened = file[tree]
    known = [name for name in names if name in set(opened.keys())]
    return {name: opened[name].array(library="np") for name in known}
