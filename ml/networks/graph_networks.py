"""An autoencoder of Lund graphs, and its reconstruction error as an energy of nodes and edges.

Tensors of b graphs of N places, of which the first are nodes and the rest is padding: features
x (b, N, f), adjacency a (b, N, N), symmetric with zeros on the diagonal, and mask m (b, N). What
stands in the padding of x and a never matters.

References:
    R. Seidita for the CMS Collaboration, Advanced anomaly detection algorithms to search for
    semivisible jets (2023): graphs of nodes and edges, both reconstructed. Its layers are not printed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from oddjet.ml.networks.keras_models import import_keras

__all__ = ["build_graph_autoencoder", "graph_energy", "pair_mask", "summarise_graphs", "symmetric"]


def build_graph_autoencoder(
    nodes: int, features: int, *, hidden: int, latent: int, seeds: Iterator[int]
) -> Any:
    """Build the network (x, a, m) → (x̂, â).

    Encoder: a dense layer for each node, then twice ReLU(W h + V a·h / (1 + Σ_j a_ij)), so that a
    node gets what its neighbours and theirs hold; the sum over nodes and a linear layer make the code. Decoder: a hidden
    layer, from it the features of all places, and a vector u for each place: â_ij = σ(u_i · u_j + c).

    `hidden` numbers a node, and twice as many in the decoder; each random initialiser takes one of
    the seeds.
    """
    _, keras = import_keras()
    layers = keras.layers

    def dense(units: int, activation: str = "linear", **more: Any) -> Any:
        weights = keras.initializers.GlorotUniform(seed=next(seeds))
        return layers.Dense(units, activation=activation, kernel_initializer=weights, **more)

    x = layers.Input((nodes, features), name="x")
    a = layers.Input((nodes, nodes), name="a")
    mask = layers.Input((nodes,), name="m")
    column = layers.Reshape((nodes, 1))(mask)  # (b, N, 1)
    pairs = layers.Dot(axes=2)([column, column])  # (b, N, N)
    edges = layers.Multiply()([a, pairs])
    degree = layers.Dot(axes=(2, 1))([edges, column])  # (b, N, 1)
    share = keras.ops.reciprocal(keras.ops.add(degree, 1.0))
    h = layers.Multiply()([dense(hidden, "relu")(layers.Multiply()([x, column])), column])
    for _ in range(2):
        messages = layers.Multiply()([layers.Dot(axes=(2, 1))([edges, h]), share])  # (b, N, hidden)
        h = layers.Add()([dense(hidden)(h), dense(hidden, use_bias=False)(messages)])
        h = layers.Multiply()([layers.ReLU()(h), column])
    pooled = layers.Dot(axes=1)([mask, h])  # (b, hidden)
    code = dense(latent, name="code")(layers.Rescaling(1.0 / nodes)(pooled))
    h = dense(2 * hidden, "relu")(code)
    made = layers.Reshape((nodes, features), name="made")(dense(nodes * features)(h))
    vectors = layers.Reshape((nodes, latent))(dense(nodes * latent)(h))
    logits = layers.Dot(axes=2)([vectors, vectors])
    bias = layers.Reshape((1, 1))(dense(1)(h))
    linked = layers.Activation("sigmoid", name="linked")(layers.Add()([logits, bias]))
    return keras.Model([x, a, mask], [made, linked], name="graph_autoencoder")


def pair_mask(mask: Any) -> Any:
    """Mark the pairs of different nodes: (b, N) → (b, N, N)."""
    tf, _ = import_keras()
    pairs = mask[:, :, None] * mask[:, None, :]
    return pairs - tf.linalg.diag(tf.linalg.diag_part(pairs))


def graph_energy(model: Any, x: Any, a: Any, mask: Any, *, edge_weight: float) -> Any:
    """Mean squared error of the nodes' features, plus the summed one of the edges over the nodes.

    Of what is there alone. The edges' errors are not averaged over the pairs: there are far more pairs
    than edges, and at a temperature that holds the features an average would leave the edges free.

    Of features (b, N, f), adjacency (b, N, N) and mask (b, N): (b,), 0 for a graph without nodes.
    """
    tf, _ = import_keras()
    made, linked = model([x, a, mask])
    pairs = pair_mask(mask)
    count = tf.maximum(tf.reduce_sum(mask, axis=1), 1.0)  # (b,)
    features = tf.cast(tf.shape(x)[2], tf.float32)
    nodes = tf.reduce_sum(tf.square(made - x) * mask[:, :, None], axis=(1, 2))
    edges = tf.reduce_sum(tf.square(linked - a) * pairs, axis=(1, 2)) / 2  # each pair once
    return (nodes / features + edge_weight * edges) / count


def symmetric(a: Any, mask: Any) -> Any:
    """Make an adjacency of numbers (b, N, N): symmetric, in [0, 1], 0 where padded, on the diagonal."""
    tf, _ = import_keras()
    a = tf.clip_by_value(a, 0.0, 1.0)
    return (a + tf.transpose(a, (0, 2, 1))) / 2 * pair_mask(mask)


def summarise_graphs(x: Any, a: Any, mask: Any) -> Any:
    """Give graphs as points: mean and standard deviation of each feature, and edges a node.

    Of features (b, N, f), adjacency (b, N, N) and mask (b, N): shape (b, 2f + 1).
    """
    tf, _ = import_keras()
    count = tf.maximum(tf.reduce_sum(mask, axis=1, keepdims=True), 1.0)  # (b, 1)
    mean = tf.reduce_sum(x * mask[:, :, None], axis=1) / count
    spread = tf.reduce_sum(tf.square(x - mean[:, None, :]) * mask[:, :, None], axis=1) / count
    degree = tf.reduce_sum(a * pair_mask(mask), axis=(1, 2))[:, None] / count
    return tf.concat([mean, tf.sqrt(spread + 1e-12), degree], axis=1)
