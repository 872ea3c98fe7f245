from __future__ import annotations

from typing import Any

import awkward as ak
import numpy as np
import pytest

from oddjet.datasets.jets import empty_jets
from oddjet.errors import ConfigError, InputError, NonFiniteError
from oddjet.ml.representations import REPRESENTATIONS, batches, representation_from_identity
from oddjet.ml.representations.batches import FlatJets, flatten_jets, over_jets

NAMES = sorted(REPRESENTATIONS)


def nothing(part: FlatJets, rows: slice) -> None:
    """Work that does nothing."""


def represent(name: str) -> Any:
    return representation_from_identity({"class": name})


def test_flat_columns_are_the_constituents_in_order(toy_jets) -> None:
    jets = toy_jets(20, prongs=2, seed=11)[[5, 3, 19, 3]]
    flat = flatten_jets(jets, label="test", masses=True)
    assert len(flat) == 4
    for i in range(4):
        mine = slice(flat.offsets[i], flat.offsets[i + 1])
        for name in ("pt", "eta", "phi", "mass"):
            expected = np.asarray(jets.constituents[i][name], dtype=np.float64)
            np.testing.assert_array_equal(getattr(flat, name)[mine], expected)
    np.testing.assert_array_equal(flat.axis_eta, np.asarray(jets.eta))
    part = flat.part(1, 3)
    np.testing.assert_array_equal(part.counts, flat.counts[1:3])
    np.testing.assert_array_equal(part.phi, flat.phi[flat.offsets[1] : flat.offsets[3]])


def test_masses_are_zero_without_a_column(toy_jets) -> None:
    jets = toy_jets(3, prongs=1, seed=12)
    jets = ak.with_field(jets, jets.constituents[["pt", "eta", "phi"]], "constituents")
    flat = flatten_jets(jets, label="test", masses=True)
    assert flat.mass.shape == flat.pt.shape
    assert not flat.mass.any()


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_every_row_is_worked_on_once(toy_jets, monkeypatch, threads: int) -> None:
    monkeypatch.setattr(batches, "BATCH", 7)
    jets = toy_jets(23, prongs=1, seed=13)
    seen = np.zeros(23, dtype=int)
    axes = np.zeros(23)

    def work(part, rows) -> None:
        seen[rows] += 1
        axes[rows] = part.axis_eta

    over_jets(jets, work, label="test", threads=threads)
    assert (seen == 1).all()
    np.testing.assert_array_equal(axes, np.asarray(jets.eta))


def test_jets_that_are_not_finite_are_counted_over_all_batches(toy_jets, monkeypatch) -> None:
    monkeypatch.setattr(batches, "BATCH", 4)
    jets = toy_jets(12, prongs=1, seed=14)
    axis = np.asarray(jets.eta).copy()
    axis[2] = np.inf
    index = ak.local_index(jets.pt)
    pt = ak.where((index == 2) | (index == 9), np.nan, jets.constituents.pt)
    jets = ak.with_field(jets, axis, "eta")
    jets = ak.with_field(jets, ak.with_field(jets.constituents, pt, "pt"), "constituents")
    with pytest.raises(NonFiniteError, match="test: 2 of 12 jets"):
        over_jets(jets, nothing, label="test")


def test_a_missing_column_is_named(toy_jets) -> None:
    jets = toy_jets(2, prongs=1, seed=15)
    with pytest.raises(InputError, match="phi"):
        over_jets(jets[["pt", "eta", "constituents"]], nothing, label="test")
    bare = ak.with_field(jets, jets.constituents[["pt", "eta"]], "constituents")
    with pytest.raises(InputError, match=r"constituents: .* phi"):
        over_jets(bare, nothing, label="test")


@pytest.mark.parametrize("threads", [0, -1, 1.5, True])
def test_impossible_numbers_of_threads_are_refused(toy_jets, threads) -> None:
    with pytest.raises(ConfigError, match="threads"):
        over_jets(empty_jets(), nothing, label="test", threads=threads)


@pytest.mark.parametrize("name", NAMES)
def test_neither_batches_nor_threads_nor_neighbours_matter(
    name: str, toy_jets, monkeypatch
) -> None:
    jets = ak.concatenate([toy_jets(31, prongs=1, seed=16), toy_jets(31, prongs=2, seed=17)])
    represented = represent(name)(jets)
    assert represented.shape == (62, *represent(name).shape)
    assert np.isfinite(represented).all()
    assert len(np.unique(represented, axis=0)) == 62
    monkeypatch.setattr(batches, "BATCH", 9)
    np.testing.assert_array_equal(represent(name)(jets, threads=3), represented)
    chosen = np.random.default_rng(2).permutation(62)[:20]
    np.testing.assert_array_equal(represent(name)(jets[chosen]), represented[chosen])


@pytest.mark.parametrize("name", NAMES)
def test_no_jets_and_jets_without_constituents(name: str, toy_jets) -> None:
    representation = represent(name)
    assert representation(empty_jets()).shape == (0, *representation.shape)
    jets = toy_jets(3, prongs=1, seed=18)
    number = ak.local_index(jets.constituents.pt)
    kept = jets.constituents[number < ak.Array([0, 1, 99])]  # none, one, all
    represented = representation(ak.with_field(jets, kept, "constituents"))
    assert np.isfinite(represented).all()
    np.testing.assert_array_equal(represented[2], representation(jets)[2])


@pytest.mark.parametrize("name", NAMES)
def test_not_finite_is_refused(name: str, toy_jets) -> None:
    jets = toy_jets(5, prongs=1, seed=19)
    phi = ak.where(ak.local_index(jets.pt) == 3, np.nan, jets.constituents.phi)
    bad = ak.with_field(jets, ak.with_field(jets.constituents, phi, "phi"), "constituents")
    with pytest.raises(NonFiniteError, match=f"{type(represent(name)).__name__}: 1 of 5"):
        represent(name)(bad)
