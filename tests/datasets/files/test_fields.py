"""Flat names of trees, and entries of RNTuples with collections."""

from __future__ import annotations

from pathlib import Path

import awkward as ak
import numpy as np
import pytest
import uproot

from oddjet.datasets.files.fields import NtupleFields, flat_names
from oddjet.datasets.files.rootfiles import inspect_root


@pytest.fixture
def grouped(tmp_path: Path) -> Path:
    """An RNTuple with a collection of records, a record, a vector and a number."""
    events = ak.Array(
        {
            "run": np.arange(5, dtype=np.uint32),
            "FatJet": [[{"pt": float(i), "nHits": i}] * i for i in range(5)],
            "HLT": [{"PFHT800": i % 2 == 0} for i in range(5)],
            "weights": [[0.5] * i for i in range(5)],
        }
    )
    path = tmp_path / "grouped.root"
    with uproot.recreate(path) as file:
        file.mkrntuple("Events", events)
    return path


def test_collections_and_records_have_flat_names(grouped: Path) -> None:
    with uproot.open(grouped) as file:
        assert flat_names(file["Events"]) == {
            "run": "run",
            "weights": "weights",
            "FatJet_pt": "FatJet.pt",
            "FatJet_nHits": "FatJet.nHits",
            "HLT_PFHT800": "HLT.PFHT800",
        }
    described = inspect_root(grouped)
    assert described.is_rntuple
    assert described.branches == {"run", "weights", "FatJet_pt", "FatJet_nHits", "HLT_PFHT800"}


def test_entries_are_read_by_flat_names(grouped: Path) -> None:
    with uproot.open(grouped) as file:
        fields = NtupleFields(file["Events"], 1, 4)
        assert len(fields) == 3
        assert fields["run"].to_list() == [1, 2, 3]
        assert fields["FatJet_pt"].to_list() == [[1], [2, 2], [3, 3, 3]]
        assert fields["HLT_PFHT800"].to_list() == [False, True, False]
        assert fields["weights"].to_list() == [[0.5], [0.5] * 2, [0.5] * 3]
        assert set(fields.fields) >= {"run", "FatJet_pt"}
        with pytest.raises(KeyError):
            fields["Jet_pt"]


def test_a_tree_has_the_names_it_has(tmp_path: Path) -> None:
    with uproot.recreate(tmp_path / "a.root") as file:
        file.mktree("Events", {"x": np.int64, "y": "var * float32"})
        file["Events"].extend({"x": np.arange(2), "y": ak.Array([[1.0], []])})
    with uproot.open(tmp_path / "a.root") as file:
        assert flat_names(file["Events"]) == {"x": "x", "ny": "ny", "y": "y"}
    assert not inspect_root(tmp_path / "a.root").is_rntuple
