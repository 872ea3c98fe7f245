"""What every output folder says about itself: what made it, from what, and whether it is whole."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from oddjet.datasets.balance import Balance
from oddjet.datasets.disk.checksums import Verify, fits
from oddjet.datasets.disk.state import DamagedStateError, unseal, write_state
from oddjet.datasets.disk.validation import validate
from oddjet.datasets.files.dataset import Kind
from oddjet.datasets.files.normalisation import Normalisation
from oddjet.errors import SkimError

__all__ = [
    "MANIFEST",
    "SCHEMA_VERSION",
    "ChunkRecord",
    "CutStep",
    "DatasetSummary",
    "FileRecord",
    "Manifest",
    "MissingChunk",
    "check_output",
    "describe_place",
    "merge_cutflows",
    "read_manifest",
    "write_manifest",
]

MANIFEST = "manifest.json"
SCHEMA_VERSION = 2
"""Since 2, manifests and records have the SHA-256 of files, and of themselves."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class CutStep(_Frozen):
    """One line of a cut flow: what was left after the cut.

    Attributes:
        name: The cut.
        n_events: Events with at least one jet left; for event cuts, events left.
        n_jets: Jets left.
        sumw: Σ weight of the events left.
    """

    name: str
    n_events: int = Field(ge=0)
    n_jets: int = Field(ge=0)
    sumw: float


class ChunkRecord(_Frozen):
    """The record of one processed chunk; its file is what makes the chunk count.

    Attributes:
        key: Name of the part's files; hashes what the part depends on.
        dataset: Name in the fileset.
        file: Path or URL read.
        file_uuid: The ROOT file's uuid.
        tree: Name of the tree.
        entry_start: First entry.
        entry_stop: One past the last entry.
        n_events: Events read.
        n_jets: Jets written.
        cutflow: What each cut left, in order.
        sumw: Σ genWeight of all entries, before any cut.
        sumw2: Σ genWeight² of all entries.
        counts: Warnings counted, such as jets_without_links.
        balance: How the constituents of its jets add up to them; in a manifest, None: datasets have it.
        notes: How its jets were read; in a manifest empty likewise.
        seconds: Wall time.
        images: Whether the part has an image file.
        stored_in: Name of the files that hold the part among others, see `oddjet.datasets.skims.compaction`;
            None where they are its own, and have its key for a name.
        first_row: Its first row in these.
        hashes: Suffix to SHA-256 of each file that holds the part; empty where older code made it.
    """

    key: str
    dataset: str
    file: str
    file_uuid: str
    tree: str
    entry_start: int = Field(ge=0)
    entry_stop: int = Field(ge=0)
    n_events: int = Field(ge=0)
    n_jets: int = Field(ge=0)
    cutflow: tuple[CutStep, ...] = ()
    sumw: float
    sumw2: float
    counts: dict[str, int] = Field(default_factory=dict)
    balance: Balance | None = None
    notes: tuple[str, ...] = ()
    seconds: float = 0.0
    images: bool = False
    stored_in: str | None = None
    first_row: int = Field(default=0, ge=0)
    hashes: dict[str, Annotated[str, Field(pattern="^[0-9a-f]{64}$")]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _check_hashes(self) -> ChunkRecord:
        if self.hashes and self.hashes.keys() != set(self.suffixes):
            msg = f"hashes: expected those of {', '.join(self.suffixes)}, received {', '.join(self.hashes)}"
            raise ValueError(msg)
        return self

    @property
    def suffixes(self) -> tuple[str, ...]:
        """Of the files that hold the part."""
        return (".parquet", ".npy") if self.images else (".parquet",)


class FileRecord(_Frozen):
    """An input file.

    Attributes:
        path: Path or URL.
        uuid: The ROOT file's uuid.
        size: Bytes, None if the source does not state it.
        n_entries: Entries of the tree.
        dataset: Name in the fileset.
    """

    path: str
    uuid: str
    size: int | None = None
    n_entries: int = Field(ge=0)
    dataset: str


class MissingChunk(_Frozen):
    """Entries that were planned and are not in the results.

    Attributes:
        dataset: Name in the fileset.
        file: Path or URL.
        entry_start: First entry, None where the file could not be opened.
        entry_stop: One past the last entry, None likewise.
        n_events: Number of entries, None if unknown.
        error: Class of the error.
        message: What it said.
    """

    dataset: str
    file: str
    entry_start: int | None = None
    entry_stop: int | None = None
    n_events: int | None = None
    error: str
    message: str

    @property
    def where(self) -> str:
        """File and entries, for messages."""
        if self.entry_start is None:
            return f"{self.file}, all entries"
        return f"{self.file}, entries [{self.entry_start}, {self.entry_stop})"


class DatasetSummary(_Frozen):
    """What is known of a dataset after processing.

    Attributes:
        kind: data, background or signal.
        cross_section_pb: Cross section [pb], None for data or if unknown.
        k_factor: Multiplies the cross section.
        label: For legends.
        year: Data-taking era.
        sumw: Σ genWeight over the processed entries, before any cut.
        sumw2: Σ genWeight².
        n_events: Processed entries.
        sumw_runs: Σ genEventSumw of the files' Runs trees; None without, or if entries are missing.
        norm: The Σ genWeight that the cross section belongs to; None for data and where it is not known.
        caveats: What was accepted of its files, and what else every output has to say.
        lumisections: For data, the certified luminosity blocks that were processed, as a
            certification file has them; None if not known.
        lumi_ifb: Their recorded luminosity [1/fb], None without a table of it.
        is_whole: Whether everything planned was processed.
        balance: How the constituents of its jets add up to them; None without jets.
        notes: How its jets were read; reports repeat it.
    """

    kind: Kind
    cross_section_pb: float | None = None
    k_factor: float = 1.0
    label: str | None = None
    year: str | None = None
    sumw: float
    sumw2: float
    n_events: int = Field(ge=0)
    sumw_runs: float | None = None
    norm: Normalisation | None = None
    caveats: tuple[str, ...] = ()
    lumisections: dict[str, list[tuple[int, int]]] | None = None
    lumi_ifb: float | None = None
    is_whole: bool = True
    balance: Balance | None = None
    notes: tuple[str, ...] = ()

    @property
    def generated_sumw(self) -> float | None:
        """The Σ genWeight that the cross section belongs to; None if not known."""
        # Manifests that were written before there was a norm held equal sums, or the filtered file's right one.
        return self.sumw_runs if self.norm is None else self.norm.sumw


class Manifest(_Frozen):
    """The manifest of an output folder.

    Attributes:
        schema_version: Of the folder's layout; newer ones than `SCHEMA_VERSION` are refused.
        kind: What the folder holds.
        config: The resolved configuration that made it.
        versions: Versions of oddjet, Python and the packages that matter.
        representation: Identity of the representation of the images, None without images.
        files: Input files.
        datasets: Dataset by name.
        chunks: The parts; only these are read.
        cutflow: Cut flow by dataset, summed over its chunks.
        planned_entries: Entries that were to be processed.
        processed_entries: Entries that were.
        failed_entries: Entries in chunks that failed; planned = processed + failed.
        missing: What failed, where missing parts were allowed; files that could not be opened are
            here alone, since their entries are unknown.
        outputs: Name to SHA-256 of the other files of the folder, such as histograms.json.
    """

    schema_version: int = SCHEMA_VERSION
    kind: Literal["skim", "scores"]
    config: dict[str, Any] = Field(default_factory=dict)
    versions: dict[str, str] = Field(default_factory=dict)
    representation: dict[str, Any] | None = None
    files: tuple[FileRecord, ...] = ()
    datasets: dict[str, DatasetSummary] = Field(default_factory=dict)
    chunks: tuple[ChunkRecord, ...] = ()
    cutflow: dict[str, tuple[CutStep, ...]] = Field(default_factory=dict)
    planned_entries: int = Field(default=0, ge=0)
    processed_entries: int = Field(default=0, ge=0)
    failed_entries: int = Field(default=0, ge=0)
    missing: tuple[MissingChunk, ...] = ()
    outputs: dict[str, str] = Field(default_factory=dict)

    @property
    def has_checksums(self) -> bool:
        """Whether damage of every part can be seen; not where older code made them."""
        return all(chunk.hashes for chunk in self.chunks)

    def describe_missing(self, *, shown: int = 5) -> str:
        """Describe what is missing in a few lines, empty if nothing is; name at most `shown` parts."""
        if not self.missing:
            return ""
        files = sum(part.entry_start is None for part in self.missing)
        chunks = len(self.missing) - files
        parts = []
        if files:
            parts.append(f"{files} file{'s' * (files > 1)} that could not be opened")
        if chunks:
            parts.append(
                f"{self.failed_entries:,} of {self.planned_entries:,} entries, in {chunks} chunk{'s' * (chunks > 1)}"
            )
        lines = [f"missing: {'; '.join(parts)}"]
        if not shown:
            return lines[0]
        lines += [f"  {p.dataset}: {p.where}: {p.error}: {p.message}" for p in self.missing[:shown]]
        if len(self.missing) > shown:
            lines.append(f"  and {len(self.missing) - shown} more; the manifest names all")
        return "\n".join(lines)

    @property
    def caveats(self) -> tuple[str, ...]:
        """What was accepted of the files, and what else every output has to say; with the dataset."""
        return tuple(f"{name}: {note}" for name, d in self.datasets.items() for note in d.caveats)

    def describe_caveats(self, *, shown: int = 5) -> str:
        """Say what is missing and what was accepted, a line each; empty if nothing."""
        return "\n".join(filter(None, [self.describe_missing(shown=shown), *self.caveats]))


def write_manifest(folder: Path | str, manifest: Manifest) -> None:
    """Write a folder's manifest atomically."""
    write_state(Path(folder) / MANIFEST, manifest)


def read_manifest(folder: Path | str) -> Manifest:
    """Read a folder's manifest.

    Raises:
        SkimError: If there is none, it is not JSON or not what was written, or its schema is newer than
            this code knows.
        ConfigError: If it is not a manifest.
    """
    path = Path(folder) / MANIFEST
    try:
        content = unseal(path, is_old=_has_no_hashes)
    except OSError as error:
        state = describe_place(folder, "holds no manifest.json")
        if Path(folder).is_dir() and not isinstance(error, FileNotFoundError):
            state = f"cannot be looked into ({error.strerror})"
        elif os.path.lexists(folder) and not Path(folder).is_dir():
            msg = f"{folder} {state}: expected the folder of a skim or of scores"
            raise SkimError(msg) from error
        msg = (
            f"{folder} {state}: a finished run writes it last. If the run was interrupted, repeat the same"
            " command: what is done is kept and only the rest is made"
        )
        raise SkimError(msg) from error
    except DamagedStateError as error:
        msg = (
            f"{path} cannot be used ({error}): repeat the command that made the folder: it keeps the parts that"
            " are whole, and writes the manifest again"
        )
        raise SkimError(msg) from error
    version = content.get("schema_version", 1)
    if type(version) is int and version > SCHEMA_VERSION:
        msg = (
            f"{path} has schema_version {version}; this oddjet knows up to {SCHEMA_VERSION}: upgrade oddjet,"
            " or make the folder again"
        )
        raise SkimError(msg)
    return validate(Manifest, content, str(path))


def describe_place(place: Path | str, folder: str) -> str:
    """Say what is at a place where a folder was expected; `folder` is what to say of one."""
    if Path(place).is_dir():
        return folder
    if Path(place).exists():
        return "is a file"
    return "is a link that leads nowhere" if os.path.lexists(place) else "does not exist"


def _has_no_hashes(content: dict[str, Any]) -> bool:
    """Whether a manifest without a seal is of a version that had none: the first; or newer than this code."""
    version = content.get("schema_version", 1)
    if type(version) is not int or version == SCHEMA_VERSION or version < 1:
        return False
    chunks = content.get("chunks")
    return version > SCHEMA_VERSION or not any(
        isinstance(chunk, dict) and chunk.get("hashes")
        for chunk in (chunks if isinstance(chunks, list) else ())
    )


def check_output(path: Path, verify: Verify = "first") -> None:
    """Compare a file with the manifest beside it, if there is one and it has the file's SHA-256.

    Raises:
        SkimError: If it is not the file that was written.
    """
    if not (path.parent / MANIFEST).is_file():
        return
    if not fits(path, read_manifest(path.parent).outputs.get(path.name), verify):
        msg = (
            f"{path} is not the file that was written: its SHA-256 is not that of {MANIFEST}. It was damaged or"
            " changed, or a run into the folder was interrupted: repeat the command that made it"
        )
        raise SkimError(msg)


def merge_cutflows(records: Iterable[ChunkRecord]) -> dict[str, tuple[CutStep, ...]]:
    """Add up the cut flows of chunks, by dataset.

    Raises:
        SkimError: If chunks of one dataset have different cuts, or in another order.
    """
    totals: dict[str, tuple[CutStep, ...]] = {}
    for record in records:
        before = totals.get(record.dataset)
        if before is None:
            totals[record.dataset] = record.cutflow
            continue
        if [step.name for step in before] != [step.name for step in record.cutflow]:
            msg = (
                f"chunk {record.key} of {record.dataset} has the cuts"
                f" {[step.name for step in record.cutflow]}, others {[step.name for step in before]}"
            )
            raise SkimError(msg)
        totals[record.dataset] = tuple(
            CutStep(
                name=a.name,
                n_events=a.n_events + b.n_events,
                n_jets=a.n_jets + b.n_jets,
                sumw=a.sumw + b.sumw,
            )
            for a, b in zip(before, record.cutflow, strict=True)
        )
    return totals
