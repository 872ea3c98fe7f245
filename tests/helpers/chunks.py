"""What tests of the skim begin and end with: datasets and chunks of one file, jets as rows."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import awkward as ak

from oddjet.datasets.files.dataset import Dataset, Fileset
from oddjet.datasets.files.rootfiles import RootFile, inspect_root
from oddjet.datasets.jets import Jets
from oddjet.datasets.readers import find_reader
from oddjet.processors.events.source import ChunkSource


def one(path: Path | str, kind: str = "background", **more: Any) -> Fileset:
    return Fileset(datasets={"some": Dataset(files=[str(path)], kind=kind, **more)})


@cache
def _inspected(path: Path, changed: int) -> RootFile:
    """Of a real file of thousands of branches this takes a second; `changed` is when it was written."""
    del changed
    return inspect_root(path)


def source_of(path: Path, kind: str = "background", truth: tuple[int, ...] = ()) -> ChunkSource:
    file = _inspected(path, path.stat().st_mtime_ns)
    reader = find_reader(file.branches).name
    return ChunkSource(
        "some", kind, truth, str(path), file.uuid, "Events", 0, file.n_entries, reader, "key"
    )


def rows(jets: Jets) -> list[dict[str, Any]]:
    """Jets as sorted Python rows; places in image files depend on chunks."""
    fields = [name for name in jets.fields if name != "image_index"]
    return sorted(
        ak.to_list(jets[fields]), key=lambda r: (r["dataset"], r["event"], r["jet_index"])
    )
