from __future__ import annotations

import math

import awkward as ak
import numpy as np
import pytest

from oddjet.datasets.jets import Jets, make_jets
from oddjet.errors import ConfigError, NonFiniteError
from oddjet.ml.representations import representation_from_identity
from oddjet.ml.representations.energy_flow import EnergyFlow
from oddjet.ml.representations.jet_features import JetFeatures
from oddjet.ml.representations.substructure import Substructure


@pytest.fixture(scope="module")
def jets(toy_jets) -> Jets:
    return ak.concatenate([toy_jets(30, prongs=1, seed=71), toy_jets(30, prongs=2, seed=72)])


def test_two_equal_constituents_in_closed_form() -> None:
    jets = make_jets(
        [[{"pt": 50.0, "eta": 0.2, "phi": 3.1}, {"pt": 50.0, "eta": -0.2, "phi": 3.1}]]
    )
    row = dict(zip(JetFeatures.names, JetFeatures()(jets)[0], strict=True))
    mass = math.sqrt(2 * 50 * 50 * (math.cosh(0.4) - 1))
    expected = {
        "mass": mass,
        "msoftdrop": mass,
        "n_constituents": 2,
        "girth": 0.2,
        "c_02": 0.5 * 0.4**0.2,
        "pt_spread": math.sqrt(0.5),
        "tau21": 0,
        "tau32": 0,
        "efp1": 2 * 0.5 * 0.5 * 0.4,
        "major_axis": 0.2,
    }
    assert row == {name: pytest.approx(value, rel=1e-6) for name, value in expected.items()}


def test_columns_are_those_of_the_other_representations(jets: Jets) -> None:
    rows = JetFeatures()(jets)
    assert rows.dtype == np.float64
    assert rows.shape == (60, *JetFeatures().shape)
    substructure, efps = Substructure()(jets), EnergyFlow()(jets)
    for name, column in zip(JetFeatures.names, rows.T, strict=True):
        if name == "efp1":
            np.testing.assert_array_equal(column, efps[:, 0])
        else:
            np.testing.assert_array_equal(column, substructure[:, Substructure.names.index(name)])


def test_own_columns_are_taken_unless_recomputed(jets: Jets) -> None:
    own = ak.with_field(jets, np.full(len(jets), 12.5), "msoftdrop")
    place = JetFeatures.names.index("msoftdrop")
    assert (JetFeatures()(own)[:, place] == 12.5).all()
    np.testing.assert_array_equal(JetFeatures(recompute=True)(own), JetFeatures()(jets))


def test_neither_batches_nor_threads_matter(jets: Jets) -> None:
    whole = JetFeatures()(jets)
    np.testing.assert_array_equal(JetFeatures()(jets, threads=3), whole)
    np.testing.assert_array_equal(
        np.concatenate([JetFeatures()(jets[:7]), JetFeatures()(jets[7:])]), whole
    )
    assert JetFeatures()(jets[:0]).shape == (0, 10)


def test_an_empty_jet_is_all_zero(jets: Jets) -> None:
    empty = ak.with_field(jets[:2], jets[:2].constituents[:, :0], "constituents")
    assert not JetFeatures()(empty).any()


def test_what_is_not_finite_is_refused(jets: Jets) -> None:
    own = ak.with_field(jets, np.where(np.arange(60) == 7, np.nan, 0.5), "tau2")
    with pytest.raises(
        NonFiniteError, match=r"^JetFeatures: 1 of 60 .* tau2.*JetFeatures\(recompute=True\)"
    ):
        JetFeatures()(own)


def test_identity_and_fields() -> None:
    representation = JetFeatures(recompute=True)
    assert representation.identity()["class"] == "JetFeatures"
    assert representation_from_identity(representation.identity()) == representation
    with pytest.raises(ConfigError, match="recompute"):
        JetFeatures(recompute="no")  # type: ignore[arg-type]
