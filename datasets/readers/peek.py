"""A look at the first events of a file: do constituents and jets belong together?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import awkward as ak

from oddjet.datasets.balance import Balance
from oddjet.datasets.disk.remote import open_root
from oddjet.datasets.files.fields import NtupleFields
from oddjet.datasets.files.rootfiles import RootFile
from oddjet.datasets.readers.reader import Reader
from oddjet.errors import InputError

__all__ = ["nearest_reader", "peek"]

PEEKED = 200
"""Events looked at."""


def peek(file: RootFile, reader: Reader, *, timeout: float) -> Balance:
    """Compare the jets of a file's first events with their constituents.

    Raises:
        LinkError: If an index points outside its collection.
    """
    raw = f"{reader.jet}_rawFactor"
    is_raw = raw in file.branches
    n_events = min(PEEKED, file.n_entries)
    with open_root(file.place or file.path, timeout=timeout) as opened:
        tree = opened[file.tree]
        events: Any = NtupleFields(tree, 0, n_events)
        if not file.is_rntuple:
            events = tree.arrays(
                [*reader.required, *([raw] if is_raw else [])], entry_stop=n_events
            )
        linked = reader.constituents(events, where=file.path, mask_bad=True)
        pt = events[f"{reader.jet}_pt"]
        pt = ak.flatten(pt * (1 - events[raw]) if is_raw else pt)
    constituents = ak.flatten(linked.constituents, axis=1)
    return Balance.measure(constituents, ak.to_numpy(pt), is_raw=is_raw)


def nearest_reader(readers: Sequence[Reader], file: RootFile, *, timeout: float) -> Reader:
    """Choose, of those that `find_readers` gave, the reader whose constituents fit their jets best.

    For formats that do not say whether their jets are weighted.

    The first one where the file has no jets, or cannot be read: then reading it says why.
    """
    if len(readers) == 1:
        return readers[0]
    try:
        medians = [peek(file, reader, timeout=timeout).median for reader in readers]
    except (InputError, OSError):
        return readers[0]
    distances = [abs(math.log(median)) if median > 0 else math.inf for median in medians]
    return readers[distances.index(min(distances))]
