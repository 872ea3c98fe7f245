"""Branches: names and types are those of a real NanoAODv15 file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import uproot

from oddjet.datasets.simulation import SimulationSummary
from oddjet.datasets.simulation.layout import (
    COLLECTIONS,
    EVENT_BRANCHES,
    Collection,
    Events,
    concatenate,
    make_collection,
)

ADDED = {"MET_pt", "MET_phi"}


@pytest.mark.samples
def test_names_and_types_are_nanoaod_v15s(
    samples: Path, w_sample: tuple[Path, SimulationSummary]
) -> None:
    with uproot.open(samples / "nano_tt_v15.root") as real, uproot.open(w_sample[0]) as ours:
        expected = {name: branch.typename for name, branch in real["Events"].items()}
        written = {name: branch.typename for name, branch in ours["Events"].items()}
    assert len(written) > 100
    assert set(written) - set(expected) == ADDED
    differing = {
        name: (kind, expected[name])
        for name, kind in written.items()
        if name not in ADDED and kind != expected[name]
    }
    assert not differing


def test_every_declared_branch_is_written(w_sample: tuple[Path, SimulationSummary]) -> None:
    with uproot.open(w_sample[0]) as file:
        written = set(file["Events"].keys())
        assert file.classnames(cycle=False) == {
            "Events": "TTree",
            "LuminosityBlocks": "TTree",
            "Runs": "TTree",
        }
    declared = set(EVENT_BRANCHES) | {f"n{name}" for name in COLLECTIONS}
    declared |= {f"{name}_{key}" for name, columns in COLLECTIONS.items() for key in columns}
    assert written == declared


def test_integers_are_clipped_not_wrapped() -> None:
    collection = make_collection(
        "FatJetPFCand", np.array([2]), {"jetIdx": np.array([0, 2**40]), "pfCandIdx": np.zeros(2)}
    )
    assert collection.columns["jetIdx"].tolist() == [0, 2**31 - 1]
    assert collection.columns["jetIdx"].dtype == np.int32


def test_concatenation_keeps_events_in_order() -> None:
    def batch(first: int, counts: list[int]) -> Events:
        n = len(counts)
        scalars = {name: np.zeros(n) for name in EVENT_BRANCHES}
        scalars["event"] = np.arange(first, first + n)
        return Events(
            scalars,
            {
                name: Collection(
                    np.array(counts), {key: np.full(sum(counts), first) for key in columns}
                )
                for name, columns in COLLECTIONS.items()
            },
        )

    joined = concatenate([batch(0, [1, 2]), batch(2, [0, 3])])
    assert joined.scalars["event"].tolist() == [0, 1, 2, 3]
    assert joined.collections["Jet"].counts.tolist() == [1, 2, 0, 3]
    assert joined.collections["Jet"].columns["pt"].tolist() == [0, 0, 0, 2, 2, 2]
