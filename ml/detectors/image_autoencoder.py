"""What autoencoders on jet images share: training, passes in batches, scores, masses, saving."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from oddjet.datasets.jets import Jets
from oddjet.errors import DetectorError
from oddjet.ml.detectors.base import Detector, Scores
from oddjet.ml.networks.keras_models import (
    BatchedModel,
    import_keras,
    layer_seeds,
    model_from_bytes,
    model_to_bytes,
)
from oddjet.ml.networks.training import Progress, TrainingSettings, split_rows, train
from oddjet.ml.representations.image_mass import image_mass
from oddjet.ml.representations.jet_image import JetImage
from oddjet.typing import Singles

__all__ = ["ImageAutoencoder", "kl_divergence", "mean_squared_error"]

Floats = npt.NDArray[np.floating[Any]]

MODEL_FILE = "model.keras"
CHECKPOINT_FILE = "epoch_{:03d}.keras"
HISTORY_FILE = "training.json"
VALIDATION_FRACTION = 0.2
FLOOR = 1e-7
"""Least value of a reconstructed pixel before the KL divergence is taken."""


class ImageAutoencoder(Detector):
    """Base of autoencoders that are trained on the mean squared error of jet images.

    A subclass stores its hyper-parameters, those below among them, calls `super().__init__()`, and
    implements `_build`.

    Attributes:
        epochs: At most so many.
        batch_size: Jets per training step.
        learning_rate: Of Adam.
        patience: Epochs without a better validation loss before the training stops.
        checkpoint_every: Epochs between the models kept for `scores_by_epoch`; 0 keeps none.
        representation: A `JetImage`.
        history_: `loss` and `val_loss`, one number an epoch.
        best_epoch_: The epoch, from 1, whose weights are used.
    """

    score_names: ClassVar[tuple[str, ...]] = ("mse", "kl")

    scoring_batch: ClassVar[int] = 1024
    """Images passed through the network at a time."""

    training_rows_at_once: ClassVar[int | None] = None
    """Images whose gradient is taken at a time; None takes whole batches."""

    epochs: int
    batch_size: int
    learning_rate: float
    patience: int
    checkpoint_every: int
    representation: JetImage

    def __init__(self) -> None:
        self.history_: dict[str, list[float]] = {}
        self.best_epoch_ = 0
        self._model: Any = None
        self._batched: BatchedModel | None = None
        self._checkpoints: dict[int, bytes] = {}
        self._settings()  # refuses settings that cannot train, before any jet is read

    @abstractmethod
    def _build(self, seeds: Iterator[int]) -> Any:
        """Build the untrained network, from images to images.

        Args:
            seeds: One for each random initialiser and dropout layer.
        """

    def _judge(self, images: Singles) -> None:
        """Look at the trained model with the validation images."""

    @property
    def n_parameters(self) -> int:
        """Number of trainable numbers in the fitted network."""
        self._require_fitted("n_parameters")
        return int(self._model.count_params())

    def reconstruct(self, jets: Jets) -> Singles:
        """Pass images of jets through the autoencoder.

        Returns:
            The network's output, shape (n, pixels, pixels, 1): not clipped, not normalised.
        """
        self._require_fitted("reconstruct")
        out = np.zeros((len(jets), *self.representation.shape), dtype=np.float32)
        for rows, _, outputs in self._passes(self._model_in_batches(), jets):
            out[rows] = outputs
        return out

    def reconstruct_by_epoch(self, jets: Jets) -> dict[int, Singles]:
        """Pass images of jets through the models kept during the training.

        Returns:
            Epoch → what `reconstruct` would have given after it.
        """
        self._require_fitted("reconstruct_by_epoch")
        by_epoch = {}
        for epoch, batched in self._models_by_epoch():
            out = np.zeros((len(jets), *self.representation.shape), dtype=np.float32)
            for rows, _, outputs in self._passes(batched, jets):
                out[rows] = outputs
            by_epoch[epoch] = out
        return by_epoch

    def reconstruct_masses(
        self, jets: Jets
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Weigh the images of jets and their reconstructions.

        Both are taken as massless particles at the pixels' centres that share the jet's pt, see
        `image_mass`. Negative pixels of a reconstruction are clipped at 0 first.

        Returns:
            Masses of the images and of the reconstructions [GeV], each of shape (n,).
        """
        self._require_fitted("reconstruct_masses")
        pt = np.asarray(jets["pt"], dtype=np.float64)
        before, after = np.zeros(len(jets)), np.zeros(len(jets))
        half_width = self.representation.half_width
        for rows, images, outputs in self._passes(self._model_in_batches(), jets):
            before[rows] = image_mass(images, pt[rows], half_width=half_width)
            after[rows] = image_mass(np.maximum(outputs, 0), pt[rows], half_width=half_width)
        return before, after

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
        model = self._build(layer_seeds(seed))
        training = train(
            model,
            images,
            validation_images,
            loss=_reconstruction_loss,
            settings=self._settings(),
            seed=seed,
            progress=progress,
            resume=self._resuming(),
            rows_at_once=self.training_rows_at_once,
        )
        self._model, self._batched = model, None
        self.history_, self.best_epoch_ = training.history, training.best_epoch
        self._checkpoints = training.checkpoints
        self._judge(validation_images)

    def _scores(self, jets: Jets) -> Scores:
        return self._scores_of(self._model_in_batches(), jets)

    def _scores_of(self, batched: BatchedModel, jets: Jets) -> Scores:
        scores = {name: np.zeros(len(jets)) for name in self.score_names}
        for rows, images, outputs in self._passes(batched, jets):
            scores["mse"][rows] = mean_squared_error(images, outputs)
            scores["kl"][rows] = kl_divergence(images, outputs)
        return scores

    def _scores_by_epoch(self, jets: Jets) -> Iterator[tuple[int, Scores]]:
        for epoch, batched in self._models_by_epoch():
            yield epoch, self._scores_of(batched, jets)

    def _models_by_epoch(self) -> Iterator[tuple[int, BatchedModel]]:
        for epoch, content in sorted(self._checkpoints.items()):
            model = model_from_bytes(content, where=CHECKPOINT_FILE.format(epoch))
            yield epoch, BatchedModel(model, batch_size=self.scoring_batch)

    def _passes(
        self, batched: BatchedModel, jets: Jets
    ) -> Iterator[tuple[slice, Singles, npt.NDArray[np.float32]]]:
        """Draw images and pass them on, batch by batch, so that memory does not grow with jets."""
        for start in range(0, len(jets), batched.batch_size):
            rows = slice(start, min(start + batched.batch_size, len(jets)))
            images = self.representation(jets[rows])
            yield rows, images, batched(images)

    def _model_in_batches(self) -> BatchedModel:
        if self._batched is None:
            self._batched = BatchedModel(self._model, batch_size=self.scoring_batch)
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
