"""Parts of a skim on disk: one parquet file a chunk, with optional images and a record.

::

    skim/manifest.json              what made it, from what; names the parts, and only these are read
    skim/<dataset>/<key>.parquet    one row a jet, constituents inside
    skim/<dataset>/<key>.npy        images (n, 32, 32, 1) float32, optional
    skim/<dataset>/<key>.json       the chunk's record, written last: it is what makes the part count, and
                                    has the SHA-256 of both and of itself

`oddjet.datasets.skims.compaction` puts many parts into one pair of files `merged-<key>.parquet` and
`.npy`; records name the place.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import awkward as ak
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from oddjet.datasets.columns import CATEGORICAL_FIELDS, as_column
from oddjet.datasets.disk.atomic import atomic_write
from oddjet.datasets.disk.checksums import Verify, file_sha256, fits
from oddjet.datasets.disk.state import read_state, write_state
from oddjet.datasets.disk.validation import require_safe_name
from oddjet.datasets.jets import Jets
from oddjet.datasets.skims.manifest import ChunkRecord
from oddjet.errors import SkimError, did_you_mean

__all__ = [
    "column_encodings",
    "compared",
    "damaged_files",
    "map_part_images",
    "part_columns",
    "part_path",
    "part_paths",
    "read_part",
    "read_part_record",
    "read_part_rows",
    "write_part",
    "write_record",
]


_THREADS, _AHEAD = 2, 4


def write_part(
    folder: Path | str,
    dataset: str,
    key: str,
    jets: Jets,
    *,
    images: npt.NDArray[np.float32] | None,
    record: ChunkRecord,
) -> ChunkRecord:
    """Write one part of a skim; it counts once its record is there, which is written last.

    Writing a part again replaces it with the same content, so that a chunk may run twice.

    `images` have the shape (n_jets, height, width, channels); None for none, or where the file of images
    has been written, as the record then says.

    Returns:
        The record as written, with the SHA-256 of the files.

    Raises:
        ConfigError: If the dataset's name or the key would lead out of the folder.
        SkimError: If record, jets and images do not belong together.
    """
    stem = _stem(folder, dataset, key)
    if (record.dataset, record.key, record.n_jets) != (dataset, key, len(jets)):
        msg = (
            f"part {dataset}/{key} of {len(jets)} jets came with the record of {record.dataset}/{record.key},"
            f" which says {record.n_jets}"
        )
        raise SkimError(msg)
    if images is not None and len(images) != len(jets):
        msg = f"part {dataset}/{key}: {len(images)} images for {len(jets)} jets"
        raise SkimError(msg)
    _with(stem, ".json").unlink(missing_ok=True)
    hashes = {}
    with atomic_write(_with(stem, ".parquet")) as temporary:
        table = _to_arrow(jets)
        pq.write_table(table, temporary, compression="zstd", **column_encodings(table.schema))
        hashes[".parquet"] = file_sha256(temporary)
    if images is not None:
        with atomic_write(_with(stem, ".npy")) as temporary:
            np.save(temporary, np.asarray(images, np.float32), allow_pickle=False)
            hashes[".npy"] = file_sha256(temporary)
    elif record.images:
        hashes[".npy"] = file_sha256(_with(stem, ".npy"))
    record = record.model_copy(update={"images": ".npy" in hashes, "hashes": hashes})
    write_record(folder, record)
    return record


def write_record(folder: Path | str, record: ChunkRecord) -> None:
    """Write the record of a part, whose files exist."""
    write_state(_with(_stem(folder, record.dataset, record.key), ".json"), record)


def read_part_record(folder: Path | str, dataset: str, key: str) -> ChunkRecord | None:
    """Look whether a part is already there; see `damaged_files` for whether its files are what was written.

    Returns:
        Its record, or None if the part is not there or not whole, or the record is damaged.

    Raises:
        ConfigError: If the dataset's name or the key would lead out of the folder.
    """
    path = _with(_stem(folder, dataset, key), ".json")
    record = read_state(path, ChunkRecord, is_old=lambda known: not known.get("hashes"))
    if record is None or (record.dataset, record.key) != (dataset, key):
        return None
    return record if all(path.is_file() for path in part_paths(folder, record)) else None


def damaged_files(folder: Path | str, record: ChunkRecord, verify: Verify = "always") -> list[Path]:
    """List the files of a part that are not those that were written; none where older code made it."""
    return [
        path
        for path in part_paths(folder, record)
        if not fits(path, record.hashes.get(path.suffix), verify)
    ]


def _check_file(path: Path, record: ChunkRecord, verify: Verify) -> Path:
    """Give a part's file back if it is what was written."""
    if not fits(path, record.hashes.get(path.suffix), verify):
        msg = (
            f"{path} is not the file that was written: its SHA-256 is not the one in the record of the part. It"
            " was damaged or changed; repeat the command that made the folder: it makes this part again and keeps"
            " the others"
        )
        raise SkimError(msg)
    return path


def compared(
    folder: Path | str, records: Iterable[ChunkRecord], suffix: str, verify: Verify
) -> Iterator[ChunkRecord]:
    """Give records one by one, each when its file is compared; those of the next are read meanwhile.

    Args:
        folder: Of the skim.
        records: Of its parts.
        suffix: Which file of each, ``.parquet`` or ``.npy``.
        verify: As of `oddjet.datasets.disk.checksums.fits`.

    Yields:
        The records, in their order.

    Raises:
        SkimError: If a file is damaged.
    """
    if verify == "never":
        yield from records
        return
    waiting: deque[tuple[ChunkRecord, Future[Path]]] = deque()
    with ThreadPoolExecutor(_THREADS) as threads:
        path, check = None, None
        left = iter(records)
        while True:
            for record in itertools.islice(left, _AHEAD - len(waiting)):
                if check is None or part_path(folder, record, suffix) != path:
                    path = part_path(folder, record, suffix)
                    check = threads.submit(_check_file, path, record, verify)
                waiting.append((record, check))  # of many parts in one file, one look
            if not waiting:
                return
            record, done = waiting.popleft()
            done.result()
            yield record


def part_path(folder: Path | str, record: ChunkRecord, suffix: str) -> Path:
    """Give the file, with suffix ``.parquet`` or ``.npy``, that holds a part, of its own or among others."""
    return _with(_stem(folder, record.dataset, record.stored_in or record.key), suffix)


def part_paths(folder: Path | str, record: ChunkRecord) -> list[Path]:
    """List the files that hold a part."""
    return [part_path(folder, record, suffix) for suffix in record.suffixes]


def part_columns(
    folder: Path | str, record: ChunkRecord, verify: Verify = "first"
) -> tuple[str, ...]:
    """Name the columns of a part.

    Raises:
        SkimError: If the file is damaged.
    """
    path = _check_file(part_path(folder, record, ".parquet"), record, verify)
    try:
        return tuple(pq.read_schema(path).names)
    except (OSError, pa.ArrowException) as error:
        raise _unreadable(path, error) from error


def read_part(
    folder: Path | str,
    record: ChunkRecord,
    columns: Sequence[str] | None = None,
    *,
    verify: Verify = "first",
) -> pa.Table:
    """Read a part's rows, all or those columns, and of a file of many parts no others.

    Raises:
        SkimError: If a column is unknown or the file is damaged.
    """
    path = _check_file(part_path(folder, record, ".parquet"), record, verify)
    try:
        with pq.ParquetFile(path) as file:
            names = file.schema_arrow.names
            if unknown := [name for name in columns or () if name not in names]:
                hints = "".join(did_you_mean(name, names) for name in unknown)
                msg = (
                    f"{path} has no column {', '.join(unknown)}; it has {', '.join(names)}.{hints}"
                )
                raise SkimError(msg)
            table = read_part_rows(file, record, columns)
    except (OSError, pa.ArrowException) as error:
        raise _unreadable(path, error) from error
    if table.num_rows != record.n_jets:
        msg = f"{path} has {table.num_rows} jets, the manifest says {record.n_jets}; make the skim again"
        raise SkimError(msg)
    return table


def read_part_rows(
    file: pq.ParquetFile, record: ChunkRecord, columns: Sequence[str] | None = None
) -> pa.Table:
    """Read a part's rows, and of a file of many parts no others."""
    names = None if columns is None else list(columns)
    if record.stored_in is None:
        return file.read(columns=names)
    start, stop = record.first_row, record.first_row + record.n_jets
    groups: list[int] = []
    offset = row = 0
    for group in range(file.num_row_groups):
        n_rows = file.metadata.row_group(group).num_rows
        if row < stop and row + n_rows > start:
            offset = offset if groups else row
            groups.append(group)
        row += n_rows
    return file.read_row_groups(groups, columns=names).slice(start - offset, record.n_jets)


def map_part_images(
    folder: Path | str, record: ChunkRecord, verify: Verify = "first"
) -> npt.NDArray[np.float32]:
    """Map a part's images (n_jets, height, width, channels), float32, into memory; none is read yet but to verify.

    Raises:
        SkimError: If the file is damaged.
    """
    path = _check_file(part_path(folder, record, ".npy"), record, verify)
    try:
        images = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise _unreadable(path, error) from error
    if record.stored_in is not None:
        images = images[record.first_row : record.first_row + record.n_jets]
    if len(images) != record.n_jets:
        msg = f"{path} has {len(images)} images, the manifest says {record.n_jets}; make the skim again"
        raise SkimError(msg)
    return images  # type: ignore[no-any-return]


def _unreadable(path: Path, error: Exception) -> SkimError:
    return SkimError(
        f"{path} cannot be read ({error}); remove {path.with_suffix('.json')} and repeat the run"
    )


def _stem(folder: Path | str, dataset: str, key: str) -> Path:
    require_safe_name(dataset, "dataset")
    require_safe_name(key, "part")
    return Path(folder) / dataset / key


def _with(stem: Path, suffix: str) -> Path:
    """Append a suffix; `with_suffix` would eat what follows a dot in the key."""
    return stem.parent / f"{stem.name}{suffix}"


def column_encodings(schema: pa.Schema) -> dict[str, list[str]]:
    """Choose encodings: dictionaries where values repeat, split bytes elsewhere.

    That is twice as fast as the default.

    Returns:
        Options of `pyarrow.parquet.ParquetWriter`.
    """
    floats = [field.name for field in schema if pa.types.is_floating(field.type)]
    repeating = [*CATEGORICAL_FIELDS, "run", "luminosityBlock", "label", "rank", "truth_pdgId"]
    if "constituents" in schema.names:
        inside = "constituents.list.element."
        floats += [f"{inside}{name}" for name in ("pt", "eta", "phi")]
        repeating += [f"{inside}{name}" for name in ("mass", "pdgId")]
    return {"use_dictionary": repeating, "use_byte_stream_split": floats}


def _to_arrow(jets: Jets) -> pa.Table:
    named = [name for name in CATEGORICAL_FIELDS if name in jets.fields]
    plain = jets[[name for name in jets.fields if name not in named]]
    table = ak.to_arrow_table(ak.to_packed(plain), extensionarray=False)
    for name in named:
        # Awkward cannot write a categorical array of zero length.
        column = as_column(name, jets[name], len(jets))
        index = pa.array(np.asarray(column.layout.index.data), pa.int32())
        names = pa.array(ak.categories(column).to_list(), pa.string())
        values = pa.DictionaryArray.from_arrays(index, names)
        table = table.append_column(pa.field(name, values.type, nullable=False), values)
    return table
