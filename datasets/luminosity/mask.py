"""Certified luminosity: which luminosity blocks of data are good."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from oddjet.datasets.disk.validation import read_config
from oddjet.errors import ConfigError

__all__ = ["LumiMask"]

_UINT32 = 2**32


@dataclass(frozen=True)
class LumiMask:
    """Certified ranges of luminosity blocks, ordered.

    Attributes:
        runs: Run of each range (n_ranges) uint64.
        firsts: First good block of each range (n_ranges) uint64.
        lasts: Last good block, included (n_ranges) uint64.
    """

    runs: npt.NDArray[np.uint64]
    firsts: npt.NDArray[np.uint64]
    lasts: npt.NDArray[np.uint64]

    @classmethod
    def from_json(cls, path: Path | str) -> LumiMask:
        """Read a certification file.

        Args:
            path: JSON as CMS publishes it: {"run": [[first, last], …], …}, ends included.

        Raises:
            ConfigError: If it cannot be read or is not strictly of that form: runs as digits,
                ranges of two integers, first ≤ last, ordered, not overlapping, at least one.
        """
        return cls.from_dict(read_config(path), where=str(path))

    @classmethod
    def from_dict(cls, content: Any, *, where: str = "luminosity mask") -> LumiMask:
        """Make a mask of {"run": [[first, last], …], …}, as a certification file holds it.

        Raises:
            ConfigError: As `from_json`.
        """
        if not isinstance(content, Mapping) or not content:
            msg = f'{where}: expected {{"run": [[first, last], …], …}} with at least one run; received {content!r:.80}'
            raise ConfigError(msg)
        ranges = [
            (run, first, last)
            for run, listed in sorted((_run(key, where), value) for key, value in content.items())
            for first, last in _ranges(run, listed, where)
        ]
        table = np.array(ranges, np.uint64)
        return cls(runs=table[:, 0], firsts=table[:, 1], lasts=table[:, 2])

    def mask(self, run: npt.ArrayLike, luminosity_block: npt.ArrayLike) -> npt.NDArray[np.bool_]:
        """Mark the certified events (n), by run and luminosity-block numbers (n).

        >>> mask = LumiMask.from_dict({"7": [[1, 3], [5, 5]]})
        >>> mask.mask([7, 7, 7, 8], [3, 4, 5, 1]).tolist()
        [True, False, True, False]
        """
        keys = _key(np.asarray(run, np.uint64), np.asarray(luminosity_block, np.uint64))
        # The last range that begins at or before the block; it must also reach it, in the same run.
        place = np.searchsorted(_key(self.runs, self.firsts), keys, side="right") - 1
        reached: npt.NDArray[np.bool_] = keys <= _key(self.runs, self.lasts)[np.maximum(place, 0)]
        return reached & (place >= 0)


def _key(run: npt.NDArray[np.uint64], block: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    return run * np.uint64(_UINT32) + block


def _run(key: Any, where: str) -> int:
    if not (isinstance(key, str) and re.fullmatch("[1-9][0-9]{0,9}", key) and int(key) < _UINT32):
        msg = f'{where}: expected run numbers as keys, such as "355374"; received {key!r}'
        raise ConfigError(msg)
    return int(key)


def _ranges(run: int, listed: Any, where: str) -> list[tuple[int, int]]:
    at = f"{where}: run {run}"
    if not isinstance(listed, list) or not listed:
        msg = f"{at}: expected a list of at least one [first, last]; received {listed!r:.80}"
        raise ConfigError(msg)
    ranges: list[tuple[int, int]] = []
    for item in listed:
        # bool is an int, but true is no block number.
        if not (isinstance(item, list) and len(item) == 2 and all(type(n) is int for n in item)):
            msg = f"{at}: expected [first, last]; received {item!r:.80}"
            raise ConfigError(msg)
        first, last = item
        if not 0 < first <= last < _UINT32:
            msg = f"{at}: expected 0 < first ≤ last; received {item}"
            raise ConfigError(msg)
        if ranges and first <= ranges[-1][1]:
            msg = f"{at}: expected ordered ranges that do not overlap; received {item} after {list(ranges[-1])}"
            raise ConfigError(msg)
        ranges.append((first, last))
    return ranges
