from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from oddjet.ml.representations.batches import FlatJets
from oddjet.ml.representations.orient import orient
from oddjet.typing import Floats


def flat(pt: Floats, right: Floats, up: Floats, axis: tuple[float, float] = (0.0, 0.0)) -> FlatJets:
    """One jet whose constituents are at (right, up) from its axis; azimuths in [-π, π)."""
    phi = np.remainder(up + axis[1] + np.pi, 2 * np.pi) - np.pi
    return FlatJets(
        pt,
        right + axis[0],
        phi,
        np.empty(0),
        np.array([0, len(pt)]),
        np.array([axis[0]]),
        np.array([axis[1]]),
    )


def plain(pt: Floats, right: Floats, up: Floats) -> tuple[Floats, Floats]:
    """Centre on the centroid, turn and flip with eigenvectors and masks."""
    points = np.stack([right, up])
    points = points - np.average(points, axis=1, weights=pt)[:, None]
    values, vectors = np.linalg.eigh(np.cov(points, aweights=pt, bias=True))
    principal, other = vectors[:, np.argmax(values)], vectors[:, np.argmin(values)]
    points = np.stack([other @ points, principal @ points])
    sums = {
        (a, b): pt[(a * points[0] > 0) & (b * points[1] > 0)].sum()
        for a in (1, -1)
        for b in (1, -1)
    }
    return tuple(np.array(max(sums, key=sums.__getitem__))[:, None] * points)


@st.composite
def constituents(draw: st.DrawFn) -> tuple[Floats, Floats, Floats]:
    """A jet with a clear principal axis, a clear hardest quadrant and no constituent on an axis."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n = draw(st.integers(2, 30))
    pt = rng.exponential(draw(st.sampled_from([1.0, 10.0])), n) + 0.1
    stretch, angle = draw(st.floats(1.2, 5.0)), rng.uniform(0, 2 * np.pi)
    along, across = rng.normal(0, 0.1 * stretch, n), rng.normal(0, 0.1, n)
    right = along * np.cos(angle) - across * np.sin(angle)
    up = along * np.sin(angle) + across * np.cos(angle)
    assume(np.hypot(right, up).max() < 1.4)
    x, y = plain(pt, right, up)
    assume(min(np.abs(x).min(), np.abs(y).min()) > 1e-6)
    values = np.linalg.eigvalsh(np.cov(x, y, aweights=pt, bias=True))
    assume(values[1] - values[0] > 1e-3 * values[1])
    quadrants = sorted(pt[(a * x > 0) & (b * y > 0)].sum() for a in (1, -1) for b in (1, -1))
    assume(quadrants[-1] - quadrants[-2] > 1e-6)
    halves = pt[y > 0].sum() - pt[y < 0].sum()
    assume(abs(halves) > 1e-6)
    return pt, right, up


def fully(jets: FlatJets) -> Floats:
    return np.stack(orient(jets, centre="centroid", rotate=True, flip=True))


@settings(max_examples=200, deadline=None)
@given(jet=constituents())
def test_is_what_eigenvectors_and_masks_give(jet) -> None:
    np.testing.assert_allclose(fully(flat(*jet)), plain(*jet), atol=1e-9)


@settings(max_examples=200, deadline=None)
@given(jet=constituents(), angle=st.floats(0, 2 * np.pi), mirrored=st.booleans())
def test_rotations_and_mirrorings_do_not_matter(jet, angle: float, mirrored: bool) -> None:
    pt, right, up = jet
    turned_right = right * np.cos(angle) - up * np.sin(angle)
    turned_up = right * np.sin(angle) + up * np.cos(angle)
    turned = flat(pt, -turned_right if mirrored else turned_right, turned_up)
    np.testing.assert_allclose(fully(turned), fully(flat(*jet)), atol=1e-9)


@settings(max_examples=100, deadline=None)
@given(jet=constituents(), angle=st.floats(0, 2 * np.pi))
def test_rotation_about_the_axis_alone_has_no_ambiguity(jet, angle: float) -> None:
    pt, right, up = jet
    turned = right * np.cos(angle) - up * np.sin(angle), right * np.sin(angle) + up * np.cos(angle)
    before = np.stack(orient(flat(pt, right, up), rotate=True))
    assume(abs(pt[before[1] > 0].sum() - pt[before[1] < 0].sum()) > 1e-6)
    assume(np.abs(before[1]).min() > 1e-6)
    after = np.stack(orient(flat(pt, *turned), rotate=True))
    np.testing.assert_allclose(after, before, atol=1e-9)
    # Distances to the axis stay.
    np.testing.assert_allclose(np.hypot(*after), np.hypot(right, up), atol=1e-9)


@settings(max_examples=200, deadline=None)
@given(
    jet=constituents(),
    axis=st.tuples(st.floats(-2, 2), st.floats(-np.pi, np.pi)),
    rotate=st.booleans(),
    flip=st.booleans(),
    centre=st.sampled_from(["axis", "centroid"]),
)
def test_the_place_of_the_jet_does_not_matter_across_pi(jet, axis, rotate, flip, centre) -> None:
    pt, right, up = jet
    here = np.stack(orient(flat(pt, right, up), centre=centre))
    assume(np.abs(here).min() > 1e-6)
    options = {"centre": centre, "rotate": rotate, "flip": flip}
    shifted = np.stack(orient(flat(pt, right, up, axis), **options))
    unshifted = np.stack(orient(flat(pt, right, up), **options))
    if rotate or flip:  # no tie may be broken by rounding
        x, y = unshifted
        quadrants = sorted(pt[(a * x > 0) & (b * y > 0)].sum() for a in (1, -1) for b in (1, -1))
        assume(quadrants[-1] - quadrants[-2] > 1e-6)
        assume(abs(pt[y > 0].sum() - pt[y < 0].sum()) > 1e-6)
        assume(np.abs(unshifted).min() > 1e-6)
    np.testing.assert_allclose(shifted, unshifted, atol=1e-9)


@settings(max_examples=100, deadline=None)
@given(jet=constituents(), scale=st.floats(1e-3, 1e3), seed=st.integers(0, 1000))
def test_neither_the_unit_of_pt_nor_the_order_matters(jet, scale: float, seed: int) -> None:
    pt, right, up = jet
    order = np.random.default_rng(seed).permutation(len(pt))
    other = fully(flat(scale * pt[order], right[order], up[order]))
    np.testing.assert_allclose(other, fully(flat(*jet))[:, order], atol=1e-9)


def test_nothing_asked_for_is_the_distance_to_the_axis() -> None:
    right, up = orient(flat(np.ones(2), np.array([0.3, -0.1]), np.array([0.5, -0.2]), (1.0, 3.0)))
    np.testing.assert_allclose(right, [0.3, -0.1])
    np.testing.assert_allclose(up, [0.5, -0.2])


def test_the_principal_axis_is_along_phi_with_more_above() -> None:
    pt = np.array([1.0, 3.0])
    right, up = orient(flat(pt, np.array([0.4, -0.4]), np.zeros(2)), rotate=True)
    np.testing.assert_allclose(right, 0.0, atol=1e-12)
    np.testing.assert_allclose(up, [-0.4, 0.4])


def test_the_hardest_quadrant_is_the_upper_right_one() -> None:
    pt = np.array([1.0, 2.0, 5.0, 3.0])
    places = np.array([0.1, -0.2, -0.3, 0.4]), np.array([0.1, 0.2, -0.3, -0.4])
    right, up = orient(flat(pt, *places), flip=True)
    np.testing.assert_allclose(right, -places[0])
    np.testing.assert_allclose(up, -places[1])


@pytest.mark.parametrize("n", [0, 1])
def test_a_jet_of_none_or_one_is_only_moved(n: int) -> None:
    oriented = fully(flat(np.ones(n), np.full(n, 0.3), np.full(n, 0.2)))
    np.testing.assert_allclose(oriented, np.zeros((2, n)), atol=1e-12)
