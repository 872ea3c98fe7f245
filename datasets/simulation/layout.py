"""The branches the simulation writes: names and types as in CMS NanoAODv15.

Beyond it, `MET_pt` and `MET_phi` repeat `PFMET_pt` and `PFMET_phi` under their older names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = [
    "COLLECTIONS",
    "EVENT_BRANCHES",
    "Collection",
    "Columns",
    "Events",
    "cast",
    "concatenate",
    "make_collection",
]

Column = npt.NDArray[Any]
Columns = dict[str, Column]

_P4 = {"pt": "float32", "eta": "float32", "phi": "float32", "mass": "float32"}
_P4_RAW = {**_P4, "rawFactor": "float32", "area": "float32"}
_FRACTIONS = dict.fromkeys(("chHEF", "neHEF", "chEmEF", "neEmEF", "muEF"), "float32")

EVENT_BRANCHES: dict[str, str] = {
    "run": "uint32",
    "luminosityBlock": "uint32",
    "event": "uint64",
    "genWeight": "float32",
    "Generator_weight": "float32",
    "Generator_binvar": "float32",
    "Generator_scalePDF": "float32",
    "Generator_id1": "int32",
    "Generator_id2": "int32",
    "Generator_x1": "float32",
    "Generator_x2": "float32",
    "PFMET_pt": "float32",
    "PFMET_phi": "float32",
    "PFMET_sumEt": "float32",
    "MET_pt": "float32",
    "MET_phi": "float32",
}
"""Branches with one value an event, and their types."""

COLLECTIONS: dict[str, dict[str, str]] = {
    "FatJet": {
        **_P4_RAW,
        "msoftdrop": "float32",
        **{f"tau{n}": "float32" for n in (1, 2, 3, 4)},
        "nConstituents": "uint8",
        "subJetIdx1": "int16",
        "subJetIdx2": "int16",
        "genJetAK8Idx": "int16",
        **_FRACTIONS,
        "hfHEF": "float32",
        "hfEmEF": "float32",
        "chMultiplicity": "int16",
        "neMultiplicity": "int16",
    },
    "SubJet": {**_P4_RAW},
    "FatJetPFCand": {"jetIdx": "int32", "pfCandIdx": "int32"},
    "PFCand": {**_P4, "pdgId": "int32"},
    "Jet": {
        **_P4_RAW,
        "nConstituents": "uint8",
        "genJetIdx": "int16",
        **_FRACTIONS,
        "chMultiplicity": "uint8",
        "neMultiplicity": "uint8",
        "nElectrons": "uint8",
        "nMuons": "uint8",
    },
    "Electron": {**_P4, "charge": "int32", "pdgId": "int32", "genPartIdx": "int16"},
    "Muon": {**_P4, "charge": "int32", "pdgId": "int32", "genPartIdx": "int16"},
    "GenPart": {
        **_P4,
        "pdgId": "int32",
        "status": "int32",
        "statusFlags": "uint16",
        "genPartIdxMother": "int16",
    },
    "GenJet": {**_P4},
    "GenJetAK8": {**_P4},
}
"""Branches with a list an event: collection, then quantity and type."""


@dataclass(frozen=True)
class Collection:
    """One collection of a batch of events.

    Attributes:
        counts: Entries of each event, shape (n_events,).
        columns: One value an entry, flat, by quantity.
    """

    counts: npt.NDArray[np.int64]
    columns: Columns


@dataclass(frozen=True)
class Events:
    """A batch of events, ready to be written.

    Attributes:
        scalars: The branches of `EVENT_BRANCHES`, shape (n_events,) each.
    """

    scalars: Columns
    collections: dict[str, Collection]

    @property
    def n_events(self) -> int:
        """How many events."""
        return len(self.scalars["event"])


def make_collection(
    name: str, counts: npt.NDArray[np.int64], columns: Mapping[str, Column]
) -> Collection:
    """Give the columns of a collection of `COLLECTIONS` their types, in the order listed there.

    Integers beyond a type's range are clipped to it, as a count of 300 constituents in 8 bits.
    """
    return Collection(
        counts, {key: cast(columns[key], kind) for key, kind in COLLECTIONS[name].items()}
    )


def cast(values: Column, kind: str) -> Column:
    """Convert to a type of the layout; integers are clipped to its range.

    >>> cast(np.array([3, 300]), "uint8").tolist()
    [3, 255]
    """
    if np.issubdtype(np.dtype(kind), np.integer) and values.dtype != np.dtype(kind):
        limits = np.iinfo(kind)
        values = np.clip(values.astype(np.int64), limits.min, limits.max)
    return values.astype(kind)


def concatenate(parts: list[Events]) -> Events:
    """Join batches of events, at least one, in order."""
    scalars = {
        name: np.concatenate([part.scalars[name] for part in parts]) for name in EVENT_BRANCHES
    }
    collections = {}
    for name, columns in COLLECTIONS.items():
        batches = [part.collections[name] for part in parts]
        collections[name] = Collection(
            np.concatenate([part.counts for part in batches]),
            {key: np.concatenate([part.columns[key] for part in batches]) for key in columns},
        )
    return Events(scalars, collections)
