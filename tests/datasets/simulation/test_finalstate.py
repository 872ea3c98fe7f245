"""Visible particles and the dark sector's invisible fraction."""

from __future__ import annotations

import numpy as np

from oddjet.datasets.simulation.finalstate import count_dark_hadrons, is_invisible, select_visible
from oddjet.datasets.simulation.generator import EventRecord


def make_record(rows: list[tuple[int, int, int, int, float]], event: list[int]) -> EventRecord:
    """Rows are (id, status, mother, daughter, pz) with pt = 1."""
    ids, status, mother, daughter, pz = (np.array(column) for column in zip(*rows, strict=True))
    n = len(rows)
    events = np.array(event)
    n_events = events.max() + 1
    return EventRecord(
        offsets=np.searchsorted(events, np.arange(n_events + 1)),
        event=events,
        pdg_id=ids.astype(np.int32),
        status=status.astype(np.int32),
        mother1=mother.astype(np.int32),
        daughter1=daughter.astype(np.int32),
        daughter2=daughter.astype(np.int32),
        px=np.ones(n),
        py=np.zeros(n),
        pz=pz.astype(float),
        e=np.hypot(1.0, pz.astype(float)),
        mass=np.zeros(n),
        weight=np.ones(n_events),
        parton_id=np.zeros((n_events, 2), np.int32),
        parton_x=np.zeros((n_events, 2)),
        scale=np.ones(n_events),
        pt_hat=np.ones(n_events),
    )


def test_what_no_detector_sees() -> None:
    unseen = [12, -14, 16, 1000022, 51, -51, 4900111, -4900211]
    seen = [11, -13, 22, 211, 130, 2112, 310]
    assert is_invisible(np.array(unseen)).all()
    assert not is_invisible(np.array(seen)).any()


def test_only_final_visible_particles_in_reach_are_selected() -> None:
    rows = [
        (90, -11, 0, 0, 0.0),
        (211, 91, 0, 0, 0.5),
        (12, 91, 0, 0, 0.0),
        (22, 91, 0, 0, np.sinh(5.6)),
        (113, -91, 0, 0, 0.0),
        (90, -11, 0, 0, 0.0),
        (-11, 91, 0, 0, -1.0),
    ]
    charges = {211: 1.0, -11: 1.0, 22: 0.0}
    seen = select_visible(make_record(rows, [0] * 5 + [1] * 2), charges.__getitem__)
    assert seen.pdg_id.tolist() == [211, -11]
    assert seen.charge.tolist() == [1, 1]
    assert seen.index.tolist() == [1, 6]
    assert seen.momenta.event.tolist() == [0, 1]


def test_dark_hadrons_that_end_invisibly_are_counted() -> None:
    rows = [
        (90, -11, 0, 0, 0.0),
        (4900111, 83, 0, 0, 0.0),  # stable
        (4900113, -83, 0, 4, 0.0),  # to quarks
        (4900113, -83, 0, 5, 0.0),  # to dark matter
        (3, -91, 2, 0, 0.0),
        (51, 91, 3, 0, 0.0),
    ]
    record = make_record(rows, [0] * 6)
    assert count_dark_hadrons(record, (4900111, 4900113)) == (3, 2)
    assert count_dark_hadrons(record, ()) == (0, 0)
