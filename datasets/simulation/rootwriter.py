"""Writing simulated events as a NanoAOD-like ROOT file, block by block."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

import awkward as ak
import numpy as np
import uproot
from typing_extensions import Self

from oddjet.datasets.simulation.layout import (
    COLLECTIONS,
    EVENT_BRANCHES,
    Collection,
    Columns,
    Events,
)

__all__ = ["NanoWriter"]

RUN = 1
_ZLIB_LEVEL = 4  # ZLIB notices a damaged basket, ZSTD as ROOT writes it often does not


class NanoWriter:
    """An open file with the trees Events, LuminosityBlocks and Runs.

    Use it as a context manager; the last two trees are written when it closes without error.

    Attributes:
        n_events: Events written so far.
        sumw, sumw2: Sum of `genWeight`, as stored (float32), over them; and of its square.
    """

    def __init__(self, path: Path) -> None:
        self._file = uproot.recreate(path, compression=uproot.ZLIB(_ZLIB_LEVEL))
        # As types, not as text: uproot would read each text with a parser made anew, twice.
        types: dict[str, object] = {key: np.dtype(kind) for key, kind in EVENT_BRANCHES.items()}
        for name, columns in COLLECTIONS.items():
            fields = [ak.types.NumpyType(kind) for kind in columns.values()]
            types[name] = ak.types.ListType(ak.types.RecordType(fields, list(columns)))
        self._events = self._file.mktree("Events", types, title="Events")
        self._luminosity_blocks: list[int] = []
        self.n_events = 0
        self.sumw = 0.0
        self.sumw2 = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is None:
            self._write_sums()
        self._file.close()

    def write(self, events: Events) -> None:
        """Append events of one or more luminosity blocks."""
        data: dict[str, object] = dict(events.scalars)
        for name, collection in events.collections.items():
            data[name] = _to_awkward(collection)
        self._events.extend(data)
        weight = events.scalars["genWeight"].astype(np.float64)
        self.n_events += events.n_events
        self.sumw += float(np.sum(weight))
        self.sumw2 += float(np.sum(weight**2))
        self._luminosity_blocks += np.unique(events.scalars["luminosityBlock"]).tolist()

    def _write_sums(self) -> None:
        blocks = np.array(self._luminosity_blocks, dtype=np.uint32)
        self._write_tree(
            "LuminosityBlocks",
            {"run": np.full(len(blocks), RUN, dtype=np.uint32), "luminosityBlock": blocks},
        )
        self._write_tree(
            "Runs",
            {
                "run": np.array([RUN], dtype=np.uint32),
                "genEventCount": np.array([self.n_events], dtype=np.int64),
                "genEventSumw": np.array([self.sumw]),
                "genEventSumw2": np.array([self.sumw2]),
            },
        )

    def _write_tree(self, name: str, columns: Columns) -> None:
        # Assigning the columns would make an RNTuple; NanoAOD has TTrees.
        tree = self._file.mktree(
            name, {key: values.dtype for key, values in columns.items()}, title=name
        )
        tree.extend(columns)


def _to_awkward(collection: Collection) -> ak.Array:
    """Lists of records: n_events * var * {…}."""
    offsets = np.concatenate([[0], np.cumsum(collection.counts)])
    columns = collection.columns
    records = ak.contents.RecordArray(
        [ak.contents.NumpyArray(values) for values in columns.values()], list(columns)
    )
    return ak.Array(ak.contents.ListOffsetArray(ak.index.Index64(offsets), records))
