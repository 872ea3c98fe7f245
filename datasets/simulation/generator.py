"""Pythia 8: opening it for one block, and its events as flat arrays.

References:
    Pythia 8.3: arXiv:2203.11601.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import awkward as ak
import numpy as np
import numpy.typing as npt
import pythia8mc

from oddjet.datasets.simulation.identifiers import Slice
from oddjet.datasets.simulation.processes import COMMON_SETTINGS, Process
from oddjet.errors import ProcessingError
from oddjet.typing import Floats, Ints

__all__ = ["BATCH_EVENTS", "EventRecord", "open_pythia", "read_batches", "read_record"]

BATCH_EVENTS = 250
"""Events held at once as Pythia's full record, about 200 kB each."""

_EMPTY_BATCHES = 3  # in a row, before a block is given up

Ints32 = npt.NDArray[np.int32]


@dataclass(frozen=True)
class EventRecord:
    """Pythia's particles of a batch of events, flat.

    Attributes:
        offsets: Where each event begins, shape (n_events + 1,).
        event: The event of each particle, 0 to n_events - 1; this and the following have shape
            (n_particles,).
        status: Pythia status code; positive when final.
        mother1: First mother, counted within the event as Pythia does; 0, the entry for the
            whole system, where there is none. `mother` counts in the record.
        daughter1: First daughter, likewise; `daughter2` is the last.
        px, py, pz, e, mass: Momentum, energy and mass, GeV.
        weight: Event weights, shape (n_events,).
        parton_id: pdgId codes of the two incoming partons, shape (n_events, 2).
        parton_x: Their momentum fractions, shape (n_events, 2).
        scale: Factorisation scale, GeV, shape (n_events,).
        pt_hat: Transverse momentum of the hard process, GeV, shape (n_events,).
    """

    offsets: Ints
    event: Ints
    pdg_id: Ints32
    status: Ints32
    mother1: Ints32
    daughter1: Ints32
    daughter2: Ints32
    px: Floats
    py: Floats
    pz: Floats
    e: Floats
    mass: Floats
    weight: Floats
    parton_id: Ints32
    parton_x: Floats
    scale: Floats
    pt_hat: Floats

    @property
    def n_events(self) -> int:
        """How many events."""
        return len(self.offsets) - 1

    def mother(self, index: Ints) -> Ints:
        """First mothers of some particles, in the record's count; -1 without one."""
        return self._link(self.mother1, index)

    def daughters(self, index: Ints) -> tuple[Ints, Ints]:
        """First and last daughters of some particles, in the record's count; -1 without one."""
        return self._link(self.daughter1, index), self._link(self.daughter2, index)

    def _link(self, local: Ints32, index: Ints) -> Ints:
        entry = local[index]
        return np.where(entry > 0, entry + self.offsets[self.event[index]], -1)


def open_pythia(process: Process, pt_slice: Slice, seed: int, *, where: str = "") -> Any:
    """Make and initialise a Pythia for one block.

    Every block has a Pythia of its own: what a generator yields then depends on its seed alone,
    not on what was generated before.

    Raises:
        ProcessingError: Pythia does not take a setting, or does not initialise.
    """
    pythia = pythia8mc.Pythia("", False)  # no banner
    settings = [*COMMON_SETTINGS, *process.settings]
    if process.pt_hat_min is not None:
        settings.append(f"PhaseSpace:pTHatMin={pt_slice.pt_hat_min}")
        if pt_slice.pt_hat_max is not None:
            settings.append(f"PhaseSpace:pTHatMax={pt_slice.pt_hat_max}")
    for setting in (*settings, "Random:setSeed=on", f"Random:seed={seed}"):
        if not pythia.readString(setting):
            msg = f"Pythia does not take the setting '{setting}' of process '{where}'"
            raise ProcessingError(msg)
    if not pythia.init():
        msg = (
            f"Pythia did not initialise for process '{where}', pt_hat from "
            f"{pt_slice.pt_hat_min} to {pt_slice.pt_hat_max}: is the range kinematically open?"
        )
        raise ProcessingError(msg)
    return pythia


def read_batches(pythia: Any, n_events: int, *, where: str = "") -> Iterator[ak.Array]:
    """Generate `n_events` events, in batches of at most `BATCH_EVENTS`: Pythia's awkward records.

    Raises:
        ProcessingError: Pythia yields no event three times in a row.
    """
    missing = n_events
    empty = 0
    while missing:
        # An event that Pythia gives up on is skipped, so a batch may be short.
        batch = pythia.nextBatch(min(missing, BATCH_EVENTS))
        empty = 0 if len(batch) else empty + 1
        if empty == _EMPTY_BATCHES:
            msg = (
                f"Pythia yields no more events for process '{where}': {missing} of {n_events} left"
            )
            raise ProcessingError(msg)
        missing -= len(batch)
        if len(batch):
            yield batch


def read_record(batch: ak.Array) -> EventRecord:
    """Flatten a batch from `read_batches` into numpy arrays."""
    particles, info = batch["prt"], batch["info"]
    counts = ak.to_numpy(ak.num(particles)).astype(np.int64)
    flat = ak.flatten(particles)

    def column(*name: str) -> Any:
        return ak.to_numpy(flat[name])

    def pair(name: str) -> Any:
        return np.stack([ak.to_numpy(info[f"{name}{i}"]) for i in (1, 2)], axis=1)

    return EventRecord(
        offsets=np.concatenate([[0], np.cumsum(counts)]),
        event=np.repeat(np.arange(len(counts)), counts),
        pdg_id=column("id"),
        status=column("status"),
        mother1=column("mother1"),
        daughter1=column("daughter1"),
        daughter2=column("daughter2"),
        px=column("p", "px"),
        py=column("p", "py"),
        pz=column("p", "pz"),
        e=column("p", "e"),
        mass=column("m"),
        weight=ak.to_numpy(info["weights"][:, 0]),
        parton_id=pair("id"),
        parton_x=pair("x"),
        scale=np.sqrt(ak.to_numpy(info["Q2Fac"])),
        pt_hat=np.sqrt(ak.to_numpy(info["pT2Hat"])),
    )
