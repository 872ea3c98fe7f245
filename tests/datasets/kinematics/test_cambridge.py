from __future__ import annotations

import math
from typing import Any

import awkward as ak
import fastjet
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oddjet.datasets.jets import Jets
from oddjet.datasets.kinematics import cambridge
from oddjet.datasets.kinematics.cambridge import ClusterTrees, soft_drop
from oddjet.ml.representations.batches import FlatJets, flatten_jets
from oddjet.typing import Floats


@pytest.fixture(scope="module")
def jets(toy_jets) -> Jets:
    """Jets with massive constituents, of one, two, three, … of them, around all azimuths."""
    jets = ak.concatenate([toy_jets(40, prongs=1, seed=41), toy_jets(40, prongs=2, seed=42)])
    number = ak.local_index(jets.constituents.pt)
    kept = jets.constituents[number < np.where(np.arange(80) < 6, np.arange(80), 99)]
    mass = ak.where(ak.local_index(kept.pt) % 2 == 0, np.float32(0.13957), np.float32(0.0))
    return ak.with_field(jets, ak.with_field(kept, mass, "mass"), "constituents")


def cluster_trees(flat: FlatJets) -> ClusterTrees:
    return cambridge.cluster_trees(flat.momenta, flat.offsets)


def groomed_mass(flat: FlatJets, **cut: float) -> Floats:
    momenta = soft_drop(flat.momenta, flat.offsets, cluster_trees(flat), **cut).momenta
    return np.array([mass_of(p) for p in momenta])


def momentum(pt: float, eta: float, phi: float, mass: float) -> tuple[float, float, float, float]:
    p = pt * math.cosh(eta)
    return (
        pt * math.cos(phi),
        pt * math.sin(phi),
        pt * math.sinh(eta),
        math.sqrt(p * p + mass * mass),
    )


def mass_of(p: Any) -> float:
    return math.sqrt(max(p[3] ** 2 - p[0] ** 2 - p[1] ** 2 - p[2] ** 2, 0.0))


def distance(p: Any, q: Any) -> float:
    def rapidity(p: Any) -> float:
        return 0.5 * math.log((p[3] + p[2]) / (p[3] - p[2]))

    delta_phi = math.remainder(math.atan2(p[1], p[0]) - math.atan2(q[1], q[0]), 2 * math.pi)
    return math.hypot(rapidity(p) - rapidity(q), delta_phi)


def plain_tree(momenta: list[Any]) -> Any:
    """(momentum, harder tree, softer tree), a leaf is (momentum,): merge the nearest pair of all."""
    trees: list[Any] = [(p,) for p in momenta]
    while len(trees) > 1:
        pairs = [(i, j) for j in range(len(trees)) for i in range(j)]
        i, j = min(pairs, key=lambda pair: distance(trees[pair[0]][0], trees[pair[1]][0]))
        hard, soft = sorted((trees[i], trees[j]), key=lambda t: -math.hypot(*t[0][:2]))
        trees = [tree for k, tree in enumerate(trees) if k not in (i, j)]
        trees.append((tuple(np.add(hard[0], soft[0])), hard, soft))
    return trees[0]


def flattened(tree: Any) -> list[tuple[float, ...]]:
    """(pt hard, pt soft, ΔR, mass) of every merging, depth first and the harder branch first."""
    if len(tree) == 1:
        return []
    momenta, hard, soft = tree
    row = (
        math.hypot(*hard[0][:2]),
        math.hypot(*soft[0][:2]),
        distance(hard[0], soft[0]),
        mass_of(momenta),
    )
    return [row, *flattened(hard), *flattened(soft)]


def depth_first(trees: ClusterTrees, jet: int) -> list[tuple[float, ...]]:
    first = trees.offsets[jet]

    def walk(node: int) -> list[tuple[float, ...]]:
        if node < 0:
            return []
        at = first + node
        row = (*trees.pt[at], trees.delta_r[at], trees.mass[at])
        return [row, *walk(trees.children[at, 0]), *walk(trees.children[at, 1])]

    return walk(0) if trees.offsets[jet + 1] > first else []


def test_is_a_plain_recursive_clustering(jets: Jets) -> None:
    few = jets[[0, 1, 2, 3, 5, 20, 21, 50, 51, 52]]
    flat = flatten_jets(few, label="test", masses=True)
    trees = cluster_trees(flat)
    np.testing.assert_array_equal(np.diff(trees.offsets), np.maximum(flat.counts - 1, 0))
    for jet in range(len(few)):
        mine = slice(flat.offsets[jet], flat.offsets[jet + 1])
        columns = (flat.pt[mine], flat.eta[mine], flat.phi[mine], flat.mass[mine])
        momenta = [momentum(*row) for row in zip(*columns, strict=True)]
        expected = flattened(plain_tree(momenta)) if momenta else []
        assert len(expected) == max(len(momenta) - 1, 0)
        np.testing.assert_allclose(
            np.reshape(depth_first(trees, jet), (-1, 4)),
            np.reshape(expected, (-1, 4)),
            rtol=1e-6,
            atol=1e-6,
        )


def test_parents_children_and_leaves_are_one_tree(jets: Jets) -> None:
    flat = flatten_jets(jets, label="test", masses=True)
    trees = cluster_trees(flat)
    for jet in range(len(jets)):
        mine = slice(trees.offsets[jet], trees.offsets[jet + 1])
        children, parent = trees.children[mine], trees.parent[mine]
        is_hard = trees.is_hard[mine]
        leaves = sorted(-1 - child for child in children.ravel() if child < 0)
        if flat.counts[jet] > 1:
            assert leaves == list(range(flat.counts[jet]))
            assert parent[0] == -1
            assert is_hard[0]
        for node in range(1, len(parent)):
            assert parent[node] < node
            assert children[parent[node], 0 if is_hard[node] else 1] == node
        assert (trees.pt[mine][:, 0] >= trees.pt[mine][:, 1]).all()


def sequence(jets: Jets) -> Any:
    particles = jets.constituents
    pz = particles.pt * np.sinh(particles.eta)
    momenta = {
        "px": particles.pt * np.cos(particles.phi),
        "py": particles.pt * np.sin(particles.phi),
        "pz": pz,
        "E": np.sqrt(particles.pt**2 + pz**2 + particles.mass**2),
    }
    momenta = {name: ak.values_astype(values, np.float64) for name, values in momenta.items()}
    whole = fastjet.JetDefinition(fastjet.cambridge_algorithm, 100.0)
    return fastjet.ClusterSequence(ak.to_packed(ak.zip(momenta)), whole)


def primary(flat: FlatJets, trees: ClusterTrees, jet: int) -> list[tuple[float, float]]:
    node, plane = 0, []
    while node >= 0:
        at = trees.offsets[jet] + node
        plane.append((trees.delta_r[at], trees.pt[at, 1] * trees.delta_r[at]))
        node = trees.children[at, 0]
    return plane


def test_primary_declusterings_are_fastjets(jets: Jets) -> None:
    several = jets[2:]
    flat = flatten_jets(several, label="test", masses=True)
    trees = cluster_trees(flat)
    theirs = sequence(several).exclusive_jets_lund_declusterings(1)
    compared = 0
    for jet in range(len(several)):
        expected = [(row["Delta"], row["kt"]) for row in theirs[jet][0].to_list()]
        np.testing.assert_allclose(primary(flat, trees, jet), expected, rtol=2e-4, atol=1e-6)
        compared += len(expected)
    assert compared > 300


@pytest.mark.parametrize(("z_cut", "beta"), [(0.1, 0.0), (0.2, 1.0), (0.05, -0.5)])
def test_soft_drop_mass_is_fastjets(jets: Jets, z_cut: float, beta: float) -> None:
    several = jets[2:]
    flat = flatten_jets(several, label="test", masses=True)
    ours = groomed_mass(flat, z_cut=z_cut, beta=beta)
    groomed = sequence(several).exclusive_jets_softdrop_grooming(1, beta=beta, symmetry_cut=z_cut)
    theirs = ak.to_numpy(ak.flatten(groomed.msoftdrop, axis=None))
    np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-3)
    assert np.unique(ours.round(3)).size > 50


def test_a_jet_of_one_constituent_keeps_its_mass(jets: Jets) -> None:
    flat = flatten_jets(jets[:2], label="test", masses=True)
    masses = groomed_mass(flat, z_cut=0.1, beta=0.0)
    np.testing.assert_allclose(masses, [0.0, 0.13957], rtol=1e-6)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    shift=st.tuples(st.floats(-2, 2), st.floats(-10, 10)),
    scale=st.floats(0.01, 100),
)
def test_place_unit_and_order_do_not_matter(seed, shift: tuple[float, float], scale) -> None:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 40))
    pt, eta, phi = rng.exponential(5.0, n) + 0.1, rng.normal(0, 0.3, n), rng.normal(0, 0.3, n)
    # Massless, so that a shift in pseudorapidity is one in rapidity.
    mass, order = np.zeros(n), rng.permutation(n)
    offsets, axis = np.array([0, n]), np.zeros(1)
    plain = cluster_trees(FlatJets(pt, eta, phi, mass, offsets, axis, axis))
    columns = [scale * pt, eta + shift[0], phi + shift[1], mass]
    columns = [column[order] for column in columns]
    moved = cluster_trees(FlatJets(*columns, offsets, axis, axis))
    np.testing.assert_array_equal(moved.parent, plain.parent)
    np.testing.assert_array_equal(moved.is_hard, plain.is_hard)
    np.testing.assert_allclose(moved.delta_r, plain.delta_r, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(moved.pt, scale * plain.pt, rtol=1e-9)
    np.testing.assert_allclose(moved.mass, scale * plain.mass, rtol=1e-4, atol=1e-4 * scale)
