"""Pythia: repeatable, its record flat and complete."""

from __future__ import annotations

import numpy as np
import pytest

from oddjet.datasets.simulation import generator
from oddjet.datasets.simulation.generator import EventRecord, open_pythia, read_batches, read_record
from oddjet.datasets.simulation.identifiers import Slice
from oddjet.datasets.simulation.processes import PROCESSES
from oddjet.errors import ProcessingError


def generate(n_events: int, seed: int) -> list[EventRecord]:
    pythia = open_pythia(PROCESSES["w"], Slice(350, 500), seed, where="w")
    return [read_record(batch) for batch in read_batches(pythia, n_events)]


def test_batches_do_not_change_the_events(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = generate(7, seed=5)
    monkeypatch.setattr(generator, "BATCH_EVENTS", 3)
    parts = generate(7, seed=5)
    assert [part.n_events for part in parts] == [3, 3, 1]
    assert np.array_equal(whole[0].px, np.concatenate([part.px for part in parts]))


def test_another_seed_gives_other_events() -> None:
    one, other = generate(2, seed=5)[0], generate(2, seed=6)[0]
    assert len(one.px) != len(other.px) or not np.array_equal(one.px, other.px)


def test_momentum_is_conserved_and_the_slice_kept() -> None:
    record = generate(10, seed=5)[0]
    final = record.status > 0
    for values, expected in ((record.px, 0), (record.pz, 0), (record.e, 13000)):
        total = np.bincount(record.event[final], values[final])
        np.testing.assert_allclose(total, expected, atol=0.1)
    assert ((record.pt_hat > 350) & (record.pt_hat < 500)).all()


def test_mothers_and_daughters_point_at_each_other() -> None:
    record = generate(3, seed=5)[0]
    w = np.flatnonzero((np.abs(record.pdg_id) == 24) & (np.abs(record.status) == 22))
    assert len(w) == 3
    first, _ = record.daughters(w)
    assert np.array_equal(record.mother(first), w)
    assert np.array_equal(record.event[first], record.event[w])
    assert (record.mother(record.offsets[:-1]) == -1).all()  # the entry for the system


class Exhausted:
    """A generator whose events all fail."""

    def nextBatch(self, _n_events: int) -> list[int]:
        return []


def test_a_generator_without_events_is_an_error_not_a_loop() -> None:
    with pytest.raises(ProcessingError, match="no more events for process 'nothing': 10 of 10"):
        list(read_batches(Exhausted(), 10, where="nothing"))
