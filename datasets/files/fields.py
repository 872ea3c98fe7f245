"""Names of what a tree holds: flat ones, also where an RNTuple groups fields in collections.

NanoAOD as a TTree has `FatJet_pt`; as an RNTuple it may have the collection `FatJet` with the subfield
`pt` (cms-sw/cmssw#48071), and ROOT's importer puts `FatJet_pt` into `_collection0`.
"""

from __future__ import annotations

from typing import Any

import awkward as ak
from uproot.behaviors.RNTuple import HasFields

__all__ = ["NtupleFields", "flat_names"]


def flat_names(events: Any) -> dict[str, str]:
    """Name everything a tree holds as a TTree of NanoAOD does.

    Returns:
        Flat name, such as FatJet_pt, to the name by which the tree gives it: the same, or FatJet.pt.
    """
    names = {name: name for name in events.keys(recursive=False)}
    if not isinstance(events, HasFields):
        return names
    for collection in list(names):
        inside = events[collection].keys(recursive=False)
        if inside:
            del names[collection]
        prefix = "" if collection.startswith("_collection") else f"{collection}_"
        for name in inside:
            names.setdefault(f"{prefix}{name}", f"{collection}.{name}")
    return names


class NtupleFields:
    """Entries of an RNTuple by flat names; each is read when it is asked for.

    Args:
        events: uproot's RNTuple; its file stays open meanwhile.
        entry_start: First entry.
        entry_stop: One past the last entry.
    """

    def __init__(self, events: Any, entry_start: int, entry_stop: int) -> None:
        self._events, self._names = events, flat_names(events)
        self._range = {"entry_start": entry_start, "entry_stop": entry_stop}
        self._read: dict[str, ak.Array] = {}

    @property
    def fields(self) -> list[str]:
        """The flat names."""
        return list(self._names)

    def __len__(self) -> int:
        """Number of entries."""
        return self._range["entry_stop"] - self._range["entry_start"]

    def __getitem__(self, name: str) -> ak.Array:
        """Read a field of all entries."""
        if name not in self._read:
            self._read[name] = self._events[self._names[name]].array(**self._range)
        return self._read[name]
