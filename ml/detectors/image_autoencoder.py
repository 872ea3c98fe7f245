"""What autoencoders on jet images share: training, scores, reconstructed images and masses."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from oddjet.constraints import Interval, constrained
from oddjet.datasets.jets import Jets
from oddjet.ml.detectors.base import Scores
from oddjet.ml.detectors.hyper_parameters import represented_by
from oddjet.ml.detectors.keras_detector import AnyFloats, KerasDetector, TrainingTask
from oddjet.ml.networks.keras_models import BatchedModel, import_keras
from oddjet.ml.networks.objectives import loss_objective
from oddjet.ml.networks.training import Training
from oddjet.ml.representations.image_mass import image_mass
from oddjet.ml.representations.jet_image import JetImage
from oddjet.typing import Floats, Singles

__all__ = ["ImageAutoencoder", "kl_divergence", "mean_squared_error"]

FLOOR = 1e-7
"""Least value of a reconstructed pixel before the KL divergence is taken."""


@dataclass(kw_only=True, eq=False)
class ImageAutoencoder(KerasDetector):
    """Base of autoencoders that are trained on the mean squared error of jet images.

    A subclass implements `_build`.

    Args:
        representation: A `JetImage`.
    """

    score_names: ClassVar[tuple[str, ...]] = ("mse", "kl")

    rows_at_once: ClassVar[int | None] = None
    """Images whose gradient is taken at a time; None takes whole batches."""

    representation: JetImage = represented_by(JetImage)
    epochs: int = constrained(90, Interval(int, 1))
    batch_size: int = constrained(32, Interval(int, 1))
    learning_rate: float = constrained(1e-3, Interval(float, 0, closed="neither"))
    patience: int = constrained(20, Interval(int, 1))
    checkpoint_every: int = constrained(10, Interval(int, 0))

    epsilon = 1e-7
    """Of Adam."""

    def reconstruct(self, jets: Jets) -> Singles:
        """Pass images of jets through the autoencoder.

        Returns:
            The network's output, shape (n, pixels, pixels, 1): not clipped, not normalised.
        """
        self._require_fitted("reconstruct")
        return self._outputs_of(self._trained_model(), jets)

    def reconstruct_by_epoch(self, jets: Jets) -> dict[int, Singles]:
        """Pass images of jets through the models kept during the training.

        Returns:
            Epoch → what `reconstruct` would have given after it.
        """
        self._require_fitted("reconstruct_by_epoch")
        return {epoch: self._outputs_of(model, jets) for epoch, model in self._models_by_epoch()}

    def reconstruct_masses(self, jets: Jets) -> tuple[Floats, Floats]:
        """Compute the masses of the images of jets and of their reconstructions.

        Both are taken as massless particles at the pixels' centres that share the jet's pt, see
        `image_mass`. Negative pixels of a reconstruction are clipped at 0 first.

        Returns:
            Masses of the images and of the reconstructions [GeV], each of shape (n,).
        """
        self._require_fitted("reconstruct_masses")
        masses = self._in_batches(self._masses, jets)
        return np.asarray(masses["image"]), np.asarray(masses["reconstruction"])

    def _train(self, task: TrainingTask) -> Training:
        objective = loss_objective(
            self._model,
            _reconstruction_loss,
            learning_rate=self.learning_rate,
            epsilon=self.epsilon,
            rows_at_once=self.rows_at_once,
        )
        return self._optimise(objective, task, self._settings())

    def _scores_by(self, model: BatchedModel, jets: Jets) -> Scores:
        images = self.representation(jets)
        outputs = model(images)
        return {
            "mse": mean_squared_error(images, outputs),
            "kl": kl_divergence(images, outputs),
        }

    def _outputs_of(self, model: BatchedModel, jets: Jets) -> Singles:
        """Apply a network to the images of any number of jets: (n, *its output)."""
        outputs = self._in_batches(lambda batch: {"": model(self.representation(batch))}, jets)
        return np.asarray(outputs[""])

    def _masses(self, jets: Jets) -> Mapping[str, npt.ArrayLike]:
        pt, images = np.asarray(jets["pt"], dtype=np.float64), self.representation(jets)
        outputs = np.maximum(self._trained_model()(images), 0)
        mass = partial(image_mass, half_width=self.representation.half_width)
        return {"image": mass(images, pt), "reconstruction": mass(outputs, pt)}


def mean_squared_error(images: AnyFloats, outputs: AnyFloats) -> Floats:
    """Average the squared differences of images and outputs (n, …) over the pixels: (n,)."""
    difference = _flat(images) - _flat(outputs)
    return np.asarray(np.mean(difference**2, axis=1))


def kl_divergence(images: AnyFloats, outputs: AnyFloats) -> Floats:
    """Kullback–Leibler divergence Σ P ln(P/Q) from images P (n, …) to reconstructions Q: (n,), nats.

    Q is clipped below at 1e-7 and divided by its sum. An all-zero image has 0.

    P is not negative and of sum 1; Q may have any sign and sum, and is clipped below at 1e-7 and
    divided by its sum.

    References:
        D. Khanal (2023), section 6.1.
    """
    p, q = _flat(images), np.maximum(_flat(outputs), FLOOR)  # (n, pixels)
    q /= q.sum(axis=1, keepdims=True)
    ratio = np.divide(p, q, out=np.ones_like(p), where=p > 0)
    return np.asarray(np.maximum(np.sum(p * np.log(ratio), axis=1), 0.0))


def _flat(images: AnyFloats) -> Floats:
    return images.reshape(len(images), math.prod(images.shape[1:])).astype(np.float64)


def _reconstruction_loss(model: Any, images: Any, training: bool) -> Any:
    tf, _ = import_keras()
    return tf.reduce_mean(tf.square(model(images, training=training) - images))
