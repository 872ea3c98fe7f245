"""Removing what no manifest names: files of interrupted writes and parts of earlier settings."""

from __future__ import annotations

import logging
import re
from collections.abc import Collection
from pathlib import Path

from oddjet.datasets.skims.compaction import remove_unused_files

__all__ = ["remove_stale_parts", "remove_temporary_files"]

logger = logging.getLogger(__name__)

_PART = re.compile(r"[0-9a-f]{20}\.(parquet|npy|json)")
_TEMPORARY = re.compile(
    r"\.((?:merged-)?[0-9a-f]{20}|failures|manifest|histograms|unique)\..*\.(parquet|npy|json)"
)


def remove_temporary_files(folder: Path) -> None:
    """Remove what writers that were killed left behind."""
    for path in [*folder.glob(".*"), *folder.glob("*/.*")]:
        if path.is_file() and _TEMPORARY.fullmatch(path.name):
            path.unlink(missing_ok=True)


def remove_stale_parts(folder: Path, keys: Collection[str]) -> None:
    """Remove parts that the manifest does not name, records first."""
    stale = [
        path
        for path in folder.glob("*/*")
        if _PART.fullmatch(path.name) and path.stem not in set(keys)
    ]
    for path in sorted(stale, key=lambda path: path.suffix != ".json"):
        path.unlink(missing_ok=True)
    remove_unused_files(folder)
    for parent in {path.parent for path in stale}:
        if not any(parent.iterdir()):
            parent.rmdir()
    if stale:
        logger.info("%s: removed %d files of parts made with other settings", folder, len(stale))
