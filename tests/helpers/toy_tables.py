"""What tests of many rooms write: tables of toy jets, modules of other packages, a small hunt."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from oddjet.datasets.jets import Jets
from oddjet.datasets.skims.manifest import ChunkRecord, DatasetSummary, Manifest, write_manifest
from oddjet.datasets.skims.parts import write_part
from oddjet.datasets.skims.skim import Skim

SMALL_HUNT: dict[str, Any] = {
    "function": "exppoly2",
    "range": [20, 220],
    "bin_width": 10,
    "window": [60, 100],
    "working_points": [0.5],
    "pt_edges": [350, 500, 13000],
    "widths": [2, 4],
    "n_toys": 100,
}
"""A hunt that a few hundred simulated jets allow."""


def write_table(
    folder: Path,
    jets: Mapping[str, Jets],
    kinds: Mapping[str, Any],
    *,
    kind: Literal["skim", "scores"] = "skim",
) -> Skim:
    """Write jets by dataset as a finished table, one part a dataset, an event a jet, Σw = n."""
    chunks, datasets = [], {}
    for number, (name, sample) in enumerate(jets.items()):
        n = len(sample)
        record = ChunkRecord(
            key=f"{number:020x}", dataset=name, file=f"{name}.root", file_uuid=name, tree="Events",
            entry_start=0, entry_stop=n, n_events=n, n_jets=n, sumw=n, sumw2=n,
        )  # fmt: skip
        chunks.append(write_part(folder, name, record.key, sample, images=None, record=record))
        datasets[name] = DatasetSummary(kind=kinds[name], sumw=n, sumw2=n, n_events=n)
    manifest = Manifest(kind=kind, datasets=datasets, chunks=tuple(chunks))
    write_manifest(folder, manifest)
    return Skim(folder, manifest)


@contextmanager
def module_on_path(folder: Path, name: str, source: str) -> Iterator[None]:
    """Write a module as somebody else's package has it, and let Python find it."""
    (folder / f"{name}.py").write_text(source)
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))
