"""The generated particles worth keeping, as NanoAOD's GenPart.

Kept are the hard process (resonances and their decay quarks included), the last copies of top
quarks, bosons and new heavy particles, dark hadrons with their decay products, and leptons of
pt > 3 GeV. A mother that is not kept is replaced by the nearest ancestor that is.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from oddjet.datasets.simulation.generator import EventRecord
from oddjet.datasets.simulation.momenta import Momenta
from oddjet.typing import Bools, Ints

__all__ = ["LEPTON_PT_MIN", "nano_status", "position_in_event", "prune", "status_flags"]

LEPTON_PT_MIN = 3.0

IS_PROMPT = 1 << 0
IS_HARD_PROCESS = 1 << 7
FROM_HARD_PROCESS = 1 << 8
IS_FIRST_COPY = 1 << 12
IS_LAST_COPY = 1 << 13

_HEAVY = (6, 23, 24, 25, 4900001, 4900023, 9000035, 9000036)
_FIRST_NEW_PARTICLE = 4900000
_TAU = 15
_DARK_QUARK = 4900101
_DARK_HADRONS = (4900111, 4900113, 4900211, 4900213)


def prune(record: EventRecord) -> tuple[Ints, Ints]:
    """Choose the particles of a batch of events to keep, and link them to each other.

    Returns:
        Indices of the kept particles in the record, rising, shape (n_kept,); and for each the
        position of its nearest kept ancestor among the kept of its event, -1 without one.
    """
    kept = _select(record)
    keep = np.zeros(len(record.pdg_id), dtype=bool)
    keep[kept] = True
    ancestor = _follow_mothers(record, record.mother(kept), lambda index: keep[index])
    return kept, position_in_event(record, kept, ancestor)


def position_in_event(record: EventRecord, kept: Ints, index: Ints) -> Ints:
    """Translate indices of the record into positions among the kept particles of an event.

    Negative ones, and those not kept, become -1.
    """
    place = np.full(len(record.pdg_id), -1)
    first = np.searchsorted(record.event[kept], np.arange(record.n_events))
    place[kept] = np.arange(len(kept)) - first[record.event[kept]]
    return np.where(index >= 0, place[index], -1)


def _select(record: EventRecord) -> Ints:
    """Indices of the particles to keep, rising."""
    code = np.abs(record.pdg_id)
    lepton = (code >= 11) & (code <= 16)
    heavy = (code == 6) | ((code >= 23) & (code <= 25)) | (code >= _FIRST_NEW_PARTICLE)
    hard = np.flatnonzero(_is_hard(record.status))

    last = np.flatnonzero(lepton | heavy)
    soft_lepton = lepton[last] & (np.hypot(record.px[last], record.py[last]) < LEPTON_PT_MIN)
    last = last[~soft_lepton & (lepton[last] | np.isin(code[last], _HEAVY))]
    last = last[_is_last_copy(record, last)]

    dark = np.flatnonzero(heavy)
    dark = dark[np.isin(code[dark], _DARK_HADRONS)]
    daughters = _all_daughters(record, dark)
    return np.unique(np.concatenate([hard, last, dark, daughters]))


def _all_daughters(record: EventRecord, index: Ints) -> Ints:
    """Every daughter of some decayed particles; Pythia keeps those of a decay together."""
    first, final = record.daughters(index)
    first, final = first[first >= 0], final[first >= 0]
    n = np.maximum(final - first, 0) + 1
    start = np.cumsum(n) - n
    daughters: Ints = np.repeat(first - start, n) + np.arange(np.sum(n))
    return daughters


def _is_hard(status: npt.NDArray[np.integer]) -> Bools:
    code = np.abs(status)
    return np.asarray((code >= 21) & (code <= 29))


def _is_last_copy(record: EventRecord, index: Ints) -> Bools:
    """Mark where neither the first nor the last daughter has the particle's own code."""
    code = record.pdg_id[index]
    last = np.ones(len(index), dtype=bool)
    for daughter in record.daughters(index):
        last &= (daughter < 0) | (record.pdg_id[daughter] != code)
    return last


def _follow_mothers(record: EventRecord, start: Ints, stop: Callable[[Ints], Bools]) -> Ints:
    """Follow first mothers from `start` until `stop` holds; -1 where it never does."""
    at = start.copy()
    moving = np.flatnonzero(at >= 0)
    moving = moving[~stop(at[moving])]
    while len(moving):
        at[moving] = record.mother(at[moving])
        moving = moving[at[moving] >= 0]
        moving = moving[~stop(at[moving])]
    return at


def status_flags(record: EventRecord, kept: Ints) -> npt.NDArray[np.uint16]:
    """Compute NanoAOD's status flags of the kept particles, shape (n_kept,).

    Filled are bits 0 (isPrompt: neither a hadron nor a τ among the ancestors), 7
    (isHardProcess), 8 (fromHardProcess: a copy of a hard particle), 12 (isFirstCopy) and 13
    (isLastCopy); the others stay 0. A dark quark is kept once, as its parent made it, and counts
    as its own last copy: that is the direction of its jet, which a later copy, after the dark
    shower, has often left (ΔR > 0.4 for one in eight of the Aachen sample).
    """
    hard = _is_hard(record.status[kept])
    mother = record.mother(kept)
    first_copy = (mother < 0) | (record.pdg_id[mother] != record.pdg_id[kept])

    def ends_copies(index: Ints) -> Bools:
        above = record.mother(index)
        other = (above < 0) | (record.pdg_id[above] != record.pdg_id[index])
        return np.asarray(other | _is_hard(record.status[index]))

    def hadron_or_tau(index: Ints) -> Bools:
        code = np.abs(record.pdg_id[index])
        return np.asarray(_is_hadron(code) | (code == _TAU))

    origin = _follow_mothers(record, kept, ends_copies)
    source = _follow_mothers(
        record, mother, lambda index: _is_hard(record.status[index]) | hadron_or_tau(index)
    )
    prompt = hard | (source < 0) | ~hadron_or_tau(source)

    dark_quark = np.abs(record.pdg_id[kept]) == _DARK_QUARK

    flags = np.zeros(len(kept), dtype=np.uint16)
    for bit, mask in (
        (IS_PROMPT, prompt),
        (IS_HARD_PROCESS, hard),
        (FROM_HARD_PROCESS, _is_hard(record.status[origin])),
        (IS_FIRST_COPY, first_copy),
        (IS_LAST_COPY, _is_last_copy(record, kept) | (hard & dark_quark)),
    ):
        flags[mask] |= np.uint16(bit)
    return flags


def _is_hadron(code: npt.NDArray[np.integer]) -> Bools:
    # Diquarks, which only carry colour, have a 0 as tens digit.
    return np.asarray((code > 100) & (code < 1000000) & (code // 10 % 10 != 0))


def nano_status(record: EventRecord, kept: Ints) -> npt.NDArray[np.int32]:
    """Translate Pythia's status codes of the kept particles as HepMC does.

    1 for final, 2 for decayed hadrons, τ and μ, else Pythia's code without its sign.
    """
    status, code = record.status[kept], np.abs(record.pdg_id[kept])
    decayed = (status < 0) & ((_is_hadron(code) & (status < -80)) | np.isin(code, (13, 15)))
    decayed &= _is_last_copy(record, kept)
    return np.select([status > 0, decayed], [1, 2], np.abs(status)).astype(np.int32)


def momenta_of(record: EventRecord, index: Ints) -> Momenta:
    """Take the four-momenta of particles, by their indices, out of the record."""
    return Momenta(
        record.event[index], record.px[index], record.py[index], record.pz[index], record.e[index]
    )
