from __future__ import annotations

import math

import awkward as ak
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from oddjet.datasets.jets import Jets, empty_jets, make_jets
from oddjet.errors import ConfigError, InputError
from oddjet.ml.representations.lund_graph import LundGraph


@pytest.fixture(scope="module")
def jets(toy_jets) -> Jets:
    return ak.concatenate([toy_jets(30, prongs=1, seed=51), toy_jets(30, prongs=2, seed=52)])


def particle(pt: float, eta: float, phi: float) -> dict[str, float]:
    return {"pt": pt, "eta": eta, "phi": phi}


def test_three_constituents_in_closed_form() -> None:
    # Two near each other, 0.1 apart in azimuth across ±π, and one 0.5 away in pseudorapidity.
    azimuths = (math.pi - 0.05, -math.pi + 0.05)
    jets = make_jets(
        [
            [
                particle(30.0, 0.0, azimuths[0]),
                particle(10.0, 0.0, azimuths[1]),
                particle(20.0, 0.5, 3.1),
            ]
        ]
    )
    graphs = LundGraph(max_nodes=4).graphs(jets)
    assert graphs.mask.tolist() == [[True, True, False, False]]
    assert graphs.adjacency[0].tolist() == [[0, 1, 0, 0], [1, 0, 0, 0], [0] * 4, [0] * 4]
    inner = graphs.nodes[0, 1]
    mass = math.sqrt(2 * 30 * 10 * (1 - math.cos(0.1)))
    np.testing.assert_allclose(inner, [0.0, math.log(10), 0.25, math.log(mass)], atol=1e-4)
    root = graphs.nodes[0, 0]
    assert math.exp(-root[1]) == pytest.approx(0.5, rel=0.02)
    assert root[0] == pytest.approx(math.log(20) - root[1], abs=1e-6)
    assert root[2] == pytest.approx(20 / 60, rel=1e-3)
    assert math.exp(root[3]) == pytest.approx(float(jets.mass[0]), rel=1e-5)


def plain_declusterings(jet: Jets) -> list[tuple[float, float, float, float]]:
    """ln kt, ln 1/ΔR, z and ln m of every merging of the nearest pair, the last one first."""
    left = [
        np.array([pt * math.cos(phi), pt * math.sin(phi), pt * math.sinh(eta), pt * math.cosh(eta)])
        for pt, eta, phi in ((float(p.pt), float(p.eta), float(p.phi)) for p in jet.constituents)
    ]
    rows = []
    while len(left) > 1:
        nearest = (math.inf, 0, 0)
        for i in range(len(left)):
            for j in range(i):
                (y, azimuth), (other_y, other_azimuth) = (
                    (math.atanh(p[2] / p[3]), math.atan2(p[1], p[0])) for p in (left[i], left[j])
                )
                turn = math.remainder(azimuth - other_azimuth, 2 * math.pi)
                nearest = min(nearest, (math.hypot(y - other_y, turn), i, j))
        delta_r, i, j = nearest
        soft, hard = sorted(math.hypot(*p[:2]) for p in (left[i], left[j]))
        merged = left[i] + left[j]
        mass = math.sqrt(max(merged[3] ** 2 - merged[:3] @ merged[:3], 0.0))
        z = soft / (soft + hard)
        rows.append((math.log(soft * delta_r), -math.log(delta_r), z, math.log(mass)))
        left = [p for k, p in enumerate(left) if k not in (i, j)] + [merged]
    return rows[::-1]


def test_nodes_are_a_plain_loop_over_all_pairs(jets: Jets) -> None:
    several = jets[[0, 7, 31, 45]]
    graphs = LundGraph(max_nodes=50).graphs(several)
    for jet, nodes, mask in zip(several, graphs.nodes, graphs.mask, strict=True):
        expected = plain_declusterings(jet)
        assert mask.sum() == len(expected) > 10
        np.testing.assert_allclose(nodes[mask], expected, rtol=1e-4, atol=1e-3)


def test_dense_and_ragged_are_the_same_graph(jets: Jets) -> None:
    graph = LundGraph(max_nodes=50)
    ragged = graph.ragged(jets)
    dense = graph.graphs(jets)
    counts = ak.to_numpy(ak.num(jets.constituents)) - 1
    np.testing.assert_array_equal(ak.to_numpy(ak.num(ragged)), counts)
    np.testing.assert_array_equal(dense.mask.sum(axis=1), counts)
    for i in range(len(jets)):
        n = counts[i]
        for number, name in enumerate(graph.names):
            np.testing.assert_allclose(
                dense.nodes[i, :n, number], ak.to_numpy(ragged[name][i]), rtol=1e-6, atol=1e-6
            )
        parents = ak.to_numpy(ragged.parent[i])
        expected = np.zeros((50, 50))
        for child in range(1, n):
            expected[child, parents[child]] = expected[parents[child], child] = 1.0
        np.testing.assert_array_equal(dense.adjacency[i], expected)
        assert not dense.nodes[i, n:].any()


def test_a_cut_graph_is_a_connected_tree_around_the_root(jets: Jets) -> None:
    whole = LundGraph(max_nodes=50).graphs(jets)
    cut = LundGraph(max_nodes=6).graphs(jets)
    assert cut.mask.all()
    np.testing.assert_array_equal(cut.nodes, whole.nodes[:, :6])
    np.testing.assert_array_equal(cut.adjacency, whole.adjacency[:, :6, :6])
    assert (cut.adjacency.sum(axis=(1, 2)) == 2 * 5).all()  # a tree of 6 nodes has 5 edges
    reach = np.linalg.matrix_power(cut.adjacency + np.eye(6, dtype=np.float32), 6)
    assert (reach[:, 0] > 0).all()


def test_a_child_declusters_the_branch_it_is_of(jets: Jets) -> None:
    ragged = LundGraph().ragged(jets)
    for i in range(5):
        nodes = ragged[i]
        soft = np.exp(ak.to_numpy(nodes.ln_kt) + ak.to_numpy(nodes.ln_inverse_delta_r))
        total = soft / ak.to_numpy(nodes.z)
        for child in range(1, len(nodes)):
            parent = int(nodes.parent[child])
            branch = total[parent] - soft[parent] if nodes.is_hard[child] else soft[parent]
            # Scalar pt of a pair exceeds that of its vector sum.
            assert total[child] >= branch * (1 - 1e-6)
            assert total[child] < branch * 1.2


@settings(max_examples=40, deadline=None, derandomize=True)
@example(seed=2583, shift=(0.0, 0.0), scale=0.125)  # a mass at its floor
@given(
    seed=st.integers(0, 10_000),
    shift=st.tuples(st.floats(-1, 1), st.floats(-4, 4)),
    scale=st.floats(0.1, 10),
)
def test_place_unit_and_order(seed: int, shift: tuple[float, float], scale: float) -> None:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 25))
    pt, eta, phi = rng.exponential(5.0, n) + 1, rng.normal(0, 0.3, n), rng.normal(0, 0.3, n)
    order = rng.permutation(n)

    def nodes(factor: float, move: tuple[float, float], order: object) -> np.ndarray:
        wrapped = np.remainder(phi + move[1] + np.pi, 2 * np.pi) - np.pi
        record = {"pt": factor * pt, "eta": eta + move[0], "phi": wrapped}
        axis = {"pt": [1.0], "eta": [0.0], "phi": [0.0], "mass": [0.0]}
        jets = make_jets(ak.Array([ak.zip(record)[order]]), **axis)
        return LundGraph(max_nodes=24)(jets)[0, : n - 1]

    moved, plain = nodes(scale, shift, order), nodes(1.0, (0.0, 0.0), np.arange(n))
    far = moved[:, 2] < np.log(1e3)  # float32 angles are precise enough
    for graph in (moved, plain):  # what is at its floor in either unit does not scale
        far &= (graph[:, 1] > np.log(1e-4) + 1e-6) & (graph[:, 4] > np.log(1e-3) + 1e-6)
    plain[:, [1, 4]] += np.log(scale)  # kt and m have a unit
    np.testing.assert_array_equal(moved[:, 0], plain[:, 0])
    np.testing.assert_allclose(moved[far, 1:], plain[far, 1:], atol=2e-3)


def test_collinear_constituents_are_finite() -> None:
    jets = make_jets([[particle(5.0, 0.1, 0.2), particle(5.0, 0.1, 0.2)]])
    nodes = LundGraph(max_nodes=1).graphs(jets).nodes
    expected = [math.log(1e-4), math.log(1e4), 0.5, math.log(1e-3)]
    assert nodes[0, 0].tolist() == pytest.approx(expected)


def test_no_jets() -> None:
    graph = LundGraph(max_nodes=3)
    graphs = graph.graphs(empty_jets())
    assert graphs.nodes.shape == (0, 3, 4)
    assert graphs.adjacency.shape == (0, 3, 3)
    ragged = graph.ragged(empty_jets())
    assert len(ragged) == 0
    assert set(ragged.fields) == {*graph.names, "parent", "is_hard"}


def test_ragged_threads_do_not_matter(jets: Jets) -> None:
    one, three = (LundGraph().ragged(jets, threads=threads) for threads in (1, 3))
    assert ak.array_equal(one, three)


@pytest.mark.parametrize("max_nodes", [0, 2.0, True])
def test_impossible_numbers_of_nodes_are_refused(max_nodes) -> None:
    with pytest.raises(ConfigError, match="max_nodes"):
        LundGraph(max_nodes=max_nodes)


def test_unpack_refuses_other_shapes(jets: Jets) -> None:
    with pytest.raises(InputError, match="expected shape"):
        LundGraph(max_nodes=3).unpack(LundGraph(max_nodes=4)(jets))
