"""Compaction: a skim's or scores table's many small parts in few files of 100 to 500 MB.

A part stays a part: its key, its record and its rows are what they were, and so a run still knows
what is done. Only its rows are elsewhere: in a row group of `merged-<key>.parquet` that the record
names, its images in a range of `merged-<key>.npy`.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from oddjet.datasets.disk.atomic import atomic_write
from oddjet.datasets.disk.checksums import file_sha256
from oddjet.datasets.disk.digest import content_key
from oddjet.datasets.disk.lock import lock_folder
from oddjet.datasets.skims.manifest import ChunkRecord, write_manifest
from oddjet.datasets.skims.parts import (
    column_encodings,
    map_part_images,
    part_path,
    read_part,
    read_part_record,
    write_part,
    write_record,
)
from oddjet.datasets.skims.skim import Skim, open_skim
from oddjet.errors import ConfigError, SkimError

__all__ = ["Compaction", "compact", "copy_stored_parts", "remove_unused_files"]

logger = logging.getLogger(__name__)

_MERGED = re.compile(r"merged-[0-9a-f]{20}\.(parquet|npy)")
_TEMPORARY = re.compile(r"\.((?:merged-)?[0-9a-f]{20}|manifest)\..*\.(parquet|npy|json)")
_MB = 1e6

_Group: TypeAlias = list[ChunkRecord]


@dataclass(frozen=True)
class Compaction:
    """What compaction did.

    Attributes:
        n_parts: Parts of the table, as before.
        n_files_before: Parquet files that held them.
        n_files: Parquet files that hold them.
        megabytes: Size of each of these [MB], in the table's order.
    """

    n_parts: int
    n_files_before: int
    n_files: int
    megabytes: tuple[float, ...]


def compact(folder: Path | str, *, target_mb: float = 256.0) -> Compaction:
    """Merge the small parts of a finished skim or scores table; nobody may write or read it meanwhile.

    Every row and its order are kept. One part is in memory at a time. It may be killed anywhere:
    merged files are put in place whole, the manifest names them next, the parts' records after
    that, and old files go last, so that manifest and records always name files that are there.
    Calling it again finishes it; what is merged already is left as it is.

    Args:
        folder: The folder of a finished run.
        target_mb: Size of a parquet file at which the next is begun [MB]. A dataset's last file is
            smaller, and a part that is larger stays alone. Images are 4 kB a jet beside it.

    Returns:
        Numbers of files.

    Raises:
        ConfigError: If the size is not positive.
        SkimError: If the table is not finished, or a part is damaged.
        ProcessingError: If another process writes into the folder.
    """
    if not target_mb > 0:
        msg = f"target_mb: expected a positive size, received {target_mb}"
        raise ConfigError(msg)
    skim = open_skim(folder)
    with lock_folder(skim.folder):
        return _compact(skim, target_mb)


def _compact(skim: Skim, target_mb: float) -> Compaction:
    folder = skim.folder
    _remove_temporary_files(folder)
    before = skim.manifest.chunks
    records: dict[tuple[str, str], ChunkRecord] = {}
    for group in _groups(folder, before, target_mb * _MB):
        for record in _merge(folder, group):
            records[record.dataset, record.key] = record
    chunks = tuple(records[record.dataset, record.key] for record in before)
    if chunks != before:
        write_manifest(folder, skim.manifest.model_copy(update={"chunks": chunks}))
    for record in chunks:
        if read_part_record(folder, record.dataset, record.key) != record:
            write_record(folder, record)
    _remove_own_files(folder, chunks)
    remove_unused_files(folder)
    files = _files(folder, chunks)
    return Compaction(
        n_parts=len(chunks),
        n_files_before=len(_files(folder, before)),
        n_files=len(files),
        megabytes=tuple(path.stat().st_size / _MB for path in files),
    )


def remove_unused_files(folder: Path | str) -> None:
    """Remove merged files of which no part is used any more."""
    folder = Path(folder)
    merged = [path for path in folder.glob("*/merged-*") if _MERGED.fullmatch(path.name)]
    used = set()
    for dataset in {path.parent for path in merged}:
        for path in dataset.glob("[!.]*.json"):
            record = read_part_record(folder, dataset.name, path.stem)
            if record is not None and record.stored_in is not None:
                used.add((dataset, record.stored_in))
    for path in merged:
        if (path.parent, path.stem) not in used:
            path.unlink(missing_ok=True)
            logger.info("removed %s, of which no part is used any more", path)


def copy_stored_parts(skim: Skim, folder: Path) -> Skim:
    """Write parts that are stored among others as parts of their own elsewhere, to be sent away.

    Returns:
        The same parts, none stored among others; those that were not are not copied.
    """
    records = []
    for record in skim.manifest.chunks:
        own = record.model_copy(update={"stored_in": None, "first_row": 0})
        records.append(own)
        if record.stored_in is None:
            continue
        part = skim.only(record)
        images = part.images() if record.images else None
        records[-1] = write_part(
            folder, record.dataset, record.key, part.jets(), images=images, record=own
        )
    return replace(skim, manifest=skim.manifest.model_copy(update={"chunks": tuple(records)}))


def _groups(folder: Path, records: Sequence[ChunkRecord], target: float) -> list[_Group]:
    """Group parts, in order; a group has one dataset and one schema.

    A file that is large enough already is a group if all its parts are still used.
    """
    groups: list[_Group] = []
    open_group: tuple[str, pa.Schema, bool] | None = None
    size = 0.0
    for record in records:
        path = part_path(folder, record, ".parquet")
        n_bytes, schema = _look(path, record)
        is_large = record.stored_in is not None and path.stat().st_size >= target / 2
        same = open_group is not None and open_group[0] == record.dataset
        same = same and open_group is not None and schema.equals(open_group[1])
        if is_large:
            same = same and groups[-1][-1].stored_in == record.stored_in
        elif same and open_group is not None:
            same = not open_group[2] and size + n_bytes <= target
        if same:
            groups[-1].append(record)
            size += n_bytes
        else:
            groups.append([record])
            open_group, size = (record.dataset, schema, is_large), n_bytes
    return groups


def _look(path: Path, record: ChunkRecord) -> tuple[float, pa.Schema]:
    """Size of a part's rows [bytes, compressed], and the schema of its file."""
    try:
        with pq.ParquetFile(path) as file:
            metadata, schema = file.metadata, file.schema_arrow
    except (OSError, pa.ArrowException) as error:
        msg = f"{path} cannot be read ({error}); make the part again before compaction"
        raise SkimError(msg) from error
    return path.stat().st_size * record.n_jets / max(1, metadata.num_rows), schema


def _merge(folder: Path, group: _Group) -> list[ChunkRecord]:
    """Write the parts of a group into one pair of files, unless that is where they are."""
    first_rows = np.cumsum([0, *(record.n_jets for record in group)])[:-1].tolist()
    name = f"merged-{content_key([[record.dataset, record.key] for record in group])}"
    merged = [
        record.model_copy(update={"stored_in": name, "first_row": row})
        for record, row in zip(group, first_rows, strict=True)
    ]
    if merged == group or (len(group) == 1 and group[0].stored_in is None):
        return group
    if len({record.images for record in group}) > 1:
        msg = f"{folder}: some parts of {group[0].dataset} have images and some have none"
        raise SkimError(msg)
    target = part_path(folder, merged[0], ".parquet")
    hashes = {".parquet": _merge_rows(folder, group, target)}
    if group[0].images:
        target = part_path(folder, merged[0], ".npy")
        hashes[".npy"] = _merge_images(folder, group, target)
    return [record.model_copy(update={"hashes": hashes}) for record in merged]


def _merge_rows(folder: Path, group: _Group, target: Path) -> str:
    """Write the rows of a group; gives the SHA-256 of the file."""
    with atomic_write(target) as temporary:
        writer = None
        for record in group:
            table = read_part(folder, record)
            if writer is None:
                options = column_encodings(table.schema)
                writer = pq.ParquetWriter(temporary, table.schema, compression="zstd", **options)
            # A row group a part, so that a part is read without the others.
            writer.write_table(table, row_group_size=max(1, table.num_rows))
        if writer is not None:
            writer.close()
        return file_sha256(temporary)


def _merge_images(folder: Path, group: _Group, target: Path) -> str:
    """Write the images of a group; gives the SHA-256 of the file."""
    n_jets = sum(record.n_jets for record in group)
    with atomic_write(target) as temporary:
        images = None
        row = 0
        for record in group:
            part = map_part_images(folder, record)
            if images is None:
                shape = (n_jets, *part.shape[1:])
                images = np.lib.format.open_memmap(temporary, "w+", part.dtype, shape)
            images[row : row + record.n_jets] = part
            row += record.n_jets
        if images is not None:
            images.flush()
        return file_sha256(temporary)


def _remove_temporary_files(folder: Path) -> None:
    """Remove what a compaction that was killed left half written."""
    for path in [*folder.glob(".*"), *folder.glob("*/.*")]:
        if _TEMPORARY.fullmatch(path.name):
            path.unlink(missing_ok=True)


def _remove_own_files(folder: Path, records: Iterable[ChunkRecord]) -> None:
    """Remove the files of parts that are stored among others."""
    for record in records:
        if record.stored_in is not None:
            for suffix in (".parquet", ".npy"):
                (folder / record.dataset / f"{record.key}{suffix}").unlink(missing_ok=True)


def _files(folder: Path, records: Iterable[ChunkRecord]) -> list[Path]:
    return list(dict.fromkeys(part_path(folder, record, ".parquet") for record in records))
