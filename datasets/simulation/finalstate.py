"""The visible final particles of generated events, and the dark sector's invisible fraction."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from oddjet.datasets.simulation.generator import EventRecord
from oddjet.datasets.simulation.momenta import Momenta
from oddjet.typing import Bools

__all__ = ["FinalState", "count_dark_hadrons", "is_invisible", "select_visible"]

ETA_MAX = 5.5
"""Visible particles further forward are dropped: no detector, no jet sees them."""

_DARK_MATTER = 51

Ints = npt.NDArray[np.integer]


@dataclass(frozen=True)
class FinalState:
    """Visible final particles of a batch of events, in the order of the events.

    Attributes:
        momenta: Four-momenta, shape (n,).
        charge: Electric charges, units of e, shape (n,).
        index: Index in Pythia's record, shape (n,).
    """

    momenta: Momenta
    pdg_id: Ints
    charge: npt.NDArray[np.float64]
    index: npt.NDArray[np.int64]


def is_invisible(pdg_id: Ints) -> Bools:
    """Mark the codes no detector sees: neutrinos, dark matter, lightest neutralino, dark hadrons."""
    code = np.abs(pdg_id)
    neutrino = (code == 12) | (code == 14) | (code == 16) | (code == 1000022)
    hidden = (code >= 4900000) & (code < 5000000)
    return np.asarray(neutrino | hidden | ((code >= _DARK_MATTER) & (code <= 60)))


def select_visible(record: EventRecord, charge_of: Callable[[int], float]) -> FinalState:
    """Select the final particles that detectors and jets see, |η| < 5.5."""
    final = np.flatnonzero(record.status > 0)
    final = final[~is_invisible(record.pdg_id[final])]
    momenta = Momenta(
        record.event[final], record.px[final], record.py[final], record.pz[final], record.e[final]
    )
    seen = np.abs(momenta.pz) < np.sinh(ETA_MAX) * momenta.pt
    final, momenta = final[seen], momenta[seen]
    codes, inverse = np.unique(record.pdg_id[final], return_inverse=True)
    charges = np.array([charge_of(int(code)) for code in codes], dtype=np.float64)
    return FinalState(momenta, record.pdg_id[final], charges[inverse], final)


def count_dark_hadrons(record: EventRecord, dark_hadrons: tuple[int, ...]) -> tuple[int, int]:
    """Count the dark hadrons of the given |pdgId|s, and those of them that end invisibly.

    Invisible is a dark hadron that is final, or whose first daughter is invisible.
    """
    if not dark_hadrons:
        return 0, 0
    dark = np.flatnonzero(np.isin(np.abs(record.pdg_id), dark_hadrons))
    stable = record.status[dark] > 0
    daughter, _ = record.daughters(dark)
    unseen = stable | ((daughter >= 0) & is_invisible(record.pdg_id[daughter]))
    return len(dark), int(np.count_nonzero(unseen))
