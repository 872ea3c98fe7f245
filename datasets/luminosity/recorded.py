"""Luminosity that was recorded: by luminosity block, and of what was processed."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from oddjet.datasets.disk.remote import TIMEOUT, open_root
from oddjet.datasets.luminosity.mask import LumiMask
from oddjet.datasets.skims.manifest import DatasetSummary
from oddjet.errors import BadFileError, ConfigError, MissingDataError

__all__ = ["LumiTable", "Luminosity", "data_luminosity", "lumi_blocks", "to_ranges"]

Blocks = npt.NDArray[np.uint64]
"""Luminosity blocks (n, 2): run and block, sorted, none twice."""

_PER_IFB = {"/fb": 1.0, "/pb": 1e3, "/nb": 1e6, "/ub": 1e9, "/mb": 1e12}
_UNIT = re.compile(r"recorded\((/[fpnum]b)\)")
_AGREES = 0.01


@dataclass(frozen=True)
class Luminosity:
    """What was processed of a dataset of data.

    Attributes:
        lumisections: Luminosity blocks as a certification file has them.
        lumi_ifb: Their recorded luminosity [1/fb], None without a table.
        unlisted: File to the number of blocks of its events that its tree of blocks lacks.
    """

    lumisections: dict[str, list[tuple[int, int]]]
    lumi_ifb: float | None
    unlisted: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class LumiTable:
    """Recorded luminosity of each luminosity block.

    Attributes:
        recorded: (run, block) to luminosity [1/fb].
        path: Where it was read.
    """

    recorded: Mapping[tuple[int, int], float]
    path: str

    @classmethod
    def from_csv(cls, path: Path | str) -> LumiTable:
        """Read what `brilcalc lumi --byls --output-style csv` writes.

        Args:
            path: The file. Its head, a line that begins with #run:fill,ls, names the columns and
                their units, such as recorded(/ub); other lines that begin with # are comments.

        Raises:
            ConfigError: If it cannot be read, has no such head, a line is not of that form, or a
                luminosity block is there twice.
        """
        try:
            lines = Path(path).read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            msg = f"lumi_table: cannot read {path}: {error}"
            raise ConfigError(msg) from error
        head = next((line for line in lines if line.startswith("#run:fill,ls")), None)
        unit = _UNIT.search(head or "")
        if head is None or unit is None:
            msg = (
                f"{path}: expected a line #run:fill,ls,…,recorded(/ub),… that names the columns; is it from"
                " brilcalc lumi --byls --output-style csv?"
            )
            raise ConfigError(msg)
        place = [_UNIT.sub("recorded", name) for name in head.split(",")].index("recorded")
        recorded: dict[tuple[int, int], float] = {}
        for number, row in enumerate(csv.reader(lines), start=1):
            if not row or row[0].startswith("#"):
                continue
            block, value = _read_row(row, place, f"{path}, line {number}")
            if block in recorded:
                msg = f"{path}, line {number}: run {block[0]}, luminosity block {block[1]} is there twice"
                raise ConfigError(msg)
            recorded[block] = value / _PER_IFB[unit[1]]
        return cls(recorded=recorded, path=str(path))

    def lumi_ifb(self, blocks: Blocks) -> float:
        """Add up the recorded luminosity [1/fb] of luminosity blocks: run and block (n, 2).

        Raises:
            ConfigError: If the table lacks one.
        """
        listed = [(int(run), int(block)) for run, block in blocks]
        if lacking := [block for block in listed if block not in self.recorded]:
            run, block = lacking[0]
            msg = (
                f"{self.path} lacks {len(lacking)} of {len(listed)} processed luminosity blocks, such as run {run},"
                f" block {block}; make it with the certification file that selects the data"
            )
            raise ConfigError(msg)
        return float(np.sum([self.recorded[block] for block in listed], dtype=np.float64))


def lumi_blocks(
    path: str, tree: str = "Events", *, mask: LumiMask | None = None, timeout: float = TIMEOUT
) -> tuple[Blocks, int]:
    """List the luminosity blocks of a file, those without events too.

    They are those of NanoAOD's LuminosityBlocks tree and of the events, of which two branches are read whole:
    a tree that was lost in part where files were merged lacks blocks of events that are there.

    Args:
        path: Path or URL.
        tree: Name of the events' tree.
        mask: Certified luminosity; None takes all.
        timeout: Seconds a server has for an answer.

    Returns:
        Run and block (n, 2) uint64, sorted, none twice; and how many of them the file's tree lacks, 0 where
        it has none.

    Raises:
        BadFileError: If the file cannot be read.
    """
    try:
        with open_root(path, timeout=timeout) as file:
            trees = [name for name in ("LuminosityBlocks", tree) if name in file]
            tables = [_read_blocks(file[name], mask) for name in trees]
    except Exception as error:
        msg = f"{path}: its luminosity blocks cannot be read: {type(error).__name__}: {error}"
        raise BadFileError(msg) from error
    table = np.unique(np.concatenate(tables), axis=0)
    return table, len(table) - len(tables[0])


def _read_blocks(tree: Any, mask: LumiMask | None) -> Blocks:
    columns = tree.arrays(names := ["run", "luminosityBlock"], library="np")
    table = np.unique(np.stack([np.asarray(columns[n], np.uint64) for n in names], axis=1), axis=0)
    return table if mask is None else table[mask.mask(table[:, 0], table[:, 1])]


def to_ranges(blocks: Iterable[Iterable[int]]) -> dict[str, list[tuple[int, int]]]:
    """Write luminosity blocks as a certification file has them.

    Args:
        blocks: Run and block of each, sorted.

    Returns:
        Run to ranges, ends included.

    >>> to_ranges([(7, 1), (7, 2), (7, 5)])
    {'7': [(1, 2), (5, 5)]}
    """
    ranges: dict[str, list[tuple[int, int]]] = {}
    for run, block in blocks:
        listed = ranges.setdefault(str(int(run)), [])
        if listed and listed[-1][1] == block - 1:
            listed[-1] = (listed[-1][0], int(block))
        else:
            listed.append((int(block), int(block)))
    return ranges


def data_luminosity(
    datasets: Mapping[str, DatasetSummary], stated_ifb: float | None
) -> float | None:
    """Give the luminosity of the data that were processed.

    Args:
        datasets: What a manifest says of each dataset.
        stated_ifb: What the configuration says [1/fb].

    Returns:
        The recorded luminosity where all data have a table; else what is stated. None if neither is
        there, and without data what is stated.

    Raises:
        MissingDataError: If parts of the data are missing, a luminosity is stated, and there is no table
            to show what is left of it.
        ConfigError: If what is stated and the table differ by more than 1 %.
    """
    data = {name: dataset for name, dataset in datasets.items() if dataset.kind == "data"}
    recorded = [d.lumi_ifb for d in data.values() if d.lumi_ifb is not None]
    if not data:
        return stated_ifb
    if len(recorded) < len(data):
        broken = [name for name, dataset in data.items() if not dataset.is_whole]
        if broken and stated_ifb is not None:
            msg = (
                f"parts of the data are missing ({', '.join(broken)}), so they are not the {stated_ifb:g}/fb that"
                " lumi_ifb says. Give the dataset a lumi_table (CSV of brilcalc lumi --byls), so that the"
                " luminosity of what is left is known; or repeat the skim until nothing is missing"
            )
            raise MissingDataError(msg)
        return stated_ifb
    # Primary datasets of the same blocks have the same luminosity, of different ones its sum; blocks
    # shared in part have neither.
    total = _total(data)
    is_whole = all(dataset.is_whole for dataset in data.values())
    if stated_ifb is not None and is_whole and abs(stated_ifb - total) > _AGREES * total:
        msg = (
            f"lumi_ifb says {stated_ifb:g}/fb, the luminosity blocks that were processed have {total:g}/fb by"
            " their lumi_table: correct lumi_ifb or leave it out, or find what is missing"
        )
        raise ConfigError(msg)
    return total


def _total(data: Mapping[str, DatasetSummary]) -> float:
    parts: dict[str, float] = {}
    runs: dict[str, set[str]] = {}
    for dataset in data.values():
        key = repr(dataset.lumisections)
        parts[key] = dataset.lumi_ifb or 0.0
        runs[key] = set(dataset.lumisections or {})
    listed = list(runs.values())
    if any(a & b for i, a in enumerate(listed) for b in listed[:i]):
        msg = (
            f"the data {', '.join(data)} share some runs and not others, so their luminosities do not add up to"
            " one; hunt in them one by one"
        )
        raise MissingDataError(msg)
    return float(sum(parts.values()))


def _read_row(row: list[str], place: int, where: str) -> tuple[tuple[int, int], float]:
    try:
        block = (int(row[0].split(":")[0]), int(row[1].split(":")[0]))
        value = float(row[place])
    except (ValueError, IndexError):
        msg = f"{where}: expected run:fill, block:block, … with a number under recorded; received {row}"
        raise ConfigError(msg) from None
    if not (np.isfinite(value) and value >= 0):
        msg = f"{where}: expected a luminosity of at least 0; received {row[place]}"
        raise ConfigError(msg)
    return block, value
