"""The convolutional autoencoder on jet images.

References:
    D. Khanal, Anomalous Jet Detection using Unsupervised Learning (2023), sections 4.4, 5.2, 6.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from oddjet.constraints import Interval, OneOf, constrained
from oddjet.ml.detectors.image_autoencoder import ImageAutoencoder
from oddjet.ml.networks.keras_models import import_keras

__all__ = ["KhanalDetector", "build_autoencoder"]

PIXELS = 32


@dataclass(kw_only=True, eq=False)
class KhanalDetector(ImageAutoencoder):
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
        epochs: The most; the document trained for around 90.
        dropout: Rate of the dropout layers.
        shared_alpha: One PReLU alpha a filter, 25,523 parameters in all, instead of one a pixel
            and filter, which is Keras' default and makes 44,048. (25,282 are weights and biases.)
        representation: A `JetImage` of 32 pixels.

    References:
        D. Khanal (2023), sections 4.4 (network), 5.2 (training), 6.1 (scores).
    """

    label: ClassVar[str] = "khanal"

    dropout: float = constrained(0.0, Interval(float, 0, 1))
    shared_alpha: bool = constrained(False, OneOf(True, False))

    def _check(self) -> None:
        if self.representation.shape != (PIXELS, PIXELS, 1):
            self._refuse("representation", f"of shape {(PIXELS, PIXELS, 1)}")

    def _build(self, seeds: Iterator[int]) -> Any:
        return build_autoencoder(seeds=seeds, dropout=self.dropout, shared_alpha=self.shared_alpha)


def build_autoencoder(*, seeds: Iterator[int], dropout: float, shared_alpha: bool) -> Any:
    """Build Khanal's network, as `KhanalDetector` describes it.

    Each random initialiser and dropout layer takes one of the seeds.
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
