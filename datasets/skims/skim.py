"""Skims: selected jets on disk, as `oddjet.datasets.skims.parts` lays them out, with a manifest."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

import awkward as ak
import numpy as np
import numpy.typing as npt

from oddjet.datasets.disk.checksums import Verify, check_verify
from oddjet.datasets.files.dataset import Kind
from oddjet.datasets.jets import Jets, concatenate, empty_jets
from oddjet.datasets.skims.manifest import ChunkRecord, Manifest, MissingChunk, read_manifest
from oddjet.datasets.skims.parts import (
    compared,
    map_part_images,
    part_columns,
    part_paths,
    read_part,
)
from oddjet.errors import InputError, SkimError, did_you_mean
from oddjet.shown import Shown

__all__ = ["Skim", "open_skim"]

logger = logging.getLogger(__name__)


def open_skim(folder: Path | str, *, verify: Verify = "first") -> Skim:
    """Open a finished skim.

    Args:
        folder: Of the skim.
        verify: When its files are compared with the SHA-256 in the manifest: ``always`` when they are
            read, the ``first`` time that this process reads them, or ``never``.

    Returns:
        The skim; nothing but the manifest is read yet.

    Raises:
        SkimError: If there is no manifest (the run was interrupted), its schema is newer than this
            code, or a part it names is missing.
        ConfigError: If `verify` is none of these.

    A skim with parts missing, or of files of which something was accepted, is opened with a warning; `Skim.missing`
    lists the parts, the manifest's `caveats` the rest. One without checksums, of older code, is opened with a warning too.
    """
    check_verify(verify)
    folder = Path(folder)
    manifest = read_manifest(folder)
    paths = dict.fromkeys(p for chunk in manifest.chunks for p in part_paths(folder, chunk))
    missing = [path for path in paths if not path.is_file()]
    if missing:
        shown = ", ".join(str(path) for path in missing[:3])
        msg = (
            f"{folder}: {len(missing)} files that the manifest names are missing ({shown}); repeat the run that"
            " made the skim: it makes only what is missing"
        )
        raise SkimError(msg)
    if text := manifest.describe_caveats(shown=0):
        logger.warning("%s: %s (manifest.json names all)", folder, text)
    if verify != "never" and not manifest.has_checksums:
        logger.warning(
            "%s was made by an oddjet that wrote no checksums: damage to its files cannot be seen. Make the"
            " folder again to have them",
            folder,
        )
    return Skim(folder=folder, manifest=manifest, verify=verify)


@dataclass(frozen=True)
class Skim(Shown):
    """An open skim.

    Attributes:
        verify: When its files are compared with their SHA-256; see `open_skim`.
    """

    folder: Path
    manifest: Manifest
    verify: Verify = "first"

    @property
    def datasets(self) -> tuple[str, ...]:
        """Names of the datasets."""
        return tuple(self.manifest.datasets)

    @property
    def fields(self) -> tuple[str, ...]:
        """Columns of the jets; none where there is no part."""
        for chunk in self.manifest.chunks:
            return part_columns(self.folder, chunk, self.verify)
        return ()

    def to_dict(self) -> dict[str, Any]:
        """What the manifest says, ready for JSON."""
        return self.manifest.model_dump(mode="json")

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
            kinds: Kinds of datasets (data, background, peaking, signal); all if None.

        Returns:
            The jets in the order of the manifest's parts; of zero length if there are none.

        Raises:
            SkimError: If a dataset, kind or column is unknown or a part is damaged.
        """
        parts = [self._read(chunk, columns) for chunk in self._compared(datasets, kinds)]
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
        """Read jets as `jets` does, batch by batch, holding one part in memory at a time.

        Args:
            batch_size: Most jets a batch; batches do not reach over parts.
            datasets: As for `jets`, as the others are.
            columns: Fields to read.
            kinds: Kinds of datasets.

        Yields:
            Jets, never zero of them.

        Raises:
            SkimError: As `jets`.
        """
        for chunk in self._compared(datasets, kinds):
            part = self._read(chunk, columns)
            for start in range(0, len(part), batch_size):
                yield part[start : start + batch_size]

    def images(
        self,
        datasets: str | Iterable[str] | None = None,
        *,
        kinds: str | Iterable[str] | None = None,
    ) -> npt.NDArray[np.float32]:
        """Read images (n, height, width, channels) float32, aligned with `jets` called alike.

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
        whole = compared(self.folder, chunks, ".npy", self.verify)
        parts = [map_part_images(self.folder, chunk, "never") for chunk in whole]
        return np.concatenate(parts) if parts else np.empty((0, 0, 0, 1), np.float32)

    def check_representation(self, identity: dict[str, Any]) -> None:
        """Check that the images are of the representation that a detector wants.

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

    def only(self, record: ChunkRecord) -> Skim:
        """Keep one of its parts."""
        summaries = {record.dataset: self.manifest.datasets[record.dataset]}
        manifest = Manifest(kind=self.manifest.kind, datasets=summaries, chunks=(record,))
        return replace(self, manifest=manifest)

    def _compared(
        self, datasets: str | Iterable[str] | None, kinds: str | Iterable[str] | None
    ) -> Iterator[ChunkRecord]:
        """Give the parts that are wanted, each when its rows' file is compared with its SHA-256."""
        return compared(self.folder, self._chunks(datasets, kinds), ".parquet", self.verify)

    def _read(self, record: ChunkRecord, columns: Sequence[str] | None) -> Jets:
        jets = ak.from_arrow(read_part(self.folder, record, columns, verify="never"))
        return jets if columns is None else jets[list(columns)]

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
        known = get_args(Kind)
        kinds = known if kinds is None else kinds
        wanted = {kinds} if isinstance(kinds, str) else set(kinds)
        if unknown := wanted - {*known}:
            msg = f"unknown kind {', '.join(sorted(unknown))}; kinds are {', '.join(known)}"
            raise SkimError(msg)
        chosen = {name for name in names if summaries[name].kind in wanted}
        return [chunk for chunk in self.manifest.chunks if chunk.dataset in chosen]
