"""Skims: selected jets on disk, one parquet file a chunk, with optional images and a manifest.

::

    skim/manifest.json              what made it, from what; names the parts, and only these are read
    skim/<dataset>/<key>.parquet    one row a jet, constituents inside
    skim/<dataset>/<key>.npy        images (n, 32, 32, 1) float32, optional
    skim/<dataset>/<key>.json       the chunk's record, written last: it is what makes the part count

`oddjet.datasets.skims.compaction` puts many parts into one pair of files `merged-<key>.parquet` and `.npy`; records say where.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, overload

import awkward as ak
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from oddjet.datasets.columns import CATEGORICAL_FIELDS, as_column
from oddjet.datasets.disk.atomic import atomic_write, write_text
from oddjet.datasets.disk.validation import require_safe_name, validate
from oddjet.datasets.jets import Jets, concatenate, empty_jets
from oddjet.datasets.skims.manifest import ChunkRecord, Manifest, MissingChunk, read_manifest
from oddjet.errors import ConfigError, InputError, SkimError, did_you_mean

__all__ = [
    "Skim",
    "column_encodings",
    "open_skim",
    "part_path",
    "read_part_record",
    "read_part_rows",
    "write_part",
]

logger = logging.getLogger(__name__)


def write_part(
    folder: Path | str,
    dataset: str,
    key: str,
    jets: Jets,
    *,
    images: npt.NDArray[np.float32] | None,
    record: ChunkRecord,
) -> None:
    """Write one part of a skim; it counts once its record is there, which is written last.

    Writing a part again replaces it with the same content, so that a chunk may run twice.

    Args:
        folder: The skim's folder.
        dataset: Name in the fileset.
        key: Name of the part.
        jets: Selected jets (n).
        images: Images (n, height, width, channels) float32, or None.
        record: The chunk's record.

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
    stem.with_suffix(".json").unlink(missing_ok=True)
    with atomic_write(_with(stem, ".parquet")) as temporary:
        table = _to_arrow(jets)
        pq.write_table(table, temporary, compression="zstd", **column_encodings(table.schema))
    if images is not None:
        with atomic_write(_with(stem, ".npy")) as temporary:
            np.save(temporary, np.asarray(images, np.float32), allow_pickle=False)
    record = record.model_copy(update={"images": images is not None})
    write_text(_with(stem, ".json"), record.model_dump_json(indent=1) + "\n")


def read_part_record(folder: Path | str, dataset: str, key: str) -> ChunkRecord | None:
    """Look whether a part is already there.

    Args:
        folder: The skim's folder.
        dataset: Name in the fileset.
        key: Name of the part.

    Returns:
        Its record, or None if the part is not there or not whole.

    Raises:
        ConfigError: If the dataset's name or the key would lead out of the folder.
    """
    stem = _stem(folder, dataset, key)
    path = _with(stem, ".json")
    try:
        record = validate(ChunkRecord, json.loads(path.read_text(encoding="utf-8")), str(path))
    except (OSError, ValueError, ConfigError):
        return None
    if (record.dataset, record.key) != (dataset, key):
        return None
    return record if all(path.is_file() for path in _part_paths(folder, record)) else None


def part_path(folder: Path | str, record: ChunkRecord, suffix: str) -> Path:
    """Say which file holds a part, of its own or among others.

    Args:
        folder: The skim's folder.
        record: The part's record.
        suffix: ``.parquet`` or ``.npy``.

    Returns:
        The path.
    """
    return _with(_stem(folder, record.dataset, record.stored_in or record.key), suffix)


def read_part_rows(
    file: pq.ParquetFile, record: ChunkRecord, columns: Sequence[str] | None = None
) -> pa.Table:
    """Read a part's rows, and of a file of many parts no others.

    Args:
        file: The open file that `part_path` names.
        record: The part's record.
        columns: Columns to read, nested ones by their top name; all if None.

    Returns:
        The rows: n_jets of them if the file is whole.
    """
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


def _part_paths(folder: Path | str, record: ChunkRecord) -> list[Path]:
    suffixes = [".parquet", ".npy"] if record.images else [".parquet"]
    return [part_path(folder, record, suffix) for suffix in suffixes]


@overload
def open_skim(folder: Path | str, *, lazy: Literal[False] = False) -> Skim: ...
@overload
def open_skim(folder: Path | str, *, lazy: Literal[True]) -> Any: ...
def open_skim(folder: Path | str, *, lazy: bool = False) -> Skim | Any:
    """Open a finished skim.

    Args:
        folder: The folder a run has written.
        lazy: Give a dask-awkward array of all jets, a partition a part; needs `oddjet[lazy]`.

    Returns:
        The skim; nothing but the manifest is read yet.

    Raises:
        SkimError: If there is no manifest (the run was interrupted), its schema is newer than this
            code, or a part it names is missing.
        ConfigError: If it is to be lazy, and dask-awkward is not there or does not fit.

    A skim that was made with parts missing is opened with a warning; `Skim.missing` lists them.
    """
    folder = Path(folder)
    manifest = read_manifest(folder)
    paths = dict.fromkeys(p for chunk in manifest.chunks for p in _part_paths(folder, chunk))
    missing = [path for path in paths if not path.is_file()]
    if missing:
        shown = ", ".join(str(path) for path in missing[:3])
        msg = (
            f"{folder}: {len(missing)} files that the manifest names are missing ({shown}); repeat the run that"
            " made the skim: it makes only what is missing"
        )
        raise SkimError(msg)
    if manifest.missing:
        logger.warning(
            "%s: %s (manifest.json names all)", folder, manifest.describe_missing(shown=0)
        )
    skim = Skim(folder=folder, manifest=manifest)
    if lazy:
        from oddjet.datasets.skims.lazy import lazy_jets  # noqa: PLC0415 (an extra)

        return lazy_jets(skim)
    return skim


@dataclass(frozen=True)
class Skim:
    """An open skim.

    Attributes:
        folder: Where it is.
        manifest: What it says of itself.
    """

    folder: Path
    manifest: Manifest

    @property
    def datasets(self) -> tuple[str, ...]:
        """Names of the datasets."""
        return tuple(self.manifest.datasets)

    @property
    def missing(self) -> tuple[MissingChunk, ...]:
        """What was planned and is not in it."""
        return self.manifest.missing

    @property
    def n_jets(self) -> int:
        """Number of jets in all datasets."""
        return sum(chunk.n_jets for chunk in self.manifest.chunks)

    def jets(
        self,
        datasets: str | Iterable[str] | None = None,
        *,
        columns: Sequence[str] | None = None,
        kinds: str | Iterable[str] | None = None,
    ) -> Jets:
        """Read jets into memory.

        Args:
            datasets: Names of datasets; all if None.
            columns: Fields to read; all if None.
            kinds: Kinds of datasets (data, background, signal); all if None.

        Returns:
            The jets in the order of the manifest's parts; of zero length if there are none.

        Raises:
            SkimError: If a dataset, kind or column is unknown or a part is damaged.
        """
        parts = [self._read(chunk, columns) for chunk in self._chunks(datasets, kinds)]
        if not parts:
            empty = empty_jets(columns or ())
            return empty if columns is None else empty[list(columns)]
        try:
            return concatenate(parts)
        except InputError as error:
            msg = f"{self.folder}: {error}"
            raise SkimError(msg) from error

    def iter_jets(
        self,
        batch_size: int = 65536,
        *,
        datasets: str | Iterable[str] | None = None,
        columns: Sequence[str] | None = None,
        kinds: str | Iterable[str] | None = None,
    ) -> Iterator[Jets]:
        """Read jets batch by batch, holding one part in memory at a time.

        Args:
            batch_size: Most jets a batch; batches do not reach over parts.
            datasets: As for `jets`.
            columns: As for `jets`.
            kinds: As for `jets`.

        Yields:
            Jets, never zero of them.

        Raises:
            SkimError: As `jets`.
        """
        for chunk in self._chunks(datasets, kinds):
            part = self._read(chunk, columns)
            for start in range(0, len(part), batch_size):
                yield part[start : start + batch_size]

    def images(
        self,
        datasets: str | Iterable[str] | None = None,
        *,
        kinds: str | Iterable[str] | None = None,
    ) -> npt.NDArray[np.float32]:
        """Read images, aligned with `jets` called with the same datasets and kinds.

        Args:
            datasets: As for `jets`.
            kinds: As for `jets`.

        Returns:
            (n, height, width, channels) float32.

        Raises:
            SkimError: If the skim was made without images, or image and jet numbers differ.
        """
        chunks = self._chunks(datasets, kinds)
        if without := [chunk for chunk in chunks if not chunk.images]:
            msg = (
                f"{self.folder}: {len(without)} of {len(chunks)} parts have no images; compute them with a"
                " representation from the jets, or make the skim again with images"
            )
            raise SkimError(msg)
        # Mapped, so that only the result is in memory; a part's size is checked before it is read.
        parts = [self._map_images(chunk) for chunk in chunks]
        return np.concatenate(parts) if parts else np.empty((0, 0, 0, 1), np.float32)

    def check_representation(self, identity: dict[str, Any]) -> None:
        """Check that the images are of the representation that a detector wants.

        Args:
            identity: The representation's identity: class name, version, fields.

        Raises:
            SkimError: If the skim has no images or they are of another representation.
        """
        mine = self.manifest.representation
        wanted = json.loads(json.dumps(identity))  # tuples and lists are the same in a manifest
        if mine is None:
            msg = f"{self.folder}: made without images; expected those of {wanted}"
            raise SkimError(msg)
        if mine != wanted:
            keys = [key for key in {**mine, **wanted} if mine.get(key) != wanted.get(key)]
            differs = "; ".join(
                f"{key}: {mine.get(key)!r} here, {wanted.get(key)!r} wanted" for key in keys
            )
            msg = (
                f"{self.folder}: its images were made with another representation ({differs}); make the skim"
                " again, or compute the images from the jets"
            )
            raise SkimError(msg)

    def _chunks(
        self, datasets: str | Iterable[str] | None, kinds: str | Iterable[str] | None
    ) -> list[ChunkRecord]:
        summaries = self.manifest.datasets
        datasets = summaries if datasets is None else datasets
        names = [datasets] if isinstance(datasets, str) else list(datasets)
        for name in names:
            if name not in summaries:
                hint = did_you_mean(name, summaries)
                msg = f"{self.folder} has no dataset {name!r}; it has {', '.join(summaries)}.{hint}"
                raise SkimError(msg)
        kinds = ("data", "background", "signal") if kinds is None else kinds
        wanted = {kinds} if isinstance(kinds, str) else set(kinds)
        if unknown := wanted - {"data", "background", "signal"}:
            msg = f"unknown kind {', '.join(sorted(unknown))}; kinds are data, background, signal"
            raise SkimError(msg)
        chosen = {name for name in names if summaries[name].kind in wanted}
        return [chunk for chunk in self.manifest.chunks if chunk.dataset in chosen]

    def _read(self, chunk: ChunkRecord, columns: Sequence[str] | None) -> Jets:
        path = part_path(self.folder, chunk, ".parquet")
        try:
            with pq.ParquetFile(path) as file:
                names = file.schema_arrow.names
                if unknown := [name for name in columns or () if name not in names]:
                    hints = "".join(did_you_mean(name, names) for name in unknown)
                    msg = f"{path} has no column {', '.join(unknown)}; it has {', '.join(names)}.{hints}"
                    raise SkimError(msg)
                table = read_part_rows(file, chunk, columns)
        except (OSError, pa.ArrowException) as error:
            msg = f"{path} cannot be read ({error}); remove {path.with_suffix('.json')} and repeat the run"
            raise SkimError(msg) from error
        if table.num_rows != chunk.n_jets:
            msg = f"{path} has {table.num_rows} jets, the manifest says {chunk.n_jets}; make the skim again"
            raise SkimError(msg)
        jets = ak.from_arrow(table)
        return jets if columns is None else jets[list(columns)]

    def _map_images(self, chunk: ChunkRecord) -> npt.NDArray[np.float32]:
        path = part_path(self.folder, chunk, ".npy")
        try:
            images = np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            msg = f"{path} cannot be read ({error}); remove {path.with_suffix('.json')} and repeat the run"
            raise SkimError(msg) from error
        if chunk.stored_in is not None:
            images = images[chunk.first_row : chunk.first_row + chunk.n_jets]
        if len(images) != chunk.n_jets:
            msg = f"{path} has {len(images)} images, the manifest says {chunk.n_jets}; make the skim again"
            raise SkimError(msg)
        return images  # type: ignore[no-any-return]


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

    Args:
        schema: Of a part.

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
