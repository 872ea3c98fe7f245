"""Names of parts: a hash of all that a part depends on, so that what is done is known by its name."""

from __future__ import annotations

import functools
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from oddjet.datasets.disk.digest import content_key, dependency_digest, source_digest
from oddjet.processors.events.source import ChunkSource

__all__ = ["code_digest", "detector_code", "with_key"]

_LAYOUT = 1
"""Of a part's rows and images; what else a folder says about them is no part of their names."""

_CODE = (
    "oddjet.processors",
    "oddjet.datasets.readers",
    "oddjet.datasets.files.years",
    "oddjet.datasets.jets",
    "oddjet.datasets.columns",
    "oddjet.datasets.kinematics",
    "oddjet.datasets.luminosity.mask",
    "oddjet.ml.representations",
)


@functools.cache
def code_digest() -> str:
    """Hash the sources that decide what is written for a chunk."""
    return source_digest(*_CODE)


@functools.cache
def detector_code(folder: str) -> str:
    """Hash the sources that decide what a saved detector says of a jet.

    The folder's fingerprint covers what was learned, not the code that scores with it.

    Returns:
        Hexadecimal SHA-256 over the modules of its detectors, of folds, and of all they import.
    """
    infos = [json.loads(path.read_bytes()) for path in sorted(Path(folder).rglob("detector.json"))]
    modules = {str(info["detector"]).partition(":")[0] for info in infos}
    return dependency_digest("oddjet.ml.folds", *sorted(modules))


def with_key(source: ChunkSource, *, settings: dict[str, Any], trust_code: bool) -> ChunkSource:
    """Name a chunk's part.

    The path of the file is not in the name, its uuid is: a copy elsewhere is the same file.

    `settings` are everything else that decides what is written; with `trust_code` the code does
    not.
    """
    content = {
        "dataset": source.dataset,
        "kind": source.kind,
        "truth": source.truth,
        "uuid": source.file_uuid,
        "tree": source.tree,
        "entries": (source.entry_start, source.entry_stop),
        "reader": source.reader_name,
        "year": source.year,
        "repeats_events": source.repeats_events,
        "schema": _LAYOUT,
        "settings": settings,
        "code": None if trust_code else code_digest(),
    }
    return replace(source, key=content_key(content))
