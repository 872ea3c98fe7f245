from __future__ import annotations

import json
import math

import awkward as ak
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from oddjet.datasets.jets import Jets, empty_jets, make_jets, sum_constituents
from oddjet.errors import ConfigError, InputError, NonFiniteError
from oddjet.ml.representations.leading_constituents import ConstituentScaling, LeadingConstituents
from oddjet.typing import Floats


@pytest.fixture(scope="module")
def jets(toy_jets) -> Jets:
    return ak.concatenate([toy_jets(40, prongs=1, seed=71), toy_jets(40, prongs=2, seed=72)])


def leading(jets: Jets, n: int) -> ak.Array:
    """Four-vector sums of the n hardest constituents, massless."""
    kept = jets.constituents[:, :n]
    return sum_constituents(ak.with_field(kept, ak.zeros_like(kept.pt), "mass"))


@pytest.mark.parametrize("centre", ["axis", "centroid"])
@pytest.mark.parametrize("scale", [True, False])
@pytest.mark.parametrize("n", [1, 5, 20, 60])
def test_inverse_gives_the_mass_of_the_leading_constituents(
    jets: Jets, n: int, scale: bool, centre
) -> None:
    representation = LeadingConstituents(n=n, scale=scale, centre=centre)
    rows = representation(jets)
    assert rows.shape == (80, 4 * n)
    expected = np.asarray(leading(jets, n).mass)
    for massless in (True, False):
        masses = representation.mass(rows, jets.pt, massless=massless)
        np.testing.assert_allclose(masses, expected, rtol=1e-6, atol=2e-5)


def test_of_two_constituents_in_closed_form() -> None:
    # 0.6 apart in pseudorapidity: turned upright, they are 0.6 apart along y.
    jets = make_jets(
        [[{"pt": 30.0, "eta": 1.3, "phi": 3.0}, {"pt": 30.0, "eta": 0.7, "phi": 3.0}]],
        pt=[60.0],
        eta=[1.0],
        phi=[3.0],
        mass=[0.0],
    )
    rows = LeadingConstituents(n=3)(jets).reshape(3, 4)
    side, energy = math.sinh(0.3) / 2, math.cosh(0.3) / 2
    np.testing.assert_allclose(np.abs(rows[:2]), [[0.5, side, 0, energy]] * 2, atol=1e-6)
    assert rows[0, 1] * rows[1, 1] < 0
    assert not rows[2].any()


def test_momenta_are_massless_hardest_first_and_distances_stay(jets: Jets) -> None:
    rows = LeadingConstituents(n=10, scale=False)(jets)
    momenta = rows.reshape(80, 10, 4)
    np.testing.assert_allclose(
        np.linalg.norm(momenta[..., :3], axis=-1), momenta[..., 3], rtol=1e-12
    )
    # Invariant masses of all pairs, from the constituents' own coordinates.
    for i in (0, 50):
        kept = jets.constituents[i][:10]
        pt, eta, phi = (np.asarray(kept[name], float) for name in ("pt", "eta", "phi"))
        expected = np.cosh(eta[:, None] - eta) - np.cos(phi[:, None] - phi)
        squared = expected * 2 * np.outer(pt, pt)
        p = momenta[i]
        mine = 2 * (np.outer(p[:, 3], p[:, 3]) - p[:, :3] @ p[:, :3].T)
        np.testing.assert_allclose(mine, squared, rtol=1e-6, atol=1e-8)


def test_frame_is_centred_and_upright(jets: Jets) -> None:
    rows = LeadingConstituents(n=60)(jets).reshape(80, 60, 4)
    total = rows.sum(axis=1)
    # Along the axis, and of the jet's pt: the toy jets are the sums of their constituents. Along the
    # beam a massive jet is not at rest in the frame where its pseudorapidity is 0.
    np.testing.assert_allclose(total[:, 0], 1.0, atol=1e-5)
    along = jets.constituents.pt * np.sinh(jets.constituents.eta - jets.eta)
    beam = np.asarray(ak.sum(along, axis=1) / jets.pt)
    np.testing.assert_allclose(np.hypot(total[:, 1], total[:, 2]), np.abs(beam), atol=1e-5)
    weights = np.where(rows[..., 3] > 0, 1 / np.maximum(rows[..., 3], 1e-300), 0.0)
    tensor = np.einsum("jia,jib,ji->jab", rows[..., 1:3], rows[..., 1:3], weights)
    np.testing.assert_allclose(tensor[:, 0, 1], 0.0, atol=1e-12)
    assert (tensor[:, 0, 0] > tensor[:, 1, 1]).all()
    balance = (np.sign(rows[..., 1]) * rows[..., 3]).sum(axis=1)
    assert (balance >= 0).all()


@settings(max_examples=100, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 10_000),
    place=st.tuples(st.floats(-1.5, 1.5), st.floats(-4, 4)),
    angle=st.floats(0, 2 * np.pi),
    scale=st.floats(0.1, 10),
)
def test_place_turn_about_the_axis_unit_and_order_do_not_matter(seed, place, angle, scale) -> None:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 15))
    pt, eta, phi = rng.exponential(5.0, n) + 1, rng.normal(0, 0.3, n), rng.normal(0, 0.2, n)
    px, py, pz = pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta)

    def rows(factor: float, turn: float, move: tuple[float, float], order: object) -> Floats:
        y, z = py * np.cos(turn) - pz * np.sin(turn), py * np.sin(turn) + pz * np.cos(turn)
        transverse = np.hypot(px, y)
        azimuth = np.remainder(np.arctan2(y, px) + move[1] + np.pi, 2 * np.pi) - np.pi
        record = {
            "pt": factor * transverse,
            "eta": np.arcsinh(z / transverse) + move[0],
            "phi": azimuth,
        }
        jets = make_jets(
            ak.Array([ak.zip(record)[order]]), pt=[factor], eta=[move[0]], phi=[move[1]], mass=[0.0]
        )
        return LeadingConstituents(n=16)(jets).reshape(16, 4)

    plain = rows(1.0, 0.0, (0.0, 0.0), np.arange(n))
    energy = plain[:n, 3]
    y, z = plain[:n, 1], plain[:n, 2]
    yy, zz = (y * y / energy).sum(), (z * z / energy).sum()
    assume(yy - zz > 0.01 * (yy + zz))
    assume(abs((np.sign(y) * energy).sum()) > 1e-3)
    assume(np.abs(y).min() > 1e-4)
    moved = rows(scale, angle, place, rng.permutation(n))
    # A turn changes which are hardest by pt: compare as sets, ordered by energy.
    by_energy = [momenta[np.argsort(-momenta[:, 3])] for momenta in (plain, moved)]
    gaps = -np.diff(by_energy[0][:n, 3])
    assume(gaps.min() > 1e-3)
    np.testing.assert_allclose(by_energy[1], by_energy[0], atol=2e-3 * max(1.0, energy.max() / 10))


@settings(max_examples=100, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10_000), angle=st.floats(0, 2 * np.pi))
def test_a_mirrored_jet_is_mirrored_sideways_whatever_the_mirror(seed: int, angle: float) -> None:
    """There is no flip among the steps: handedness is kept, as the sign of pz."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(3, 15))
    pt, eta, phi = rng.exponential(5.0, n) + 1, rng.normal(0, 0.3, n), rng.normal(0, 0.1, n)
    px, py, pz = pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta)
    # A mirror through the jet's axis, at any angle about it.
    cosine, sine = np.cos(2 * angle), np.sin(2 * angle)

    def rows(py: Floats, pz: Floats) -> Floats:
        transverse = np.hypot(px, py)
        record = {"pt": transverse, "eta": np.arcsinh(pz / transverse), "phi": np.arctan2(py, px)}
        axis = {"pt": [1.0], "eta": [0.0], "phi": [0.0], "mass": [0.0]}
        momenta = LeadingConstituents(n=n)(make_jets(ak.Array([ak.zip(record)]), **axis))
        return momenta.reshape(n, 4)[np.argsort(-momenta.reshape(n, 4)[:, 3])]

    plain = rows(py, pz)
    energy, y, z = plain[:, 3], plain[:, 1], plain[:, 2]
    yy, zz = (y * y / energy).sum(), (z * z / energy).sum()
    assume(yy - zz > 0.01 * (yy + zz))
    assume(abs((np.sign(y) * energy).sum()) > 1e-3)
    assume(np.abs(y).min() > 1e-4)
    assume(np.diff(-energy).min() > 1e-3)
    moved = rows(cosine * py + sine * pz, sine * py - cosine * pz)
    tolerance = 2e-3 * max(1.0, energy.max() / 10)
    np.testing.assert_allclose(moved, plain * [1, 1, -1, 1], atol=tolerance)


def test_order_of_the_input_does_not_matter(jets: Jets) -> None:
    constituents = jets.constituents
    turned = ak.with_field(jets, constituents[:, ::-1], "constituents")
    np.testing.assert_array_equal(LeadingConstituents(n=7)(turned), LeadingConstituents(n=7)(jets))


def test_inverse_undoes_the_scale(jets: Jets) -> None:
    representation = LeadingConstituents(n=4)
    momenta = representation.inverse(representation(jets), jets.pt)
    expected = np.asarray(ak.to_regular(jets.constituents.pt[:, :4], axis=1), float)
    unscaled = LeadingConstituents(n=4, scale=False)(jets).reshape(80, 4, 4)
    np.testing.assert_allclose(momenta, unscaled, rtol=1e-12, atol=1e-12)
    # A turn about the jet's axis keeps px, which is near pt; pt itself changes a little.
    np.testing.assert_allclose(momenta[..., 0], expected, rtol=0.3)


def test_a_row_without_meaning_still_has_a_mass() -> None:
    rows = np.random.default_rng(5).normal(size=(50, 80))
    representation = LeadingConstituents()
    pt = np.full(50, 300.0)
    masses = representation.mass(rows, pt)
    assert (masses > 0).all()
    assert np.isfinite(representation.mass(rows, pt, massless=False)).all()


def test_scaling_is_by_median_and_quartiles(jets: Jets) -> None:
    representation = LeadingConstituents(n=45)
    scaling = ConstituentScaling.fit(representation(jets))
    rows = representation(jets)
    scaled = scaling.apply(rows)
    spread = np.subtract(*np.percentile(rows, [75, 25], axis=0))
    assert (spread == 0).any()  # padding
    assert (spread > 0).any()
    np.testing.assert_allclose(np.median(scaled, axis=0), 0.0, atol=1e-12)
    quartiles = np.subtract(*np.percentile(scaled, [75, 25], axis=0))
    np.testing.assert_allclose(quartiles, np.where(spread > 0, 1.0, 0.0), rtol=1e-9)
    assert np.isfinite(scaled).all()
    np.testing.assert_allclose(scaling.invert(scaled), rows, atol=1e-12)
    again = ConstituentScaling.from_dict(json.loads(json.dumps(scaling.to_dict())))
    np.testing.assert_array_equal(again.apply(rows), scaled)


def test_scaling_needs_jets() -> None:
    with pytest.raises(InputError, match="no jets"):
        ConstituentScaling.fit(LeadingConstituents()(empty_jets()))


def test_a_jet_pt_that_cannot_be_divided_by_is_refused(jets: Jets) -> None:
    for bad, error in ((0.0, InputError), (-3.0, InputError), (np.nan, NonFiniteError)):
        pt = np.where(np.arange(80) == 5, bad, 100.0)
        with pytest.raises(error, match="1 of 80"):
            LeadingConstituents()(ak.with_field(jets, pt, "pt"))
    zero = ak.with_field(jets, np.zeros(80), "pt")
    assert LeadingConstituents(scale=False)(zero).any()
    empty = ak.with_field(zero, zero.constituents[:, :0], "constituents")
    assert not LeadingConstituents()(empty).any()


def test_inverse_refuses_other_shapes() -> None:
    with pytest.raises(InputError, match=r"\(n_jets, 80\)"):
        LeadingConstituents().inverse(np.zeros((3, 79)), np.ones(3))
    with pytest.raises(InputError, match=r"\(n_jets,\)"):
        LeadingConstituents().inverse(np.zeros((3, 80)), np.ones(2))


@pytest.mark.parametrize("fields", [{"n": 0}, {"n": 2.5}, {"scale": 1}, {"centre": "here"}])
def test_impossible_fields_are_refused(fields) -> None:
    with pytest.raises(ConfigError, match=next(iter(fields))):
        LeadingConstituents(**fields)


def test_names_are_the_columns() -> None:
    assert LeadingConstituents(n=2).names == ("px1", "py1", "pz1", "e1", "px2", "py2", "pz2", "e2")
