"""The dense autoencoder on jet features, 10-10-6-10-10.

References:
    R. Seidita for the CMS Collaboration, Advanced anomaly detection algorithms to search for
    semivisible jets (2023); F. Canelli et al., Autoencoders for semivisible jet detection,
    arXiv:2112.02864.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from oddjet.constraints import Interval, OneOf, constrained
from oddjet.datasets.jets import Jets
from oddjet.ml.detectors.base import Scores
from oddjet.ml.detectors.hyper_parameters import represented_by
from oddjet.ml.detectors.keras_detector import AnyFloats, KerasDetector, TrainingTask
from oddjet.ml.detectors.standardise import Standardiser
from oddjet.ml.networks.keras_models import BatchedModel, import_keras
from oddjet.ml.networks.objectives import loss_objective
from oddjet.ml.networks.training import Training
from oddjet.ml.representations.base import Representation
from oddjet.ml.representations.jet_features import JetFeatures
from oddjet.typing import Floats, Singles

__all__ = ["AutoencoderDetector", "build_dense_autoencoder", "mean_error", "reconstruction_error"]

STANDARD_FILE = "standard.npz"
ACTIVATIONS = ("relu", "elu", "selu", "gelu", "silu", "tanh", "softplus")


@dataclass(kw_only=True, eq=False)
class AutoencoderDetector(KerasDetector):
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
        hidden: Units of the layers before and after the code.
        latent: Units of the code.
        activation: Of all layers but the last.
        compress: Whether to pass the features through arsinh(x / median) before standardising: masses
            and energy flow have long tails.
        representation: By default `JetFeatures`; any that gives a row of numbers a jet.

    Attributes:
        standard_: What makes standardised columns of features.
    """

    score_names: ClassVar[tuple[str, ...]] = ("mse",)
    label: ClassVar[str] = "autoencoder"
    scoring_batch: ClassVar[int] = 4096

    epochs: int = constrained(100, Interval(int, 1))
    batch_size: int = constrained(128, Interval(int, 1))
    learning_rate: float = constrained(1e-3, Interval(float, 0, closed="neither"))
    patience: int = constrained(15, Interval(int, 1))
    checkpoint_every: int = constrained(0, Interval(int, 0))
    hidden: int = constrained(10, Interval(int, 1))
    latent: int = constrained(6, Interval(int, 1))
    activation: str = constrained("relu", OneOf(*ACTIVATIONS))
    compress: bool = constrained(False, OneOf(True, False))
    representation: Representation = represented_by(Representation, JetFeatures)

    def _check(self) -> None:
        if len(self.representation.shape) != 1:
            shape = f"one of shape {self.representation.shape}"
            self._refuse("representation", "one that gives a row of numbers a jet", shape)

    def _represent(self, jets: Jets) -> Floats:
        return np.asarray(self.representation(jets), dtype=np.float64)

    def _learn(self, rows: AnyFloats) -> None:
        self.standard_ = Standardiser.fit(rows, compress=self.compress)

    def _inputs(self, rows: AnyFloats) -> Singles:
        return self.standard_(rows)

    def _build(self, seeds: Iterator[int]) -> Any:
        return build_dense_autoencoder(
            self.representation.shape[0],
            hidden=self.hidden,
            latent=self.latent,
            activation=self.activation,
            seeds=seeds,
        )

    def _train(self, task: TrainingTask) -> Training:
        objective = loss_objective(self._model, mean_error, learning_rate=self.learning_rate)
        return self._optimise(objective, task, self._settings())

    def _scores_by(self, model: BatchedModel, jets: Jets) -> Scores:
        standard = self.standard_(self.representation(jets))
        squares = (standard.astype(np.float64) - model(standard)) ** 2
        return {self.score_names[0]: np.mean(squares, axis=1)}

    def _save(self, folder: Path) -> None:
        super()._save(folder)
        self.standard_.save(folder / STANDARD_FILE)

    def _load(self, folder: Path) -> None:
        super()._load(folder)
        self.standard_ = Standardiser.load(
            folder / STANDARD_FILE, columns=self.representation.shape[0]
        )


def build_dense_autoencoder(
    columns: int, *, hidden: int, latent: int, activation: str, seeds: Iterator[int]
) -> Any:
    """Build the network columns–hidden–latent–hidden–columns, whose outputs are linear.

    Each random initialiser takes one of the seeds.
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
    """The loss of a training: the mean of `reconstruction_error` over the rows, a scalar."""
    tf, _ = import_keras()
    return tf.reduce_mean(reconstruction_error(model, rows))
