"""The dense autoencoder on jet features, 10-10-6-10-10.

References:
    R. Seidita for the CMS Collaboration, Advanced anomaly detection algorithms to search for
    semivisible jets (2023); F. Canelli et al., Autoencoders for semivisible jet detection,
    arXiv:2112.02864.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from oddjet.datasets.jets import Jets
from oddjet.errors import ConfigError, DetectorError
from oddjet.ml.detectors.base import Detector, Scores
from oddjet.ml.detectors.standardise import Standardiser
from oddjet.ml.networks.keras_models import (
    BatchedModel,
    import_keras,
    layer_seeds,
    model_from_bytes,
    model_to_bytes,
)
from oddjet.ml.networks.training import Progress, Training, TrainingSettings, split_rows, train
from oddjet.ml.representations.base import Representation
from oddjet.ml.representations.jet_features import JetFeatures
from oddjet.typing import Singles

__all__ = ["AutoencoderDetector", "build_dense_autoencoder", "mean_error", "reconstruction_error"]


MODEL_FILE = "model.keras"
CHECKPOINT_FILE = "epoch_{:03d}.keras"
HISTORY_FILE = "training.json"
STANDARD_FILE = "standard.npz"
VALIDATION_FRACTION = 0.2
SCORING_BATCH = 4096
ACTIVATIONS = ("relu", "elu", "selu", "gelu", "silu", "tanh", "softplus")


class AutoencoderDetector(Detector):
    """Dense autoencoder on ten jet features (CMS talk, 2023).

    Inputs, a hidden layer of 10, a code of 6, a hidden layer of 10, outputs; linear at the end.
    Features are standardised on the training jets. Trained with Adam on the mean squared error,
    stopped early on validation jets.

    Score: `mse`, mean over the standardised features of the squared difference between a jet and its
    reconstruction.

    The talk prints the sizes of the layers and that the training minimises the reconstruction
    error. All else here is chosen: activation, batch size, learning rate, patience, the features and
    how they are standardised.

    The error of a jet unlike those trained on need not be large: inverse tagging, training on top
    jets, varies by some hundredths of AUC from seed to seed and with the epochs.

    Args:
        epochs: At most so many.
        batch_size: Jets per training step.
        learning_rate: Of Adam.
        patience: Epochs without a better validation loss before the training stops.
        checkpoint_every: Epochs between the models kept for `scores_by_epoch`; 0 keeps none.
        hidden: Units of the layers before and after the code.
        latent: Units of the code.
        activation: Of all layers but the last.
        compress: Whether to pass the features through arsinh(x / median) before standardising: masses
            and energy flow have long tails.
        representation: By default `JetFeatures`; any that gives a row of numbers a jet.

    Attributes:
        history_: `loss` and `val_loss`, one number an epoch.
        best_epoch_: The epoch, from 1, whose weights are used.
        standard_: What makes standardised columns of features.

    Raises:
        ConfigError: If a hyper-parameter is out of its range.
    """

    score_names: ClassVar[tuple[str, ...]] = ("mse",)
    label: ClassVar[str] = "autoencoder"
    min_jets: ClassVar[int] = 100

    standard_: Standardiser

    def __init__(
        self,
        *,
        epochs: int = 100,
        batch_size: int = 128,
        learning_rate: float = 1e-3,
        patience: int = 15,
        checkpoint_every: int = 0,
        hidden: int = 10,
        latent: int = 6,
        activation: str = "relu",
        compress: bool = False,
        representation: Representation | None = None,
    ) -> None:
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.patience = patience
        self.checkpoint_every = checkpoint_every
        self.hidden = hidden
        self.latent = latent
        self.activation = activation
        self.compress = compress
        self.representation = JetFeatures() if representation is None else representation
        self._settings()  # refuses settings that cannot train, before any jet is read
        self._start()

    def _start(self) -> None:
        """Check what any network of this kind needs, and begin without a training."""
        for name in ("hidden", "latent"):
            if getattr(self, name) < 1:
                msg = f"{self.label}: {name} must be at least 1. Received: {getattr(self, name)}."
                raise ConfigError(msg)
        if self.activation not in ACTIVATIONS:
            msg = f"{self.label}: activation must be one of {ACTIVATIONS}. Received: {self.activation!r}."
            raise ConfigError(msg)
        if len(self.representation.shape) != 1:
            msg = (
                f"{self.label}: expected a representation that gives a row of numbers a jet. Received one "
                f"of shape {self.representation.shape}."
            )
            raise ConfigError(msg)
        self.history_: dict[str, list[float]] = {}
        self.best_epoch_ = 0
        self._model: Any = None
        self._batched: BatchedModel | None = None
        self._checkpoints: dict[int, bytes] = {}

    def _settings(self) -> TrainingSettings:
        return TrainingSettings(
            epochs=self.epochs,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            patience=self.patience,
            checkpoint_every=self.checkpoint_every,
        )

    def _fit(
        self, jets: Jets, *, validation: Jets | None, seed: int, progress: Progress | None
    ) -> None:
        rows, validation_rows = self._standard_rows(jets, validation, seed)
        model = self._new_model(seed)
        training = train(
            model,
            rows,
            validation_rows,
            loss=mean_error,
            settings=self._settings(),
            seed=seed,
            progress=progress,
            resume=self._resuming(),
        )
        self._keep(model, training)

    def _standard_rows(
        self, jets: Jets, validation: Jets | None, seed: int
    ) -> tuple[Singles, Singles]:
        """Learn the standardisation and give training and validation rows, both (…, d)."""
        features = np.asarray(self.representation(jets), dtype=np.float64)
        if validation is None:
            mine, others = split_rows(len(jets), fraction=VALIDATION_FRACTION, seed=seed)
            features, other_features = features[mine], features[others]
        else:
            other_features = np.asarray(self.representation(validation), dtype=np.float64)
        self.standard_ = Standardiser.fit(features, compress=self.compress)
        return self.standard_(features), self.standard_(other_features)

    def _new_model(self, seed: int) -> Any:
        return build_dense_autoencoder(
            self.representation.shape[0],
            hidden=self.hidden,
            latent=self.latent,
            activation=self.activation,
            seeds=layer_seeds(seed),
        )

    def _keep(self, model: Any, training: Training) -> None:
        self._model, self._batched = model, None
        self.history_, self.best_epoch_ = training.history, training.best_epoch
        self._checkpoints = training.checkpoints

    def _scores(self, jets: Jets) -> Scores:
        if self._batched is None:
            self._batched = BatchedModel(self._model, batch_size=SCORING_BATCH)
        return self._scores_of(self._batched, jets)

    def _scores_of(self, batched: BatchedModel, jets: Jets) -> Scores:
        errors = np.zeros(len(jets))
        for start in range(0, len(jets), batched.batch_size):
            rows = slice(start, min(start + batched.batch_size, len(jets)))
            standard = self.standard_(self.representation(jets[rows]))
            errors[rows] = np.mean((standard.astype(np.float64) - batched(standard)) ** 2, axis=1)
        return {self.score_names[0]: errors}

    def _scores_by_epoch(self, jets: Jets) -> Iterator[tuple[int, Scores]]:
        for epoch, content in sorted(self._checkpoints.items()):
            model = model_from_bytes(content, where=CHECKPOINT_FILE.format(epoch))
            yield epoch, self._scores_of(BatchedModel(model, batch_size=SCORING_BATCH), jets)

    def _save(self, folder: Path) -> None:
        (folder / MODEL_FILE).write_bytes(model_to_bytes(self._model))
        self.standard_.save(folder / STANDARD_FILE)
        for epoch, content in self._checkpoints.items():
            (folder / CHECKPOINT_FILE.format(epoch)).write_bytes(content)
        (folder / HISTORY_FILE).write_text(
            json.dumps(self._state(), indent=2) + "\n", encoding="utf-8"
        )

    def _state(self) -> dict[str, Any]:
        """What is written as JSON."""
        return {
            "best_epoch": self.best_epoch_,
            "history": self.history_,
            "checkpoints": sorted(self._checkpoints),
        }

    def _load(self, folder: Path) -> None:
        state = json.loads((folder / HISTORY_FILE).read_text(encoding="utf-8"))
        self.history_, self.best_epoch_ = state["history"], state["best_epoch"]
        self._checkpoints = {
            epoch: (folder / CHECKPOINT_FILE.format(epoch)).read_bytes()
            for epoch in state["checkpoints"]
        }
        self.standard_ = Standardiser.load(folder / STANDARD_FILE)
        where = folder / MODEL_FILE
        self._model = model_from_bytes(where.read_bytes(), where=str(where))
        if tuple(self._model.input_shape[1:]) != self.representation.shape:
            msg = (
                f"{where}: the model takes {self._model.input_shape[1:]}, the representation gives "
                f"{self.representation.shape}."
            )
            raise DetectorError(msg)


def build_dense_autoencoder(
    columns: int, *, hidden: int, latent: int, activation: str, seeds: Iterator[int]
) -> Any:
    """Build the network columns–hidden–latent–hidden–columns.

    Args:
        columns: Inputs and outputs; the outputs are linear.
        hidden: Units before and after the code.
        latent: Units of the code.
        activation: Of all layers but the last.
        seeds: One for each random initialiser.
    """
    _, keras = import_keras()

    def connect(x: Any, units: int, activation: str) -> Any:
        weights = keras.initializers.GlorotUniform(seed=next(seeds))
        return keras.layers.Dense(units, activation=activation, kernel_initializer=weights)(x)

    inputs = x = keras.layers.Input((columns,))
    for units in (hidden, latent, hidden):
        x = connect(x, units, activation)
    return keras.Model(inputs, connect(x, columns, "linear"))


def reconstruction_error(model: Any, rows: Any) -> Any:
    """Mean over the columns of the squared difference between rows (b, d) and outputs: (b,)."""
    tf, _ = import_keras()
    return tf.reduce_mean(tf.square(model(rows) - rows), axis=1)


def mean_error(model: Any, rows: Any, training: bool) -> Any:  # noqa: ARG001 - no dropout here
    """The loss of `train`: the mean of `reconstruction_error` over the rows, a scalar."""
    tf, _ = import_keras()
    return tf.reduce_mean(reconstruction_error(model, rows))
