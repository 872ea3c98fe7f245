"""The deep convolutional autoencoder with a small code, on centred, turned and flipped jet images.

References:
    I. Ene, Anomalies in Hadronic Resonances using Autoencoders (2022), "Autoencoder architecture",
    "Autoencoder training".
    M. Farina, Y. Nakai, D. Shih, Searching for New Physics with Deep Autoencoders,
    arXiv:1808.08992, section 3: the network it takes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from oddjet.constraints import Interval, constrained
from oddjet.datasets.jets import Jets
from oddjet.ml.detectors.hyper_parameters import represented_by
from oddjet.ml.detectors.image_autoencoder import ImageAutoencoder
from oddjet.ml.detectors.keras_detector import TrainingTask
from oddjet.ml.networks.keras_models import BatchedModel, import_keras
from oddjet.ml.networks.training import warn_of_collapse
from oddjet.ml.representations.jet_image import JetImage
from oddjet.typing import Singles

__all__ = ["EneDetector", "build_network"]

CODE_LAYER = "code"
HIDDEN_UNITS = 32
POOLING = 4
"""The two poolings together: the side of an image must be a multiple of it."""


@dataclass(kw_only=True, eq=False)
class EneDetector(ImageAutoencoder):
    """Convolutional autoencoder on 40×40 jet images, with a code of 12 numbers (Ene 2022).

    Encoder: twice a convolution and maximum pooling by 2, a third convolution, a dense layer of 32,
    a linear one of `latent`. Decoder: dense layers of 32 and 10·10·`filters`, reshaped, twice a
    convolution and upsampling by 2, a convolution with one filter, a softmax over all pixels, so
    that every reconstruction has sum 1. Kernels are 3×3 with 'same' padding; ReLU follows every
    layer but the code and the last. Trained with Adam as Keras sets it (learning rate 1e-3) on the
    mean squared error, stopped early on validation jets; 1,425,613 parameters.

    Scores: `mse`, mean over the pixels of the squared difference between image and reconstruction;
    `kl`, the Kullback–Leibler divergence from the image to the reconstruction, which is not the
    document's but costs nothing.

    With few jets, lower `epsilon`. Gradients of the mean over 1,600 pixels through a softmax lie
    below Adam's default of 1e-7, so the network first stands still at an even image, which top
    jets resemble more than QCD jets do: on 5,000 simulated QCD jets (32 filters, batches of 128)
    the area for top jets was 0.24 after 8 epochs, 256 steps, and 0.85 with `epsilon` 1e-10, which
    is the same as a loss a thousand times as large. 100,000 jets make as many steps in three epochs.

    Not printed in the document: the size of the kernels, the padding, what follows the code, and the
    limit of epochs, all as above. Without `validation`, a fifth of the jets decides when to stop, as
    in the document (25,000 beside 100,000); it trained on leading jets of pt > 500 GeV. Gradients
    are taken over 128 images at a time and added up to the batch, which needs 1.6 GB instead of 5.2.

    Args:
        latent: Numbers in the code; `oddjet.analysis.studies.latent_scan` tries several.
        filters: Of each convolution but the last.
        epsilon: Of Adam.
        representation: A `JetImage` whose side is a multiple of 4 pixels; `JetImage.ene()` by
            default.

    References:
        I. Ene (2022), "Autoencoder architecture" (network), "Finding the encoding dimension" (12),
        "Autoencoder training" (training, score).
    """

    label: ClassVar[str] = "ene"
    scoring_batch: ClassVar[int] = 128
    rows_at_once: ClassVar[int | None] = 128

    latent: int = constrained(12, Interval(int, 1))
    filters: int = constrained(128, Interval(int, 1))
    epochs: int = 100
    batch_size: int = 1024
    epsilon: float = constrained(1e-7, Interval(float, 0, closed="neither"))
    patience: int = 3
    checkpoint_every: int = 0
    representation: JetImage = represented_by(JetImage, JetImage.ene)

    def _check(self) -> None:
        side, *rest = self.representation.shape
        if rest != [side, 1] or side % POOLING:
            expected = (
                f"of shape (p, p, 1) with p a multiple of {POOLING}, by which images are pooled"
            )
            self._refuse("representation", expected, self.representation.shape)

    def encode(self, jets: Jets) -> Singles:
        """Give the codes of jets, shape (n, latent)."""
        self._require_fitted("encode")
        return self._outputs_of(self._encoder(), jets)

    def _build(self, seeds: Iterator[int]) -> Any:
        return build_network(
            seeds=seeds,
            pixels=self.representation.pixels,
            filters=self.filters,
            latent=self.latent,
        )

    def _judge(self, task: TrainingTask) -> None:
        warn_of_collapse(self._encoder()(task.validation), label=self.label)

    def _encoder(self) -> BatchedModel:
        _, keras = import_keras()
        code = self._model.get_layer(CODE_LAYER).output
        return BatchedModel(keras.Model(self._model.input, code), batch_size=self.scoring_batch)


def build_network(*, seeds: Iterator[int], pixels: int, filters: int, latent: int) -> Any:
    """Build Ene's network, as `EneDetector` describes it; a seed for each layer with weights."""
    _, keras = import_keras()
    layers = keras.layers

    def convolve(x: Any, n_filters: int, activation: str | None = "relu") -> Any:
        weights = keras.initializers.GlorotUniform(seed=next(seeds))
        return layers.Conv2D(
            n_filters, 3, padding="same", activation=activation, kernel_initializer=weights
        )(x)

    def connect(
        x: Any, units: int, activation: str | None = "relu", name: str | None = None
    ) -> Any:
        weights = keras.initializers.GlorotUniform(seed=next(seeds))
        return layers.Dense(units, activation=activation, kernel_initializer=weights, name=name)(x)

    side = pixels // POOLING
    image = layers.Input((pixels, pixels, 1))
    x = layers.MaxPooling2D(2)(convolve(image, filters))
    x = layers.MaxPooling2D(2)(convolve(x, filters))  # (side, side, filters)
    x = connect(layers.Flatten()(convolve(x, filters)), HIDDEN_UNITS)
    code = connect(x, latent, activation=None, name=CODE_LAYER)
    x = connect(connect(code, HIDDEN_UNITS), side * side * filters)
    x = layers.Reshape((side, side, filters))(x)
    x = layers.UpSampling2D(2)(convolve(x, filters))
    x = layers.UpSampling2D(2)(convolve(x, filters))  # (pixels, pixels, filters)
    x = layers.Flatten()(convolve(x, 1, activation=None))
    output = layers.Reshape((pixels, pixels, 1))(layers.Softmax()(x))
    return keras.Model(image, output, name="ene")
