from __future__ import annotations

from pathlib import Path

import awkward as ak
import numpy as np
import pytest

from oddjet.errors import TrainedOnError
from oddjet.ml.provenance import Provenance


def test_seen_marks_events_of_the_same_dataset(toy_jets) -> None:
    trained = toy_jets(50, prongs=1, seed=1, dataset="qcd")
    provenance = Provenance.from_jets(trained[:20], None, trained[20:30])
    expected = np.arange(50) < 30
    np.testing.assert_array_equal(provenance.seen(trained), expected)
    other = toy_jets(50, prongs=1, seed=1, dataset="w")
    assert not provenance.seen(other).any()


def test_mixed_datasets_keep_their_rows(toy_jets) -> None:
    jets = ak.with_field(toy_jets(20, prongs=1, seed=1), ["a", "b"] * 10, "dataset")
    swapped = ak.with_field(jets, ["b", "a"] * 10, "dataset")
    half = np.arange(20) < 10
    np.testing.assert_array_equal(Provenance.from_jets(jets[:10]).seen(jets), half)
    assert not Provenance.from_jets(jets[:10]).seen(swapped).any()


def test_jets_of_one_event_count_once(toy_jets) -> None:
    jets = toy_jets(10, prongs=1, seed=1, dataset="qcd")
    assert Provenance.from_jets(jets, jets).summary() == {"qcd": 10}


def test_plain_strings_work_like_categories(toy_jets) -> None:
    jets = toy_jets(10, prongs=1, seed=1)
    plain = ak.with_field(jets, ak.Array(["a", "b"] * 5), "dataset")
    provenance = Provenance.from_jets(plain[:4])
    assert provenance.summary() == {"a": 2, "b": 2}
    np.testing.assert_array_equal(provenance.seen(plain), np.arange(10) < 4)


def test_without_a_dataset_jets_are_compared_with_all(toy_jets) -> None:
    named = toy_jets(10, prongs=1, seed=1, dataset="qcd")
    nameless = toy_jets(10, prongs=1, seed=1)
    assert Provenance.from_jets(named).seen(nameless).all()
    assert Provenance.from_jets(nameless).seen(named).all()


def test_jets_without_events_leave_no_trace(toy_jets) -> None:
    jets = toy_jets(10, prongs=1, seed=1, events=False)
    provenance = Provenance.from_jets(jets)
    assert provenance.summary() == {}
    assert not provenance.seen(jets).any()
    assert not Provenance.from_jets(toy_jets(10, prongs=1, seed=1)).seen(jets).any()


def test_refusal_says_how_many_of_what_and_what_to_do(toy_jets) -> None:
    jets = toy_jets(10, prongs=1, seed=1, dataset="qcd")
    with pytest.raises(TrainedOnError, match=r"(?s)3 of 10.*qcd.*FoldedDetector.*allow_trained"):
        Provenance.from_jets(jets[:3]).refuse(jets, detector="khanal")
    Provenance.from_jets(jets[:3]).refuse(jets[3:], detector="khanal")


def test_save_and_load(toy_jets, tmp_path: Path) -> None:
    jets = ak.with_field(toy_jets(20, prongs=1, seed=1), ["a", "b"] * 10, "dataset")
    for provenance in (Provenance.from_jets(jets), Provenance()):
        provenance.save(tmp_path / "p.npz")
        loaded = Provenance.load(tmp_path / "p.npz")
        assert loaded.summary() == provenance.summary()
        np.testing.assert_array_equal(loaded.seen(jets), provenance.seen(jets))
