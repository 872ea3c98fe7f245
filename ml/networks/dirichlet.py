"""The network of the Dirichlet variational autoencoder: its prior, its layers, its losses.

References:
    T. Buss et al., What's Anomalous in LHC Jets? (2022), arXiv:2202.00686, section 4.
    A. Srivastava, C. Sutton, Autoencoding Variational Inference for Topic Models (2017),
    arXiv:1703.01488: the Gaussian that stands for a Dirichlet distribution.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import log_softmax, xlogy

from oddjet.ml.networks.keras_models import import_keras
from oddjet.typing import Floats

__all__ = ["SoftmaxPrior", "build_network", "dirichlet_losses", "image_loss"]


HIDDEN = 100
MOST_LOG_VARIANCE = 20.0
"""Bound on |log σ²|, so that a jet far from all others has a finite KL term."""


@dataclass(frozen=True, eq=False)
class SoftmaxPrior:
    """The Gaussian whose softmax stands for a Dirichlet distribution.

    Each component has the moments of log r, centred, for large α; the components are taken as
    independent. Where α is small that is a rough approximation: for (1, 0.1) the mean weights are
    (0.79, 0.21), not (0.91, 0.09). The Gaussian is what acts in the training.

    Attributes:
        means: μ̃, shape (R,), of sum 0.
        variances: σ̃², shape (R,).

    References:
        arXiv:2202.00686, eq. (14), where the variance is printed as σ̃; arXiv:1703.01488, eq. (6).

    >>> SoftmaxPrior.from_alpha([1.0, 0.1]).variances
    array([2.75, 2.75])
    """

    means: Floats
    variances: Floats

    @classmethod
    def from_alpha(cls, alpha: Sequence[float]) -> SoftmaxPrior:
        """Give the prior for the parameters α of a Dirichlet distribution, R >= 2, positive."""
        values = np.asarray(alpha, dtype=np.float64)
        logs, inverse, r = np.log(values), 1 / values, len(values)
        return cls(logs - logs.mean(), inverse * (1 - 2 / r) + inverse.sum() / r**2)

    def kl_from(self, means: Floats, log_variances: Floats) -> Floats:
        """Kullback–Leibler divergence [nats] of Gaussians μ, log σ² (n, R) from this one: (n,).

        References:
            arXiv:2202.00686, eq. (16).
        """
        log_ratio = log_variances - np.log(self.variances)
        distance2 = (means - self.means) ** 2 / self.variances
        return np.asarray((np.expm1(log_ratio) - log_ratio + distance2).sum(axis=1) / 2)


def build_network(n_numbers: int, r: int, *, seeds: Iterator[int]) -> Any:
    """Build the network, as `DirichletDetector` describes it, without the sampling, of R mixtures.

    From rows (n, N) it gives (n, 2R + N): μ, log σ², and what is decoded from softmax(μ); on images
    its softmax is the image. The output of the layer `codes` is (μ, log σ²), the layer `mixtures`
    is the decoder. Each random initialiser takes one of the seeds.
    """
    _, keras = import_keras()
    layers = keras.layers

    def weights() -> Any:
        return keras.initializers.GlorotUniform(seed=next(seeds))

    rows = layers.Input((n_numbers,))
    start = keras.initializers.LecunNormal(seed=next(seeds))  # the one SELU is made for
    hidden = layers.Dense(HIDDEN, activation="selu", kernel_initializer=start)(rows)
    means = layers.Dense(r, kernel_initializer=weights())(hidden)
    log_variances = layers.Dense(r, kernel_initializer=weights())(hidden)
    bounded = keras.ops.clip(log_variances, -MOST_LOG_VARIANCE, MOST_LOG_VARIANCE)
    codes = layers.Concatenate(name="codes")([means, bounded])
    decoder = layers.Dense(n_numbers, use_bias=False, kernel_initializer=weights(), name="mixtures")
    output = layers.Concatenate()([codes, decoder(layers.Softmax()(means))])
    return keras.Model(rows, output, name="dirichlet")


def dirichlet_losses(
    model: Any, prior: SoftmaxPrior, *, beta_kl: float, on_images: bool
) -> Callable[[Any, Any], dict[str, Any]]:
    """Give `f(rows, noise)` → losses of a batch, eq. (15); noise is (n, R), normal, or 0."""
    tf, keras = import_keras()
    encoder = keras.Model(model.input, model.get_layer("codes").output)
    decoder = model.get_layer("mixtures")
    prior_means = tf.constant(prior.means, tf.float32)
    prior_log_variances = tf.constant(np.log(prior.variances), tf.float32)

    def losses(rows: Any, noise: Any) -> dict[str, Any]:
        means, log_variances = tf.split(encoder(rows), 2, axis=1)
        weights = tf.nn.softmax(means + tf.exp(log_variances / 2) * noise)
        decoded = decoder(weights)
        if on_images:
            log_ratio = tf.math.xlogy(rows, rows) - rows * tf.nn.log_softmax(decoded)
            reconstruction = tf.reduce_sum(log_ratio, axis=1)
        else:
            reconstruction = tf.reduce_mean(tf.square(rows - decoded), axis=1)
        log_ratio = log_variances - prior_log_variances
        distance2 = tf.square(means - prior_means) * tf.exp(-prior_log_variances)
        kl = tf.reduce_sum(tf.exp(log_ratio) - 1 - log_ratio + distance2, axis=1) / 2
        terms = {"reconstruction": tf.reduce_mean(reconstruction), "kl": tf.reduce_mean(kl)}
        return {"loss": terms["reconstruction"] + beta_kl * terms["kl"], **terms}

    return losses


def image_loss(images: Floats, logits: Floats) -> Floats:
    """Kullback–Leibler divergence from images (n, N) to softmax(logits), shape (n,); in logarithms.

    An image without anything has 0.
    """
    log_ratio = xlogy(images, images) - images * log_softmax(logits, axis=1)
    return np.asarray(log_ratio.sum(axis=1))
