"""Objects of a chunk of events as flat columns with offsets: what the selection works on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from oddjet.datasets.readers.reader import flatten
from oddjet.errors import NonFiniteError
from oddjet.typing import Bools, Ints

__all__ = ["Objects", "concatenate_objects", "is_finite", "read_objects", "refuse_not_finite"]


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


def is_finite(objects: Objects, names: Iterable[str]) -> Bools:
    """Find which objects have finite numbers in these columns: bool (n_objects)."""
    mask: Bools = np.logical_and.reduce([np.isfinite(objects[name]) for name in names])
    return mask


def refuse_not_finite(
    objects: Objects, names: Sequence[str], *, where: str, first_entry: int, remedy: str
) -> None:
    """Refuse objects that cuts would drop or keep without a word, because NaN is neither above nor below.

    Raises:
        NonFiniteError: If a column of an object is not finite; the message ends with the remedy.
    """
    bad = np.flatnonzero(~is_finite(objects, names))
    if len(bad):
        msg = (
            f"{where}: {', '.join(names[:-1])} or {names[-1]} of {len(bad)} of {len(objects)} objects is not finite, first in"
            f" entry {first_entry + objects.event[bad[0]]}; the file is damaged. {remedy}"
        )
        raise NonFiniteError(msg)


def concatenate_objects(first: Objects, second: Objects) -> Objects:
    """Put two collections of the same events and columns together, event by event."""
    order = np.argsort(np.concatenate((first.event, second.event)), kind="stable")
    columns = {name: np.concatenate((first[name], second[name]))[order] for name in first.columns}
    return Objects(first.offsets + second.offsets, columns)
