from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import uproot

from oddjet.datasets.jets import Truth
from oddjet.processors.events.objects import Objects, read_objects
from oddjet.processors.events.truth import match_truth

DeltaR = Callable[[float, float, float, float], float]
LAST = 1 << 13


def particles(*rows: tuple[int, int, int, float, float]) -> Objects:
    """One event of (pdgId, mother, flags, eta, phi)."""
    columns = list(zip(*rows, strict=True))
    names = ("pdgId", "genPartIdxMother", "statusFlags", "eta", "phi")
    types = (np.int32, np.int16, np.uint16, np.float32, np.float32)
    return Objects(
        np.array([0, len(rows)]),
        {n: np.array(c, t) for n, c, t in zip(names, columns, types, strict=True)},
    )


def jet(eta: float, phi: float) -> Objects:
    return Objects(np.array([0, 1]), {"eta": np.array([eta]), "phi": np.array([phi])})


def label(jet: Objects, record: Objects, *truth: int) -> int:
    match = match_truth(jet, record, truth=truth, delta_r=0.4, merged_delta_r=0.6)
    return int(match.label[0])


W_DECAY = [
    (24, -1, 0, 3.0, 0.0),
    (24, 0, LAST, 0.1, 0.0),
    (2, 1, 0, 0.4, 0.1),
    (-1, 1, 0, -0.3, 0.0),
]


def test_a_w_with_both_quarks_inside_is_merged() -> None:
    assert label(jet(0, 0), particles(*W_DECAY), 24) == Truth.MERGED
    # one quark is 0.65 away
    assert label(jet(-0.25, 0.05), particles(*W_DECAY), 24) == Truth.MATCHED
    assert label(jet(0.6, 0), particles(*W_DECAY), 24) == Truth.UNMATCHED
    # the first copy, at η = 3, does not count
    assert label(jet(3.0, 0), particles(*W_DECAY), 24) == Truth.UNMATCHED
    assert label(jet(0, 0), particles(*W_DECAY), 23, 6) == Truth.UNMATCHED


def test_a_leptonic_w_is_not_merged() -> None:
    record = [*W_DECAY[:2], (-11, 1, LAST, 0.1, 0.1), (12, 1, LAST, 0.0, 0.1)]
    assert label(jet(0, 0), particles(*record), 24) == Truth.MATCHED


TOP_DECAY = [
    (6, -1, 0, 0.0, 0.0),
    (6, 0, LAST, 0.0, 0.0),
    (5, 1, 0, 0.3, 0.0),
    (24, 1, 0, 0.0, 0.1),
    (24, 3, LAST, 0.0, 0.1),
    (4, 4, 0, 0.1, 0.3),
    (-3, 4, 0, -0.1, -0.2),
]


def test_a_top_needs_all_three_quarks() -> None:
    assert label(jet(0, 0), particles(*TOP_DECAY), 6) == Truth.MERGED
    for moved in (2, 5, 6):
        record = list(TOP_DECAY)
        record[moved] = (*record[moved][:3], 1.0, 0.0)
        assert label(jet(0, 0), particles(*record), 6) == Truth.MATCHED
    leptonic = [*TOP_DECAY[:5], (-13, 4, LAST, 0.0, 0.1), (14, 4, LAST, 0.0, 0.1)]
    assert label(jet(0, 0), particles(*leptonic), 6) == Truth.MATCHED


def test_a_dark_quark_is_matched_only() -> None:
    record = particles((4900101, -1, LAST, 0.0, 0.0), (1, 0, 0, 0.0, 0.0), (-1, 0, 0, 0.1, 0.0))
    assert label(jet(0, 0), record, 4900101) == Truth.MATCHED


def test_no_particles_and_no_jets() -> None:
    empty = particles(*W_DECAY).where(np.zeros(4, bool))
    assert label(jet(0, 0), empty, 24) == Truth.UNMATCHED
    none = jet(0, 0).where(np.array([False]))
    match = match_truth(none, particles(*W_DECAY), truth=[24], delta_r=0.4, merged_delta_r=0.6)
    assert len(match.label) == len(match.pdg_id) == len(match.delta_r) == 0


def expected_label(
    event: dict[str, Any], eta: float, phi: float, delta_r: DeltaR
) -> tuple[int, int, float]:
    """The label of one jet of a W sample, in a loop."""
    pdg, mother = event["GenPart_pdgId"], event["GenPart_genPartIdxMother"]

    def at(i: int) -> float:
        return delta_r(eta, phi, event["GenPart_eta"][i], event["GenPart_phi"][i])

    bosons = [
        (at(i), i)
        for i in range(len(pdg))
        if abs(pdg[i]) == 24 and event["GenPart_statusFlags"][i] & LAST
    ]
    if not bosons or min(bosons)[0] >= 0.4:
        return Truth.UNMATCHED, 0, np.inf
    distance, boson = min(bosons)
    quarks = [i for i in range(len(pdg)) if mother[i] == boson and abs(pdg[i]) in range(1, 6)]
    merged = len(quarks) == 2 and all(at(i) < 0.6 for i in quarks)
    return (Truth.MERGED if merged else Truth.MATCHED), pdg[boson], distance


def test_a_simulated_sample_agrees_with_a_loop(w: Path, delta_r: DeltaR) -> None:
    fields = ("eta", "phi", "pdgId", "statusFlags", "genPartIdxMother")
    tree = uproot.open(w)["Events"]
    events = tree.arrays(["FatJet_eta", "FatJet_phi", *(f"GenPart_{field}" for field in fields)])
    match = match_truth(
        read_objects(events, "FatJet", ("eta", "phi")),
        read_objects(events, "GenPart", fields),
        truth=(24,),
        delta_r=0.4,
        merged_delta_r=0.6,
    )
    expected = [
        expected_label(event, eta, phi, delta_r)
        for event in events.to_list()
        for eta, phi in zip(event["FatJet_eta"], event["FatJet_phi"], strict=True)
    ]
    labels: npt.NDArray[np.int64] = np.array([row[0] for row in expected])
    assert match.label.tolist() == labels.tolist()
    assert match.pdg_id.tolist() == [row[1] for row in expected]
    assert match.delta_r == pytest.approx(np.array([row[2] for row in expected]), abs=1e-6)
    counts = [np.count_nonzero(labels == truth) for truth in (1, 2, 3)]
    assert min(counts) > 20  # all three kinds are there to be told apart
