"""Events that occur twice, found in what was written: by run, luminosityBlock and event."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from oddjet.datasets.disk.digest import content_key
from oddjet.datasets.disk.state import read_state, write_state
from oddjet.datasets.files.dataset import Kind
from oddjet.datasets.folds import event_hash
from oddjet.datasets.skims.manifest import ChunkRecord
from oddjet.datasets.skims.parts import part_path, read_part_rows
from oddjet.errors import DuplicateEventError

__all__ = ["check_unique"]

_JETS_A_PASS = 100_000_000
_REMEMBERED = "unique.json"
_SHOWN = 5

Numbers = npt.NDArray[Any]


@dataclass(frozen=True)
class _Remembered:
    """What the last look at a folder found: the key of its parts, and repeated events by dataset."""

    parts: str
    repeated: dict[str, int]


def check_unique(
    folder: Path,
    records: Sequence[ChunkRecord],
    *,
    kinds: Mapping[str, Kind],
    repeating: Collection[str] = (),
    jets_a_pass: int = _JETS_A_PASS,
) -> dict[str, int]:
    """Refuse events that are there twice: over all datasets of data, within each of simulation.

    Four columns of the parts are read, not the input: an event without a selected jet changes no
    result but Σw. 64-bit hashes are sorted, 8 bytes a selected event, in as many passes as keep
    them below `jets_a_pass`; events of equal hash are then compared themselves. The outcome
    is kept next to the manifest, so that a rerun with the same parts reads nothing.

    Args:
        folder: Where the parts are.
        records: The parts.
        kinds: Kind of each dataset.
        repeating: Datasets of simulation whose different events may have the same numbers: there they are
            counted, run numbers aside, which the selection made differ.
        jets_a_pass: Most jets whose hashes are held at a time; 100 million take 0.8 GB.

    Returns:
        Dataset to number of its events whose numbers another one has too, of `repeating`.

    Raises:
        DuplicateEventError: If there are any; the message names files, entries and what to do.
    """
    parts = sorted([record.key, kinds[record.dataset]] for record in records)
    key = content_key([parts, sorted(repeating)])
    remembered = folder / _REMEMBERED
    known = read_state(remembered, _Remembered)
    if known is not None and known.parts == key:
        return known.repeated
    groups: dict[str, list[ChunkRecord]] = {}
    for record in records:
        is_data = kinds[record.dataset] == "data"
        groups.setdefault("" if is_data else record.dataset, []).append(record)
    repeated = dict.fromkeys(repeating, 0)
    for name, group in groups.items():
        n_passes = max(1, math.ceil(sum(record.n_jets for record in group) / jets_a_pass))
        for n_pass in range(n_passes):
            hashes = _hashes(folder, group, n_pass, n_passes, with_run=name not in repeated)
            same = hashes[1:][hashes[1:] == hashes[:-1]]
            if name in repeated:
                repeated[name] += len(same) + len(np.unique(same))
            elif len(same):
                _compare(folder, group, np.unique(same))
    write_state(remembered, {"parts": key, "repeated": repeated})
    return repeated


def _hashes(
    folder: Path, group: Sequence[ChunkRecord], n_pass: int, n_passes: int, *, with_run: bool
) -> npt.NDArray[np.uint64]:
    """Hashes of the events of a pass, sorted, as often as they are there."""
    parts = [np.empty(0, np.uint64)]
    for record in group:
        run, block, event = _events(folder, record).values()
        hashes = event_hash(run if with_run else np.zeros_like(run), block, event)
        parts.append(hashes[hashes % np.uint64(n_passes) == n_pass])
    return np.sort(np.concatenate(parts))


def _compare(folder: Path, group: Sequence[ChunkRecord], repeated: npt.NDArray[np.uint64]) -> None:
    """Distinguish events that are the same from those that only share a hash."""
    seen: dict[tuple[int, ...], str] = {}
    same: list[str] = []
    for record in group:
        for numbers, entry in _candidates(folder, record, repeated):
            where = f"{record.file} (dataset {record.dataset}), entry {entry}"
            if numbers in seen:
                run, block, event = numbers
                same.append(
                    f"run {run}, luminosityBlock {block}, event {event}: {seen[numbers]}; and {where}"
                )
            else:
                seen[numbers] = where
    if not same:
        return
    more = [f"and {len(same) - _SHOWN} more"] if len(same) > _SHOWN else []
    msg = "\n  ".join(
        [f"{len(same)} events are there twice and would count twice:", *same[:_SHOWN], *more]
    )
    msg += (
        "\nA file may be there under two names or in two datasets, or datasets of data overlap: remove one. If"
        " these are different simulated events whose numbers only repeat, as in some private samples, give the"
        " dataset accept: [repeated_events]"
    )
    raise DuplicateEventError(msg)


def _candidates(
    folder: Path, record: ChunkRecord, repeated: npt.NDArray[np.uint64]
) -> Iterator[tuple[tuple[int, ...], int]]:
    columns = _events(folder, record, with_entry=True)
    entry = columns.pop("entry")
    rows = np.flatnonzero(np.isin(event_hash(*columns.values()), repeated))
    for row in rows:
        yield tuple(int(column[row]) for column in columns.values()), int(entry[row])


def _events(folder: Path, record: ChunkRecord, *, with_entry: bool = False) -> dict[str, Numbers]:
    """Run, luminosityBlock and event of each event of a part, whatever its number of jets."""
    names = ["run", "luminosityBlock", "event", "entry"]
    with pq.ParquetFile(part_path(folder, record, ".parquet")) as file:
        table = read_part_rows(file, record, names)
    columns = {name: table[name].to_numpy() for name in names}
    _, first = np.unique(columns["entry"], return_index=True)
    kept = names if with_entry else names[:3]
    return {name: columns[name][first] for name in kept}
