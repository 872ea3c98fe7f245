from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from oddjet.ml.networks.graph_networks import (
    build_graph_autoencoder,
    graph_energy,
    pair_mask,
    summarise_graphs,
    symmetric,
)
from oddjet.ml.networks.keras_models import (
    import_keras,
    layer_seeds,
    model_from_bytes,
    model_to_bytes,
)

N, F = 5, 3


@pytest.fixture(scope="module")
def model() -> Any:
    return build_graph_autoencoder(N, F, hidden=6, latent=2, seeds=layer_seeds(1))


def graphs(seed: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Chains of 0 to 5 nodes."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(6, N, F)).astype(np.float32)
    a = np.zeros((6, N, N), np.float32)
    mask = (np.arange(N) < np.arange(6)[:, None]).astype(np.float32)
    for i in range(N - 1):
        a[:, i, i + 1] = a[:, i + 1, i] = mask[:, i + 1]
    return x * mask[..., None], a, mask


def energy(model: Any, *tensors: np.ndarray, weight: float = 0.7) -> np.ndarray:
    return graph_energy(model, *tensors, edge_weight=weight).numpy()


def test_the_energy_is_the_error_of_what_is_there(model: Any) -> None:
    x, a, mask = graphs()
    made, linked = (np.asarray(out) for out in model([x, a, mask]))
    np.testing.assert_allclose(linked, np.swapaxes(linked, 1, 2), rtol=1e-5)
    assert ((linked > 0) & (linked < 1)).all()
    for i, n in enumerate(range(6)):
        nodes = sum(np.sum((made[i, j] - x[i, j]) ** 2) / F for j in range(n))
        edges = sum((linked[i, j, k] - a[i, j, k]) ** 2 for j in range(n) for k in range(j))
        expected = (nodes + 0.7 * edges) / max(n, 1)
        assert energy(model, x, a, mask)[i] == pytest.approx(expected, rel=1e-4, abs=1e-6)


def test_what_stands_in_the_padding_does_not_matter(model: Any) -> None:
    x, a, mask = graphs()
    rng = np.random.default_rng(2)
    is_node = mask[..., None].astype(bool)
    pairs = (mask[:, :, None] * mask[:, None, :]).astype(bool)
    other_x = np.where(is_node, x, rng.normal(size=x.shape)).astype(np.float32)
    other_a = np.where(pairs, a, rng.random(a.shape)).astype(np.float32)
    np.testing.assert_allclose(
        energy(model, other_x, other_a, mask), energy(model, x, a, mask), rtol=1e-5
    )
    np.testing.assert_allclose(
        summarise_graphs(other_x, other_a, mask), summarise_graphs(x, a, mask), rtol=1e-5, atol=1e-6
    )


def test_gradients_of_nodes_and_edges_are_finite_differences(model: Any) -> None:
    tf, _ = import_keras()
    x, a, mask = (tf.constant(part) for part in graphs())
    with tf.GradientTape() as tape:
        tape.watch([x, a])
        total = tf.reduce_sum(graph_energy(model, x, a, mask, edge_weight=0.7))
    slopes = tape.gradient(total, [x, a])
    step = 1e-2
    for which, place in ((0, (4, 2, 1)), (0, (5, 0, 0)), (1, (4, 0, 1)), (1, (5, 1, 4))):
        ends = []
        for sign in (1, -1):
            moved = [np.array(x), np.array(a)]
            moved[which][place] += sign * step
            ends.append(energy(model, *moved, np.array(mask)).astype(float).sum())
        expected = (ends[0] - ends[1]) / (2 * step)
        assert float(slopes[which][place]) == pytest.approx(expected, rel=0.03, abs=2e-4)


def test_an_adjacency_becomes_symmetric_and_bounded() -> None:
    rng = np.random.default_rng(1)
    _, _, mask = graphs()
    made = symmetric(rng.normal(size=(6, N, N)).astype(np.float32), mask).numpy()
    np.testing.assert_array_equal(made, np.swapaxes(made, 1, 2))
    assert made.min() >= 0
    assert made.max() <= 1
    assert not made[np.asarray(pair_mask(mask)) == 0].any()
    assert not np.diagonal(made, axis1=1, axis2=2).any()


def test_a_summary_is_means_spreads_and_edges_a_node() -> None:
    x, a, mask = graphs()
    points = summarise_graphs(x, a, mask).numpy()
    np.testing.assert_allclose(points[4, :F], x[4, :4].mean(axis=0), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(points[4, F:-1], x[4, :4].std(axis=0), rtol=1e-4)
    assert points[4, -1] == pytest.approx(6 / 4)


def test_saved_and_loaded_in_safe_mode_it_is_the_same(model: Any) -> None:
    loaded = model_from_bytes(model_to_bytes(model))
    np.testing.assert_allclose(energy(loaded, *graphs()), energy(model, *graphs()), rtol=1e-6)
