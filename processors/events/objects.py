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
        """Keep some objects.

        Args:
            mask: Which to keep, (n_objects).

        Returns:
            The same events with these objects.
        """
        kept = np.concatenate(([0], np.cumsum(mask)))
        columns = {name: values[mask] for name, values in self.columns.items()}
        return Objects(kept[self.offsets], columns)


def read_objects(events: Any, prefix: str, fields: Iterable[str]) -> Objects:
    """Read a collection's branches.

    Args:
        events: Anything that gives a branch for its name.
        prefix: The collection, such as FatJet.
        fields: Quantities to read, such as pt; at least one.

    Returns:
        The objects.
    """
    columns = {}
    for field in fields:
        offsets, columns[field] = flatten(events[f"{prefix}_{field}"])
    return Objects(offsets, columns)


def concatenate_objects(first: Objects, second: Objects) -> Objects:
    """Put two collections of the same events together, event by event.

    Args:
        first: One collection.
        second: Another one, with the same columns.

    Returns:
        Each event's objects of both.
    """
    order = np.argsort(np.concatenate((first.event, second.event)), kind="stable")
    columns = {name: np.concatenate((first[name], second[name]))[order] for name in first.columns}
    return Objects(first.offsets + second.offsets, columns)
