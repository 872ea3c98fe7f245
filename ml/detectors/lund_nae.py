"""The normalised autoencoder on Lund graphs: nodes and edges are reconstructed, and sampled.

References:
    R. Seidita for the CMS Collaboration, Advanced anomaly detection algorithms to search for
    semivisible jets (2023), "Normalized graph AE"; S. Yoon et al., arXiv:2105.05735.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from oddjet.constraints import Interval, OneOf, OrNone, constrained
from oddjet.datasets.disk.arrays import read_arrays
from oddjet.datasets.jets import Jets
from oddjet.errors import ConfigError, DetectorError
from oddjet.ml.detectors.base import Scores
from oddjet.ml.detectors.hyper_parameters import represented_by
from oddjet.ml.detectors.keras_detector import AnyFloats, KerasDetector, TrainingTask
from oddjet.ml.folder import require_same
from oddjet.ml.networks.graph_networks import (
    build_graph_autoencoder,
    graph_energy,
    summarise_graphs,
    symmetric,
)
from oddjet.ml.networks.keras_models import compile_function, import_keras
from oddjet.ml.networks.langevin import Langevin, ReplayBuffer, Tensors, reflect
from oddjet.ml.networks.normalised import SampledDensity, normalised_objective
from oddjet.ml.networks.objectives import adam_objective
from oddjet.ml.networks.training import Training
from oddjet.ml.representations.lund_graph import PADDING, LundGraph
from oddjet.typing import Singles

__all__ = ["LundAutoencoderDetector"]

SCALING_FILE = "scaling.npz"
DRIFT = 0.2
"""Part of its distance to the reconstruction that a move takes a number."""
BOX = 4.0
"""Features are sampled within this many standard deviations."""
BURN_IN = 60
"""Moves of each chain, on average, before the training."""
MASKS = 4_000
"""Numbers of nodes that samples start from: those of at most this many training jets."""


@dataclass(kw_only=True, eq=False)
class LundAutoencoderDetector(KerasDetector):
    """Autoencoder on Lund graphs, plain or normalised (CMS, 2023).

    The nodes of a jet's Cambridge/Aachen tree and the edges between mothers and daughters are
    encoded by message passing into a few numbers and decoded from these; the energy E is the
    mean squared error of the features, standardised, plus `edge_weight` times the edges' squared
    errors a node, without padding. Trained as an autoencoder; with `normalised`, then so that
    exp(−E/T) is a normalised density of graphs: the loss E₊ − E₋ sets the mean energy of jets against
    that of graphs drawn by Langevin moves from the model,

        X ← X − (α/T) ∇_X E + β ε,   A ← A − (γ/T) ∇_A E + δ ε,

    A kept symmetric and in [0, 1], with the guard of `oddjet.ml.networks.normalised.contrast`. A sampled graph
    keeps the number of nodes it started with, which is that of a training jet: the density is one of
    graphs of a given size. The epoch is that of the least earth mover's distance between jets and
    samples, each graph taken as the means and spreads of its features and its edges a node.

    Score: `energy`.

    The talk prints the moves, without their gradients, and no more: layers, sizes, T, α, β, γ, δ are
    ours. β = √(2α) and δ = √(2γ), which sample exp(−E/T); α and γ take a number a fifth of its way to
    the reconstruction. By default T = 2 E₊ / (numbers − latent) after the pre-training, the numbers
    of a graph being its features and pairs: the temperature at which Gaussian residuals have the
    energy that jets have.

    Args:
        normalised: Whether to normalise; otherwise the pre-training is everything.
        epochs: Of the normalised training, at most.
        pretrain_epochs: Of the autoencoder, at most.
        learning_rate: Of Adam, in the normalised training.
        pretrain_learning_rate: Of Adam, in the pre-training.
        patience: Epochs of the pre-training without a better validation loss before it stops. The
            normalised training runs to its end.
        hidden: Numbers a node in the network.
        latent: Numbers of the code.
        edge_weight: Weight of the edges in the energy.
        temperature: T; None for the rule above.
        steps: Langevin moves in a training step.
        chains: Graphs drawn in a training step.
        buffer: Chains kept.
        restart: Chance that a chain starts again.
        guard: Whether the loss is kept from running away.
        representation: A `LundGraph`; by default of 16 nodes, of the widest angles.

    Attributes:
        history_: `loss` and, normalised, `e_plus`, `e_minus`, `emd`, `val_loss`, one number an epoch.
        pretrain_history_: `loss` and `val_loss` of the pre-training.
        best_epoch_: The epoch, from 1, whose weights are used; of the last training.
        temperature_: T; NaN if not normalised.
    """

    score_names: ClassVar[tuple[str, ...]] = ("energy",)
    label: ClassVar[str] = "lund_nae"
    kept_state: ClassVar[tuple[str, ...]] = (
        *("history", "pretrain_history", "best_epoch", "temperature"),
    )

    normalised: bool = constrained(True, OneOf(True, False))
    epochs: int = constrained(15, Interval(int, 1))
    pretrain_epochs: int = constrained(40, Interval(int, 1))
    batch_size: int = constrained(128, Interval(int, 1))
    learning_rate: float = constrained(3e-4, Interval(float, 0, closed="neither"))
    pretrain_learning_rate: float = constrained(1e-3, Interval(float, 0, closed="neither"))
    patience: int = constrained(10, Interval(int, 1))
    hidden: int = constrained(32, Interval(int, 1))
    latent: int = constrained(6, Interval(int, 1))
    edge_weight: float = constrained(1.0, Interval(float, 0))
    temperature: float | None = constrained(None, OrNone(Interval(float, 0, closed="neither")))
    steps: int = constrained(8, Interval(int, 1))
    chains: int = constrained(128, Interval(int, 1))
    buffer: int = constrained(1000, Interval(int, 1))
    restart: float = constrained(0.05, Interval(float, 0, 1, closed="both"))
    guard: bool = constrained(True, OneOf(True, False))
    representation: LundGraph = represented_by(LundGraph, lambda: LundGraph(max_nodes=16))

    def __post_init__(self) -> None:
        super().__post_init__()
        self.pretrain_history_: dict[str, list[float]] = {}
        self.temperature_ = float("nan")

    def _check(self) -> None:
        if self.buffer < self.chains:
            self._refuse("buffer", f"at least chains, {self.chains}")

    # --- training -----------------------------------------------------------------------------------

    def _learn(self, rows: AnyFloats) -> None:
        """Learn mean and standard deviation of each feature over all nodes."""
        nodes = rows[rows[..., 0] != PADDING][:, 1:].astype(np.float64)  # (nodes, features)
        if not len(nodes):
            msg = "lund_nae: no jet has two constituents, so that there is no graph to learn from."
            raise ConfigError(msg)
        spread = nodes.std(axis=0)
        self._mean, self._std = nodes.mean(axis=0), np.where(spread > 0, spread, 1.0)

    def _inputs(self, rows: AnyFloats) -> Singles:
        """Standardise and flatten: parents, then features, (n, N · (1 + f))."""
        parent, features = rows[..., 0], rows[..., 1:]
        is_node = (parent != PADDING)[..., np.newaxis]
        standard = np.where(is_node, (features - self._mean) / self._std, 0.0)
        flat = [parent, standard.reshape(len(rows), -1)]
        return np.concatenate(flat, axis=1).astype(np.float32)

    def _build(self, seeds: Iterator[int]) -> Any:
        nodes, columns = self.representation.shape
        return build_graph_autoencoder(
            nodes, columns - 1, hidden=self.hidden, latent=self.latent, seeds=seeds
        )

    def _train(self, task: TrainingTask) -> Training:
        _, keras = import_keras()
        rate = self.pretrain_learning_rate
        pretraining = self._optimise(
            adam_objective(
                self._mean_energy(self._model),
                models=[self._model],
                optimizer=keras.optimizers.Adam(rate),
                columns=task.rows.shape[1],
            ),
            dataclasses.replace(task, progress=None if self.normalised else task.progress),
            self._settings(epochs=self.pretrain_epochs, learning_rate=rate, checkpoint_every=0),
            stage="pretraining",
        )
        self.pretrain_history_ = pretraining.history
        self.temperature_ = float("nan")
        if not self.normalised:
            return pretraining
        self.temperature_ = self._choose_temperature(pretraining, task.rows)
        density = self._density(self._model, task.rows)
        objective = normalised_objective(
            self._model,
            density,
            buffer=self._new_buffer(density, task.rows, task.seed),
            chains=self.chains,
            validation=task.validation,
            learning_rate=self.learning_rate,
            guard=self.guard,
        )
        settings = self._settings(patience=self.epochs, checkpoint_every=0, watch="emd")
        return self._optimise(objective, task, settings)

    # --- graphs -------------------------------------------------------------------------------------

    def _energy(self, model: Any) -> Any:
        return lambda x, a, mask: graph_energy(model, x, a, mask, edge_weight=self.edge_weight)

    def _mean_energy(self, model: Any) -> Any:
        tf, _ = import_keras()
        energy = self._energy(model)
        return lambda rows: {"loss": tf.reduce_mean(energy(*self._tensors(rows)))}

    def _density(self, model: Any, rows: Singles) -> SampledDensity:
        return SampledDensity(
            energy=self._energy(model),
            columns=rows.shape[1],
            tensors=self._tensors,
            summary=lambda tensors: summarise_graphs(*tensors),
            langevin=self._langevin(rows),
            confine=_confine,
        )

    def _tensors(self, rows: Any) -> Tensors:
        """Make features, adjacency and mask of rows, inside a traced function."""
        tf, _ = import_keras()
        nodes, columns = self.representation.shape
        parent = tf.cast(rows[:, :nodes], tf.int32)
        x = tf.reshape(rows[:, nodes:], (-1, nodes, columns - 1))  # (b, N, f)
        up = tf.one_hot(parent, nodes)  # (b, N, N); negative parents give no edge
        mask = tf.cast(parent != PADDING, tf.float32)
        return [x, up + tf.transpose(up, (0, 2, 1)), mask]

    def _choose_temperature(self, pretraining: Training, rows: Singles) -> float:
        if self.temperature is not None:
            return float(self.temperature)
        energy = min(pretraining.history["val_loss"])
        nodes, columns = self.representation.shape
        counts = np.count_nonzero(rows[:, :nodes] != PADDING, axis=1)
        numbers = float(np.mean(counts * (columns - 1) + counts * (counts - 1) / 2))
        return 2 * energy / max(numbers - self.latent, 1.0)

    def _langevin(self, rows: Singles) -> Langevin:
        """Give how graphs move: each number a fifth of its way, for a graph of the mean size."""
        nodes, columns = self.representation.shape
        count = max(float(np.mean(np.count_nonzero(rows[:, :nodes] != PADDING, axis=1))), 2.0)
        alpha = DRIFT * self.temperature_ * count * (columns - 1) / 2
        gamma = DRIFT * self.temperature_ * count / max(self.edge_weight, 1e-6)
        return Langevin(steps=self.steps, temperature=self.temperature_, step_size=(alpha, gamma))

    def _new_buffer(self, density: SampledDensity, rows: Singles, seed: int) -> ReplayBuffer:
        tf, _ = import_keras()
        nodes, columns = self.representation.shape
        masks = (rows[:MASKS, :nodes] != PADDING).astype(np.float32)
        known = tf.constant(masks)

        def fresh(n: int, generator: Any) -> Tensors:
            chosen = tf.cast(generator.uniform((n,)) * len(masks), tf.int32)
            mask = tf.gather(known, tf.minimum(chosen, len(masks) - 1))
            x = BOX * (2 * generator.uniform((n, nodes, columns - 1)) - 1)
            return _confine([x, generator.uniform((n, nodes, nodes)), mask])

        starts = fresh(self.buffer, tf.random.Generator.from_seed(seed + 1))
        buffer = ReplayBuffer(
            [np.asarray(start) for start in starts], fresh=fresh, restart=self.restart, seed=seed
        )
        # From anywhere to where the pre-trained energy is low, before anything is learned of them.
        move = tf.function(
            lambda: buffer.move(self.chains, density.energy, density.langevin, confine=_confine)
        )
        for _ in range(round(BURN_IN * self.buffer / (self.chains * self.steps))):
            move()
        return buffer

    # --- scoring, keeping ---------------------------------------------------------------------------

    def _ready(self, model: Any) -> Any:
        energy = self._energy(model)
        shape = (self.scoring_batch, math.prod(self.representation.shape))
        return compile_function(lambda rows: energy(*self._tensors(rows)), shape)

    def _scores_by(self, model: Any, jets: Jets) -> Scores:
        rows = self._inputs(self.representation(jets))
        padded = np.full((self.scoring_batch, rows.shape[1]), float(PADDING), dtype=np.float32)
        padded[: len(rows)] = rows
        return {"energy": model(padded).numpy()[: len(rows)]}

    def _save(self, folder: Path) -> None:
        super()._save(folder)
        np.savez(folder / SCALING_FILE, mean=self._mean, std=self._std)

    def _load(self, folder: Path) -> None:
        super()._load(folder)
        shapes, f = {"mean": "float f", "std": "float f"}, self.representation.shape[1] - 1
        data = read_arrays(folder / SCALING_FILE, shapes, error=DetectorError, f=f)
        self._mean, self._std = data["mean"], data["std"]

    def _check_model(self, where: str) -> None:
        """Refuse a network of other graphs than the representation gives."""
        nodes, columns = self.representation.shape
        x, a = (None, nodes, columns - 1), (None, nodes, nodes)
        shapes = [x, a, (None, nodes)], [x, a]
        require_same(where, "shapes", shapes, (self._model.input_shape, self._model.output_shape))


def _confine(tensors: Tensors) -> Tensors:
    """Keep sampled graphs where graphs are: features in the box, edges symmetric and in [0, 1]."""
    x, a, mask = tensors
    return [reflect(x, -BOX, BOX) * mask[:, :, None], symmetric(a, mask), mask]
