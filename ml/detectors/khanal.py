"""The convolutional autoencoder on jet images.

References:
    D. Khanal, Anomalous Jet Detection using Unsupervised Learning (2023), sections 4.4, 5.2, 6.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from oddjet.datasets.jets import Jets
from oddjet.errors import ConfigError, DetectorError
from oddjet.ml.detectors.base import Detector, Scores
from oddjet.ml.keras_models import (
    BatchedModel,
    import_keras,
    layer_seeds,
    model_from_bytes,
    model_to_bytes,
)
from oddjet.ml.representations.jet_image import JetImage
from oddjet.ml.training import Progress, TrainingSettings, split_rows, train

__all__ = ["KhanalDetector", "kl_divergence", "mean_squared_error"]

Floats = npt.NDArray[np.floating[Any]]

MODEL_FILE = "model.keras"
CHECKPOINT_FILE = "epoch_{:03d}.keras"
HISTORY_FILE = "training.json"
PIXELS = 32
VALIDATION_FRACTION = 0.2
FLOOR = 1e-7
"""Least value of a reconstructed pixel before the KL divergence is taken."""
SCORING_BATCH = 1024


class KhanalDetector(Detector):
    """Convolutional autoencoder on 32×32 jet images (Khanal 2023).

    Encoder: convolutions with 10 and 5 filters, average pooling by 2, convolutions with 5 and 5,
    dense layers of 10 and 32. Decoder: dense 100 and 64, reshaped to 8×8×1, convolutions with 5
    and 5, upsampling by 4, one transposed convolution. Kernels are 4×4 with 'same' padding; a
    PReLU, its alphas drawn from a normal distribution (σ = 0.05), follows every layer but the
    last. Trained with Adam on the mean squared error, stopped early on validation jets.

    Scores: `mse`, mean over the pixels of the squared difference between image and
    reconstruction; `kl`, the Kullback–Leibler divergence from the image to the reconstruction,
    clipped below at 1e-7 and normalised to sum 1.

    Not printed in the document, and Keras' defaults here: the batch size, the learning rate, one
    alpha a pixel. Its 'dropout layers', printed without a rate, stand before each of the second
    pair of convolutions of the encoder and before those of the decoder. A larger batch takes
    less time an epoch (on two cores about two thirds at 1,024) but needs more epochs: after 40
    epochs on 1,500 simulated QCD jets, one seed, the validation loss was 1.0e-4 with batches of
    32 and 2.2e-4 with 1,024.

    Args:
        epochs: At most so many; the document trained for around 90.
        batch_size: Jets per training step.
        learning_rate: Of Adam.
        patience: Epochs without a better validation loss before the training stops.
        checkpoint_every: Epochs between the models kept for `scores_by_epoch`; 0 keeps none.
        dropout: Rate of the dropout layers.
        shared_alpha: One PReLU alpha a filter, 25,523 parameters in all, instead of one a pixel
            and filter, which is Keras' default and makes 44,048. (25,282 are weights and biases.)
        representation: A `JetImage` of 32 pixels.

    Attributes:
        history_: `loss` and `val_loss`, one number an epoch.
        best_epoch_: The epoch, from 1, whose weights are used.

    References:
        D. Khanal (2023), sections 4.4 (network), 5.2 (training), 6.1 (scores).
    """

    score_names: ClassVar[tuple[str, ...]] = ("mse", "kl")
    min_jets: ClassVar[int] = 100

    def __init__(
        self,
        *,
        epochs: int = 90,
        batch_size: int = 32,
        learning_rate: float = 1e-3,
        patience: int = 20,
        checkpoint_every: int = 10,
        dropout: float = 0.0,
        shared_alpha: bool = False,
        representation: JetImage | None = None,
    ) -> None:
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.patience = patience
        self.checkpoint_every = checkpoint_every
        self.dropout = dropout
        self.shared_alpha = shared_alpha
        self.representation = JetImage() if representation is None else representation
        self.history_: dict[str, list[float]] = {}
        self.best_epoch_ = 0
        self._model: Any = None
        self._batched: BatchedModel | None = None
        self._checkpoints: dict[int, bytes] = {}
        self._settings()  # refuses settings that cannot train, before any jet is read
        if not 0 <= dropout < 1:
            msg = f"khanal: dropout must be in [0, 1). Received: {dropout}."
            raise ConfigError(msg)
        if self.representation.shape != (PIXELS, PIXELS, 1):
            msg = (
                f"khanal: the network is made for images of shape {(PIXELS, PIXELS, 1)}. "
                f"Received a representation of shape {self.representation.shape}."
            )
            raise ConfigError(msg)

    @property
    def n_parameters(self) -> int:
        """Number of trainable numbers in the fitted network."""
        self._require_fitted("n_parameters")
        return int(self._model.count_params())

    def reconstruct(self, jets: Jets) -> npt.NDArray[np.float32]:
        """Pass images of jets through the autoencoder.

        Returns:
            The network's output, shape (n, 32, 32, 1): not clipped, not normalised.
        """
        self._require_fitted("reconstruct")
        out = np.zeros((len(jets), *self.representation.shape), dtype=np.float32)
        for rows, _, outputs in self._passes(self._model_in_batches(), jets):
            out[rows] = outputs
        return out

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
        images = self.representation(jets)
        if validation is None:
            training_rows, rows = split_rows(len(jets), fraction=VALIDATION_FRACTION, seed=seed)
            images, validation_images = images[training_rows], images[rows]
        else:
            validation_images = self.representation(validation)
        model = build_autoencoder(
            seeds=layer_seeds(seed), dropout=self.dropout, shared_alpha=self.shared_alpha
        )
        training = train(
            model,
            images,
            validation_images,
            loss=_reconstruction_loss,
            settings=self._settings(),
            seed=seed,
            progress=progress,
            resume=self._resuming(),
        )
        self._model, self._batched = model, None
        self.history_, self.best_epoch_ = training.history, training.best_epoch
        self._checkpoints = training.checkpoints

    def _scores(self, jets: Jets) -> Scores:
        return self._scores_of(self._model_in_batches(), jets)

    def _scores_of(self, batched: BatchedModel, jets: Jets) -> Scores:
        scores = {name: np.zeros(len(jets)) for name in self.score_names}
        for rows, images, outputs in self._passes(batched, jets):
            scores["mse"][rows] = mean_squared_error(images, outputs)
            scores["kl"][rows] = kl_divergence(images, outputs)
        return scores

    def _scores_by_epoch(self, jets: Jets) -> Iterator[tuple[int, Scores]]:
        for epoch, content in sorted(self._checkpoints.items()):
            model = model_from_bytes(content, where=CHECKPOINT_FILE.format(epoch))
            yield epoch, self._scores_of(BatchedModel(model, batch_size=SCORING_BATCH), jets)

    def _passes(
        self, batched: BatchedModel, jets: Jets
    ) -> Iterator[tuple[slice, npt.NDArray[np.float32], npt.NDArray[np.float32]]]:
        """Draw and reconstruct images batch by batch, so that memory does not grow with jets."""
        for start in range(0, len(jets), batched.batch_size):
            rows = slice(start, min(start + batched.batch_size, len(jets)))
            images = self.representation(jets[rows])
            yield rows, images, batched(images)

    def _model_in_batches(self) -> BatchedModel:
        if self._batched is None:
            self._batched = BatchedModel(self._model, batch_size=SCORING_BATCH)
        return self._batched

    def _save(self, folder: Path) -> None:
        (folder / MODEL_FILE).write_bytes(model_to_bytes(self._model))
        for epoch, content in self._checkpoints.items():
            (folder / CHECKPOINT_FILE.format(epoch)).write_bytes(content)
        state = {
            "best_epoch": self.best_epoch_,
            "history": self.history_,
            "checkpoints": sorted(self._checkpoints),
        }
        (folder / HISTORY_FILE).write_text(json.dumps(state, indent=2) + "\n", encoding="utf-8")

    def _load(self, folder: Path) -> None:
        state = json.loads((folder / HISTORY_FILE).read_text(encoding="utf-8"))
        self.history_, self.best_epoch_ = state["history"], state["best_epoch"]
        self._checkpoints = {
            epoch: (folder / CHECKPOINT_FILE.format(epoch)).read_bytes()
            for epoch in state["checkpoints"]
        }
        where = folder / MODEL_FILE
        self._model = model_from_bytes(where.read_bytes(), where=str(where))
        if tuple(self._model.input_shape[1:]) != self.representation.shape:
            msg = (
                f"{where}: the model takes {self._model.input_shape[1:]}, the representation gives "
                f"{self.representation.shape}."
            )
            raise DetectorError(msg)


def mean_squared_error(images: Floats, outputs: Floats) -> npt.NDArray[np.float64]:
    """Average the squared differences over the pixels of each image.

    Args:
        images: Shape (n, …).
        outputs: Reconstructions of the same shape.

    Returns:
        Shape (n,).
    """
    difference = images.astype(np.float64) - outputs
    return np.asarray(np.mean(difference.reshape(len(images), -1) ** 2, axis=1))


def kl_divergence(images: Floats, outputs: Floats) -> npt.NDArray[np.float64]:
    """Kullback–Leibler divergence Σ P ln(P/Q) from images P to reconstructions Q, in nats.

    Q is clipped below at 1e-7 and divided by its sum. An all-zero image has 0.

    Args:
        images: Shape (n, …), not negative, each of sum 1.
        outputs: Reconstructions of the same shape, of any sign and sum.

    Returns:
        Shape (n,), not negative.

    References:
        D. Khanal (2023), section 6.1.
    """
    p = images.reshape(len(images), -1).astype(np.float64)  # (n, pixels)
    q = np.maximum(outputs.reshape(len(outputs), -1).astype(np.float64), FLOOR)
    q /= q.sum(axis=1, keepdims=True)
    ratio = np.divide(p, q, out=np.ones_like(p), where=p > 0)
    return np.asarray(np.maximum(np.sum(p * np.log(ratio), axis=1), 0.0))


def _reconstruction_loss(model: Any, images: Any, training: bool) -> Any:
    tf, _ = import_keras()
    return tf.reduce_mean(tf.square(model(images, training=training) - images))


def build_autoencoder(*, seeds: Iterator[int], dropout: float, shared_alpha: bool) -> Any:
    """Build Khanal's network, as `KhanalDetector` describes it.

    Args:
        seeds: One for each random initialiser and dropout layer.
        dropout: Rate; no dropout layers at 0.
        shared_alpha: One alpha a filter instead of one a pixel and filter.
    """
    _, keras = import_keras()
    layers, initializers = keras.layers, keras.initializers

    def weights() -> Any:
        return initializers.GlorotUniform(seed=next(seeds))

    def activate(x: Any) -> Any:
        alpha = initializers.RandomNormal(stddev=0.05, seed=next(seeds))
        axes = [1, 2] if shared_alpha and len(x.shape) == 4 else None
        return layers.PReLU(alpha_initializer=alpha, shared_axes=axes)(x)

    def convolve(x: Any, filters: int) -> Any:
        return activate(layers.Conv2D(filters, 4, padding="same", kernel_initializer=weights())(x))

    def convolve_with_dropout(x: Any, filters: int) -> Any:
        if dropout:
            x = layers.Dropout(dropout, seed=next(seeds))(x)
        return convolve(x, filters)

    def connect(x: Any, units: int) -> Any:
        return activate(layers.Dense(units, kernel_initializer=weights())(x))

    image = layers.Input((PIXELS, PIXELS, 1))
    x = convolve(convolve(image, 10), 5)
    x = layers.AveragePooling2D(2, strides=2)(x)  # (16, 16, 5)
    x = convolve_with_dropout(convolve_with_dropout(x, 5), 5)
    code = connect(connect(layers.Flatten()(x), 10), 32)
    x = connect(connect(code, 100), 64)
    x = layers.Reshape((8, 8, 1))(x)
    x = convolve_with_dropout(convolve_with_dropout(x, 5), 5)
    x = layers.UpSampling2D(4)(x)  # (32, 32, 5)
    output = layers.Conv2DTranspose(1, 4, padding="same", kernel_initializer=weights())(x)
    return keras.Model(image, output, name="khanal")
