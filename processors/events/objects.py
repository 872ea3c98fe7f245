"""Objects of a chunk of events as flat columns with offsets: what the selection works on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from oddjet.datasets.readers.reader import flatten
from oddjet.typing import Ints

__all__ = ["Objects", "concatenate_objects", "read_objects"]


@dataclass(frozen=True)
class Objects:
    """One collection (jets, electrons, …) in every event of a chunk.

    Attributes:
        offsets: Where each event's objects begin, (n_events + 1).
        columns: Quantity to its values, (n_objects) each.
    """

    offsets: Ints
    columns: dict[str, npt.NDArray[Any]]

    def __getitem__(self, name: str) -> npt.NDArray[Any]:
        """Values of one quantity, (n_objects)."""
        return self.columns[name]

    def __len__(self) -> int:
        """Number of objects in all events."""
        return int(self.offsets[-1])

    @property
    def n_events(self) -> int:
        """Number of events."""
        return len(self.offsets) - 1

    @property
    def event(self) -> Ints:
        """Position of each object's event in the chunk, (n_objects)."""
        return np.repeat(np.arange(self.n_events), np.diff(self.offsets))

    @property
    def position(self) -> Ints:
        """Position of each object in its event, (n_objects)."""
        return np.arange(len(self)) - np.repeat(self.offsets[:-1], np.diff(self.offsets))

    def where(self, mask: npt.NDArray[np.bool_]) -> Objects:
        """Keep the objects of a mask (n_objects), in the same events."""
        kept = np.concatenate(([0], np.cumsum(mask)))
        columns = {name: values[mask] for name, values in self.columns.items()}
        return Objects(kept[self.offsets], columns)


def read_objects(events: Any, prefix: str, fields: Iterable[str]) -> Objects:
    """Read fields, such as pt, of a collection, such as FatJet; at least one."""
    columns = {}
    for field in fields:
        offsets, columns[field] = flatten(events[f"{prefix}_{field}"])
    return Objects(offsets, columns)


def concatenate_objects(first: Objects, second: Objects) -> Objects:
    """Put two collections of the same events and columns together, event by event."""
    order = np.argsort(np.concatenate((first.event, second.event)), kind="stable")
    columns = {name: np.concatenate((first[name], second[name]))[order] for name in first.columns}
    return Objects(first.offsets + second.offsets, columns)
