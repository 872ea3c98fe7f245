"""The three trees of a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import uproot

from oddjet.datasets.simulation.layout import COLLECTIONS, EVENT_BRANCHES, Events, make_collection
from oddjet.datasets.simulation.rootwriter import NanoWriter


def make_events(block: int, weights: list[float], counts: list[int]) -> Events:
    n = len(weights)
    scalars = {name: np.zeros(n, dtype=kind) for name, kind in EVENT_BRANCHES.items()}
    scalars["run"] += 1
    scalars["luminosityBlock"] += block
    scalars["genWeight"] = np.array(weights, dtype=np.float32)
    return Events(
        scalars,
        {
            name: make_collection(
                name, np.array(counts), {key: np.arange(sum(counts)) for key in columns}
            )
            for name, columns in COLLECTIONS.items()
        },
    )


def test_blocks_are_appended_and_summed(tmp_path: Path) -> None:
    path = tmp_path / "events.root"
    with NanoWriter(path) as writer:
        writer.write(make_events(1, [1.0, 2.5], [2, 0]))
        writer.write(make_events(2, [-1.0], [3]))
    with uproot.open(path) as file:
        events = file["Events"].arrays(["nFatJet", "FatJet_pt", "Jet_nConstituents"])
        lumis, runs = file["LuminosityBlocks"].arrays(), file["Runs"].arrays()
        assert file.file.compression == uproot.ZLIB(4)
    assert events.nFatJet.tolist() == [2, 0, 3]
    assert events.FatJet_pt.tolist() == [[0, 1], [], [0, 1, 2]]
    assert events.Jet_nConstituents.tolist() == [[0, 1], [], [0, 1, 2]]
    assert lumis.luminosityBlock.tolist() == [1, 2]
    assert runs.genEventCount.tolist() == [3]
    assert runs.genEventSumw.tolist() == [2.5]
    assert runs.genEventSumw2.tolist() == [1 + 6.25 + 1]


def test_after_an_error_no_sums_are_written(tmp_path: Path) -> None:
    path = tmp_path / "events.root"
    with pytest.raises(RuntimeError), NanoWriter(path):
        raise RuntimeError
    with uproot.open(path) as file:
        assert "Runs" not in file
