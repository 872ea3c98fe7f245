"""The plan of a run: which files, in which chunks; everything that can be wrong is found here."""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from oddjet.datasets.files.dataset import Dataset, Kind
from oddjet.datasets.files.doubts import doubts_before_reading, notes_before_reading, refuse
from oddjet.datasets.files.fileset import Fileset, check_fileset
from oddjet.datasets.files.rootfiles import RootFile
from oddjet.datasets.readers import READERS, Reader
from oddjet.datasets.readers.formats import find_readers
from oddjet.datasets.readers.peek import nearest_reader
from oddjet.datasets.skims.manifest import FileRecord, MissingChunk
from oddjet.errors import (
    ConfigError,
    InputError,
    MissingBranchError,
    NoConstituentsError,
    without_queries,
)
from oddjet.processors.events.branches import list_branches, require_branches
from oddjet.processors.events.jet_id import JetId, choose_jet_id, era_of, jet_id_fields
from oddjet.processors.events.selection import Selection
from oddjet.processors.events.source import ChunkSource
from oddjet.processors.events.triggers import notes_of_triggers

__all__ = ["Plan", "make_plan", "planned_jet_id"]

_SHOWN = 20


@dataclass(frozen=True)
class Plan:
    """What is to be processed.

    Attributes:
        files: The checked files by path.
        chunks: Ranges of entries, in the order of datasets and files; without keys yet.
        branches: Branches to read of each file, by path.
        entry_bytes: Uncompressed bytes of these an entry, by path; 0 where the file does not give it.
        checksums: What the fileset says of files, by path.
        unusable: Files that cannot be opened or lack branches, where that is allowed; they are not in `files`.
        caveats: What every output has to say of each dataset.
    """

    fileset: Fileset
    files: dict[str, RootFile]
    chunks: tuple[ChunkSource, ...]
    branches: dict[str, frozenset[str]]
    entry_bytes: dict[str, float] = field(default_factory=dict)
    checksums: dict[str, str] = field(default_factory=dict)
    unusable: tuple[MissingChunk, ...] = ()
    caveats: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def files_of(self, name: str) -> list[RootFile]:
        """The checked files of a dataset, in its order."""
        listed = self.fileset.datasets[name].files
        return [self.files[path] for path in listed if path in self.files]

    @property
    def n_entries(self) -> int:
        """Entries planned."""
        return sum(len(chunk) for chunk in self.chunks)

    @property
    def kinds(self) -> dict[str, Kind]:
        """Kind of each dataset."""
        return {name: dataset.kind for name, dataset in self.fileset.datasets.items()}

    @property
    def file_records(self) -> tuple[FileRecord, ...]:
        """The files as a manifest names them."""
        return tuple(
            FileRecord(
                path=file.path,
                uuid=file.uuid,
                size=file.size,
                n_entries=file.n_entries,
                dataset=name,
            )
            for name in self.fileset.datasets
            for file in self.files_of(name)
        )


def make_plan(
    fileset: Fileset, *, selection: Selection, chunk_size: int, allow_missing: bool = False
) -> Plan:
    """Check all files and cut them into chunks.

    Args:
        fileset: With files everywhere.
        selection: What will be read.
        chunk_size: Most entries a chunk; a file's chunks are of equal size.
        allow_missing: Leave out files that cannot be opened or lack branches, and list them, unless
            that is all.

    Raises:
        ConfigError: If the chunk size is not positive, or what a dataset declares is not what is there; see
            `oddjet.datasets.files.doubts`.
        BadFileError: If a file is missing, damaged or without its tree.
        UnreachableError: If a server does not answer.
        DuplicateFileError: If a file is there twice.
        NoConstituentsError: If a file's format keeps no constituents.
        MissingBranchError: If branches are missing; the message lists those of all files.
    """
    if chunk_size < 1:
        msg = f"chunk_size: expected at least 1 entry, received {chunk_size}"
        raise ConfigError(msg)
    problems: dict[str, InputError] = {}
    files = check_fileset(fileset, problems=problems if allow_missing else None)
    branches, readers, lacking = _check_branches(fileset, files, selection)
    if lacking and not allow_missing:
        _raise_lacking(lacking)
    problems |= lacking
    files = {path: file for path, file in files.items() if path not in problems}
    if not files:
        raise next(iter(problems.values()))
    read_from = {path: _absolute(file.place or path) for path, file in files.items()}
    checksums = {p: c for d in fileset.datasets.values() for p, c in d.checksums.items()}
    return Plan(
        fileset=fileset,
        files={path: replace(file, branch_bytes=()) for path, file in files.items()},
        chunks=tuple(_chunks(fileset, files, readers, chunk_size)),
        branches={read_from[path]: names for path, names in branches.items()},
        entry_bytes={read_from[p]: _entry_bytes(files[p], names) for p, names in branches.items()},
        checksums={read_from[path]: c for path, c in checksums.items() if path in files},
        unusable=tuple(
            MissingChunk(
                dataset=name, file=path, error=type(problem).__name__, message=str(problem)
            )
            for name, dataset in fileset.datasets.items()
            for path in dataset.files
            if (problem := problems.get(path)) is not None
        ),
        caveats=_check_declared(fileset, files, readers, selection),
    )


def _check_declared(
    fileset: Fileset,
    files: Mapping[str, RootFile],
    readers: Mapping[str, str],
    selection: Selection,
) -> dict[str, tuple[str, ...]]:
    """Compare what is declared with what is there; give what every output has to say of a dataset."""
    doubts, notes = {}, {}
    for name, dataset in fileset.datasets.items():
        histories = {path: files[path].history for path in dataset.files if path in files}
        doubts[name] = doubts_before_reading(dataset, histories)
        notes[name] = notes_before_reading(dataset, histories)
        if empty := [path for path in histories if path not in readers]:
            notes[name].append(
                f"no events and not all branches in {', '.join(empty)}: 0 events of it"
            )
        used = dict.fromkeys(readers[path] for path in histories if path in readers)
        wide = (READERS[reader].eta_note(selection.eta_max) for reader in used)
        notes[name] += [note for note in wide if note]
    triggers = notes_of_triggers(
        selection.triggers,
        {
            name: {path: files[path].branches for path in dataset.files if path in readers}
            for name, dataset in fileset.datasets.items()
        },
    )
    accepted = refuse(doubts, fileset.datasets, ConfigError)
    told = {name: (*accepted[name], *notes[name], *triggers[name]) for name in notes}
    return {name: tuple(map(without_queries, texts)) for name, texts in told.items()}


def _chunks(
    fileset: Fileset, files: Mapping[str, RootFile], readers: Mapping[str, str], chunk_size: int
) -> Iterator[ChunkSource]:
    """Cut the files into chunks, in the order of datasets and files."""
    for name, dataset in fileset.datasets.items():
        for path, tree in dataset.files.items():
            if path not in readers:
                continue
            place = files[path].place or path
            for start, stop in _ranges(files[path].n_entries, chunk_size):
                yield ChunkSource(
                    dataset=name,
                    kind=dataset.kind,
                    truth=dataset.truth,
                    file=_absolute(place),
                    file_uuid=files[path].uuid,
                    tree=tree,
                    entry_start=start,
                    entry_stop=stop,
                    reader_name=readers[path],
                    fallbacks=tuple(other for other in dataset.places(path) if other != place),
                    timeout=dataset.timeout,
                    is_rntuple=files[path].is_rntuple,
                    year=dataset.year or "",
                    repeats_events="repeated_events" in dataset.accept,
                )


def _entry_bytes(file: RootFile, names: Collection[str]) -> float:
    """Uncompressed bytes an entry of the branches that are read."""
    sizes = dict(zip(sorted(file.branches), file.branch_bytes, strict=False))
    return sum(sizes.get(name, 0) for name in names) / max(1, file.n_entries)


def _check_branches(
    fileset: Fileset, files: Mapping[str, RootFile], selection: Selection
) -> tuple[dict[str, frozenset[str]], dict[str, str], dict[str, InputError]]:
    """Find each file's branches and reader, and what is wrong with others.

    A file without events needs no branches, unless there is no other: some tools write event numbers alone then.
    """
    branches, readers = {}, {}
    problems: dict[str, InputError] = {}
    empty: dict[str, InputError] = {}
    for dataset in fileset.datasets.values():
        for path in (path for path in dataset.files if path in files):
            available = files[path].branches
            try:
                reader = _find_reader(files[path], selection, dataset)
                names = list_branches(
                    available,
                    selection=selection,
                    reader=reader,
                    kind=dataset.kind,
                    truth=dataset.truth,
                )
                require_branches(
                    available, names, selection=selection, kind=dataset.kind, where=path
                )
                planned_jet_id(available, reader, selection, dataset, path)
            except (MissingBranchError, NoConstituentsError) as error:
                (problems if files[path].n_entries else empty)[path] = error
                continue
            branches[path] = frozenset(names)
            readers[path] = reader.name
    return branches, readers, problems if readers else problems | empty


def _raise_lacking(problems: Mapping[str, InputError]) -> None:
    """Raise what is missing of files; one message lists all."""
    for error in problems.values():
        if isinstance(error, NoConstituentsError):
            raise error
    more = len(problems) - _SHOWN
    lines = [*map(str, problems.values())][:_SHOWN]
    raise MissingBranchError("\n".join([*lines, *([f"and {more} more files"] if more > 0 else [])]))


def _find_reader(file: RootFile, selection: Selection, dataset: Dataset) -> Reader:
    """Find the file's reader; where its names do not tell how pile-up is removed, what adds up decides."""
    readers = find_readers(file.branches, jet=selection.jet, where=file.path, titles=file.titles)
    return nearest_reader(readers, file, timeout=dataset.timeout)


def planned_jet_id(
    available: Collection[str], reader: Reader, selection: Selection, dataset: Dataset, path: str
) -> JetId | None:
    """Choose a file's jet ID before a run, where its year is stated or does not matter.

    None if none is asked for, or for data without a year: their runs tell.

    Raises:
        InputError: If there is no jet ID for these jets.
    """
    era = era_of(dataset.year or "")
    if not selection.jet_id or (dataset.kind == "data" and not era):
        return None
    return choose_jet_id(
        jet_id_fields(available, reader.jet, eta_max=selection.eta_max),
        era=era,
        mitigation=reader.mitigation,
        eta_max=selection.eta_max,
        where=path,
    )


def _ranges(n_entries: int, chunk_size: int) -> Iterator[tuple[int, int]]:
    """Cut entries into equal ranges; an empty file has one empty range, so that it leaves a record."""
    n_chunks = max(1, math.ceil(n_entries / chunk_size))
    borders = [n_entries * i // n_chunks for i in range(n_chunks + 1)]
    yield from itertools.pairwise(borders)


def _absolute(path: str) -> str:
    """Workers may run in other folders."""
    return path if "://" in path else str(Path(path).absolute())
