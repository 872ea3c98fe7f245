"""GenPart: what is kept, its mothers and its flags."""

from __future__ import annotations

import awkward as ak
import numpy as np
import pytest

from oddjet.datasets.simulation.generator import EventRecord, open_pythia, read_batches, read_record
from oddjet.datasets.simulation.genparticles import (
    FROM_HARD_PROCESS,
    IS_FIRST_COPY,
    IS_HARD_PROCESS,
    IS_LAST_COPY,
    IS_PROMPT,
    prune,
    status_flags,
)
from oddjet.datasets.simulation.identifiers import Slice
from oddjet.datasets.simulation.processes import PROCESSES


@pytest.fixture(scope="module")
def record() -> EventRecord:
    pythia = open_pythia(PROCESSES["top"], Slice(450), 3, where="top")
    return read_record(next(iter(read_batches(pythia, 12))))


def test_mothers_are_the_nearest_kept_ancestors_by_a_plain_loop(record: EventRecord) -> None:
    kept, mothers = prune(record)
    assert len(kept) > 100
    chosen = set(kept.tolist())
    for index, mother in zip(kept.tolist(), mothers.tolist(), strict=True):
        start = int(record.offsets[record.event[index]])
        at = int(record.mother1[index])
        while at > 0 and at + start not in chosen:
            at = int(record.mother1[at + start])
        same_event = [k for k in kept.tolist() if record.event[k] == record.event[index]]
        assert mother == (same_event.index(at + start) if at > 0 else -1)


def test_top_decays_are_linked(w_events: ak.Array, record: EventRecord) -> None:
    kept, mothers = prune(record)
    for event in range(record.n_events):
        rows = kept[record.event[kept] == event]
        links = mothers[record.event[kept] == event]
        code = record.pdg_id[rows]
        for row in np.flatnonzero(np.abs(code) == 5):
            if abs(record.status[rows[row]]) == 23:
                assert abs(code[links[row]]) == 6
        quarks = (np.abs(code) < 5) & (np.abs(record.status[rows]) == 23)
        assert quarks.sum() == 4
        assert (np.abs(code[links[quarks]]) == 24).all()


def test_flags_of_tops_and_their_copies(record: EventRecord) -> None:
    kept, _ = prune(record)
    flags = status_flags(record, kept)
    top = np.abs(record.pdg_id[kept]) == 6
    hard = (flags & IS_HARD_PROCESS) != 0
    last = (flags & IS_LAST_COPY) != 0
    assert (top & hard).sum() == 2 * record.n_events
    assert (top & last).sum() == 2 * record.n_events
    assert ((flags[top] & FROM_HARD_PROCESS) != 0).all()
    assert ((flags[top] & IS_PROMPT) != 0).all()
    assert ((flags[top & hard] & IS_FIRST_COPY) != 0).all()


@pytest.mark.parametrize("name", ["aachen", "svj", "heidelberg"])
def test_the_truth_particles_of_dark_jets_are_there_once(name: str) -> None:
    process = PROCESSES[name]
    pythia = open_pythia(process, Slice(process.pt_hat_min or 0), 3, where=name)
    dark = read_record(next(iter(read_batches(pythia, 4))))
    kept, mothers = prune(dark)
    flags = status_flags(dark, kept)
    wanted = np.isin(np.abs(dark.pdg_id[kept]), process.truth) & ((flags & IS_LAST_COPY) != 0)
    assert np.bincount(dark.event[kept[wanted]], minlength=4).tolist() == [2] * 4
    # Dark hadrons and what they decay to hang below them.
    hadron = np.isin(np.abs(dark.pdg_id[kept]), process.dark_hadrons)
    decayed = hadron & (dark.status[kept] < 0)
    first = np.searchsorted(dark.event[kept], dark.event[kept])
    parents = set((mothers + first)[mothers >= 0].tolist())
    assert decayed.sum() > 4
    assert set(np.flatnonzero(decayed).tolist()) <= parents


def test_leptons_from_hadrons_are_not_prompt(record: EventRecord) -> None:
    kept, _ = prune(record)
    flags = status_flags(record, kept)
    code = np.abs(record.pdg_id[kept])
    lepton = (code >= 11) & (code <= 16)
    assert lepton.sum() > 5
    # Both W decay to quarks, so every lepton comes from a hadron or from a photon in the shower.
    parent = np.abs(record.pdg_id[record.mother(kept)])
    of_hadron = lepton & (parent > 100) & (parent < 10000) & (parent // 10 % 10 != 0)
    assert of_hadron.sum() > 5
    assert ((flags[of_hadron] & IS_PROMPT) == 0).all()


def test_mothers_in_a_file_come_before_their_daughters(w_events: ak.Array) -> None:
    mother = w_events.GenPart_genPartIdxMother
    position = ak.local_index(mother)
    assert ak.all(mother < position)
    assert ak.all(mother >= -1)
    assert ak.any(mother >= 0)
    w_daughters = w_events.GenPart_pdgId[mother[mother >= 0]][
        abs(w_events.GenPart_pdgId[mother >= 0]) < 6
    ]
    assert ak.any(abs(w_daughters) == 24)


def test_every_w_event_has_its_w_and_two_quarks_of_it(w_events: ak.Array) -> None:
    code = abs(w_events.GenPart_pdgId)
    last = (w_events.GenPart_statusFlags & IS_LAST_COPY) != 0
    assert ak.all(ak.sum((code == 24) & last, axis=1) == 1)
    mother = w_events.GenPart_genPartIdxMother
    of_w = (mother >= 0) & (code[ak.where(mother >= 0, mother, 0)] == 24)
    quarks = of_w & (code <= 5) & ((w_events.GenPart_statusFlags & IS_HARD_PROCESS) != 0)
    assert ak.all(ak.sum(quarks, axis=1) == 2)
