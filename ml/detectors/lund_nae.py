"""The normalised autoencoder on Lund graphs: nodes and edges are reconstructed, and sampled.

References:
    R. Seidita for the CMS Collaboration, Advanced anomaly detection algorithms to search for
    semivisible jets (2023), "Normalized graph AE"; S. Yoon et al., arXiv:2105.05735.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from oddjet.datasets.jets import Jets
from oddjet.errors import ConfigError
from oddjet.ml.detectors.base import Detector, Scores
from oddjet.ml.networks.graph_networks import (
    build_graph_autoencoder,
    graph_energy,
    summarise_graphs,
    symmetric,
)
from oddjet.ml.networks.keras_models import (
    compile_function,
    import_keras,
    layer_seeds,
    model_from_bytes,
    model_to_bytes,
)
from oddjet.ml.networks.langevin import Langevin, ReplayBuffer, Tensors, reflect
from oddjet.ml.networks.normalised import normalised_objective
from oddjet.ml.networks.training import (
    Objective,
    Progress,
    Training,
    TrainingSettings,
    optimise,
    split_rows,
)
from oddjet.ml.representations.lund_graph import PADDING, LundGraph
from oddjet.typing import Singles

__all__ = ["LundAutoencoderDetector"]


MODEL_FILE = "model.keras"
HISTORY_FILE = "training.json"
SCALING_FILE = "scaling.npz"
VALIDATION_FRACTION = 0.2
SCORING_BATCH = 1024
DRIFT = 0.2
"""Part of its distance to the reconstruction that a move takes a number."""
BOX = 4.0
"""Features are sampled within so many standard deviations."""
BURN_IN = 60
"""Moves of each chain, on average, before the training."""
MASKS = 4_000
"""Numbers of nodes that samples start from: those of so many training jets."""


class LundAutoencoderDetector(Detector):
    """Autoencoder on Lund graphs, plain or normalised (CMS, 2023).

    The nodes of a jet's Cambridge/Aachen tree and the edges between mothers and daughters are
    encoded by message passing into a few numbers and decoded from these; the energy E is the
    mean squared error of the features, standardised, plus `edge_weight` times the edges' squared
    errors a node, of the nodes that are there. Trained as an autoencoder; with `normalised`, then so that
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
        normalised: Whether to normalise; otherwise the pre-training is all.
        epochs: Of the normalised training, at most.
        pretrain_epochs: Of the autoencoder, at most.
        batch_size: Jets per training step.
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
        restart: Chance that a chain begins anew.
        guard: Whether the loss is kept from running away.
        representation: A `LundGraph`; by default of 16 nodes, of the widest angles.

    Attributes:
        history_: `loss` and, normalised, `e_plus`, `e_minus`, `emd`, `val_loss`, one number an epoch.
        pretrain_history_: `loss` and `val_loss` of the pre-training.
        best_epoch_: The epoch, from 1, whose weights are used; of the last training.
        temperature_: T; NaN if not normalised.
    """

    score_names: ClassVar[tuple[str, ...]] = ("energy",)
    min_jets: ClassVar[int] = 100

    representation: LundGraph

    def __init__(
        self,
        *,
        normalised: bool = True,
        epochs: int = 15,
        pretrain_epochs: int = 40,
        batch_size: int = 128,
        learning_rate: float = 3e-4,
        pretrain_learning_rate: float = 1e-3,
        patience: int = 10,
        hidden: int = 32,
        latent: int = 6,
        edge_weight: float = 1.0,
        temperature: float | None = None,
        steps: int = 8,
        chains: int = 128,
        buffer: int = 1000,
        restart: float = 0.05,
        guard: bool = True,
        representation: LundGraph | None = None,
    ) -> None:
        self.normalised = normalised
        self.epochs = epochs
        self.pretrain_epochs = pretrain_epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.pretrain_learning_rate = pretrain_learning_rate
        self.patience = patience
        self.hidden = hidden
        self.latent = latent
        self.edge_weight = edge_weight
        self.temperature = temperature
        self.steps = steps
        self.chains = chains
        self.buffer = buffer
        self.restart = restart
        self.guard = guard
        self.representation = LundGraph(max_nodes=16) if representation is None else representation
        self.history_: dict[str, list[float]] = {}
        self.pretrain_history_: dict[str, list[float]] = {}
        self.best_epoch_ = 0
        self.temperature_ = float("nan")
        self._mean = self._std = np.zeros(0)
        self._model: Any = None
        self._compiled: Any = None
        self._check()

    def _check(self) -> None:
        if not isinstance(self.representation, LundGraph):
            msg = (
                f"lund_nae: the representation must be a LundGraph. "
                f"Received: {type(self.representation).__name__}."
            )
            raise ConfigError(msg)
        self._settings()
        self._pretraining()
        for name, expected, fine in (
            ("hidden", "at least 1", self.hidden >= 1),
            ("latent", "at least 1", self.latent >= 1),
            ("steps", "at least 1", self.steps >= 1),
            ("edge_weight", "not negative", self.edge_weight >= 0),
            ("temperature", "positive or None", self.temperature is None or self.temperature > 0),
            ("buffer", f"at least chains, {self.chains}", self.buffer >= self.chains >= 1),
            ("restart", "in [0, 1]", 0 <= self.restart <= 1),
        ):
            if not fine:
                msg = f"lund_nae: {name} must be {expected}. Received: {getattr(self, name)}."
                raise ConfigError(msg)

    # --- training -----------------------------------------------------------------------------------

    def _fit(
        self, jets: Jets, *, validation: Jets | None, seed: int, progress: Progress | None
    ) -> None:
        packed = self.representation(jets)
        if validation is None:
            mine, other = split_rows(len(jets), fraction=VALIDATION_FRACTION, seed=seed)
            packed, others = packed[mine], packed[other]
        else:
            others = self.representation(validation)
        self._fit_scaling(packed)
        rows, others = self._rows(packed), self._rows(others)
        model = self._new_model(seed)
        pretraining = optimise(
            self._plain_objective(model, rows.shape[1]),
            rows,
            others,
            settings=self._pretraining(),
            seed=seed,
            progress=None if self.normalised else progress,
            resume=self._resuming("pretraining"),
        )
        self.pretrain_history_ = pretraining.history
        self.temperature_ = float("nan")
        training = pretraining
        if self.normalised:
            self.temperature_ = self._found_temperature(pretraining, rows)
            training = optimise(
                self._normalised_objective(model, rows, others, seed),
                rows,
                others,
                settings=self._settings(),
                seed=seed,
                progress=progress,
                resume=self._resuming(),
            )
        self._model, self._compiled = model, None
        self.history_, self.best_epoch_ = training.history, training.best_epoch

    def _settings(self) -> TrainingSettings:
        return TrainingSettings(
            epochs=self.epochs,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            patience=self.epochs,
            checkpoint_every=0,
            watch="emd",
        )

    def _pretraining(self) -> TrainingSettings:
        return TrainingSettings(
            epochs=self.pretrain_epochs,
            batch_size=self.batch_size,
            learning_rate=self.pretrain_learning_rate,
            patience=self.patience,
            checkpoint_every=0,
        )

    def _new_model(self, seed: int) -> Any:
        nodes, columns = self.representation.shape
        return build_graph_autoencoder(
            nodes, columns - 1, hidden=self.hidden, latent=self.latent, seeds=layer_seeds(seed)
        )

    def _energy(self, model: Any) -> Any:
        return lambda x, a, mask: graph_energy(model, x, a, mask, edge_weight=self.edge_weight)

    def _plain_objective(self, model: Any, columns: int) -> Objective:
        tf, keras = import_keras()
        energy = self._energy(model)
        optimizer = keras.optimizers.Adam(self.pretrain_learning_rate)
        variables = model.trainable_variables
        optimizer.build(variables)

        def step(rows: Any) -> Any:
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean(energy(*self._tensors(rows)))
            optimizer.apply(tape.gradient(loss, variables), variables)
            return {"loss": loss}

        def evaluate(rows: Any) -> Any:
            return {"loss": tf.reduce_mean(energy(*self._tensors(rows)))}

        return Objective(
            step=compile_function(step, (None, columns)),
            evaluate=compile_function(evaluate, (None, columns)),
            models=[model],
            optimizers=[optimizer],
        )

    def _normalised_objective(
        self, model: Any, rows: Singles, others: Singles, seed: int
    ) -> Objective:
        energy, langevin = self._energy(model), self._langevin(rows)
        return normalised_objective(
            model,
            energy,
            columns=rows.shape[1],
            tensors=self._tensors,
            summary=lambda tensors: summarise_graphs(*tensors),
            validation=others,
            buffer=self._new_buffer(rows, energy, langevin, seed),
            langevin=langevin,
            confine=_confine,
            chains=self.chains,
            learning_rate=self.learning_rate,
            guard=self.guard,
        )

    # --- graphs -------------------------------------------------------------------------------------

    def _fit_scaling(self, packed: Singles) -> None:
        """Learn mean and standard deviation of each feature over the nodes that are there."""
        nodes = packed[packed[..., 0] != PADDING][:, 1:].astype(np.float64)  # (nodes, features)
        if not len(nodes):
            msg = "lund_nae: no jet has two constituents, so that there is no graph to learn from."
            raise ConfigError(msg)
        spread = nodes.std(axis=0)
        self._mean, self._std = nodes.mean(axis=0), np.where(spread > 0, spread, 1.0)

    def _rows(self, packed: Singles) -> Singles:
        """Standardise and flatten: parents, then features, (n, N · (1 + f))."""
        parent, features = packed[..., 0], packed[..., 1:]
        there = (parent != PADDING)[..., np.newaxis]
        standard = np.where(there, (features - self._mean) / self._std, 0.0)
        flat = [parent, standard.reshape(len(packed), -1)]
        return np.concatenate(flat, axis=1).astype(np.float32)

    def _tensors(self, rows: Any) -> Tensors:
        """Make features, adjacency and mask of rows, inside a traced function."""
        tf, _ = import_keras()
        nodes, columns = self.representation.shape
        parent = tf.cast(rows[:, :nodes], tf.int32)
        x = tf.reshape(rows[:, nodes:], (-1, nodes, columns - 1))  # (b, N, f)
        up = tf.one_hot(parent, nodes)  # (b, N, N); negative parents give no edge
        mask = tf.cast(parent != PADDING, tf.float32)
        return [x, up + tf.transpose(up, (0, 2, 1)), mask]

    def _found_temperature(self, pretraining: Training, rows: Singles) -> float:
        if self.temperature is not None:
            return float(self.temperature)
        energy = min(pretraining.history["val_loss"])
        nodes, columns = self.representation.shape
        counts = np.count_nonzero(rows[:, :nodes] != PADDING, axis=1)
        numbers = float(np.mean(counts * (columns - 1) + counts * (counts - 1) / 2))
        return 2 * energy / max(numbers - self.latent, 1.0)

    def _langevin(self, rows: Singles) -> Langevin:
        """Say how graphs move: each number a fifth of its way, for a graph of the mean size."""
        nodes, columns = self.representation.shape
        count = max(float(np.mean(np.count_nonzero(rows[:, :nodes] != PADDING, axis=1))), 2.0)
        alpha = DRIFT * self.temperature_ * count * (columns - 1) / 2
        gamma = DRIFT * self.temperature_ * count / max(self.edge_weight, 1e-6)
        return Langevin(steps=self.steps, temperature=self.temperature_, step_size=(alpha, gamma))

    def _new_buffer(
        self, rows: Singles, energy: Any, langevin: Langevin, seed: int
    ) -> ReplayBuffer:
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
        move = tf.function(lambda: buffer.move(self.chains, energy, langevin, confine=_confine))
        for _ in range(round(BURN_IN * self.buffer / (self.chains * self.steps))):
            move()
        return buffer

    # --- scoring, keeping ---------------------------------------------------------------------------

    def _scores(self, jets: Jets) -> Scores:
        if self._compiled is None:
            nodes, columns = self.representation.shape
            energy = self._energy(self._model)
            self._compiled = compile_function(
                lambda rows: energy(*self._tensors(rows)), (SCORING_BATCH, nodes * columns)
            )
        scores = np.zeros(len(jets))
        for rows, batch in self._batches(jets):
            padded = np.full((SCORING_BATCH, batch.shape[1]), float(PADDING), dtype=np.float32)
            padded[: len(batch)] = batch
            scores[rows] = self._compiled(padded).numpy()[: len(batch)]
        return {"energy": scores}

    def _batches(self, jets: Jets) -> Iterator[tuple[slice, Singles]]:
        for start in range(0, len(jets), SCORING_BATCH):
            rows = slice(start, min(start + SCORING_BATCH, len(jets)))
            yield rows, self._rows(self.representation(jets[rows]))

    def _save(self, folder: Path) -> None:
        (folder / MODEL_FILE).write_bytes(model_to_bytes(self._model))
        np.savez(folder / SCALING_FILE, mean=self._mean, std=self._std)
        state = {
            "history": self.history_,
            "pretrain_history": self.pretrain_history_,
            "best_epoch": self.best_epoch_,
            "temperature": None if math.isnan(self.temperature_) else self.temperature_,
        }
        (folder / HISTORY_FILE).write_text(json.dumps(state, indent=2) + "\n", encoding="utf-8")

    def _load(self, folder: Path) -> None:
        state = json.loads((folder / HISTORY_FILE).read_text(encoding="utf-8"))
        self.history_, self.pretrain_history_ = state["history"], state["pretrain_history"]
        self.best_epoch_ = state["best_epoch"]
        found = state["temperature"]
        self.temperature_ = float("nan") if found is None else found
        with np.load(folder / SCALING_FILE, allow_pickle=False) as data:
            self._mean, self._std = data["mean"], data["std"]
        where = folder / MODEL_FILE
        self._model = model_from_bytes(where.read_bytes(), where=str(where))


def _confine(tensors: Tensors) -> Tensors:
    """Keep sampled graphs where graphs are: features in the box, edges symmetric and in [0, 1]."""
    x, a, mask = tensors
    return [reflect(x, -BOX, BOX) * mask[:, :, None], symmetric(a, mask), mask]
