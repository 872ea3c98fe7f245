"""Pieces of adversarial trainings: a reversed gradient, and a penalty on a critic's gradient.

References:
    Y. Ganin, V. Lempitsky, Unsupervised Domain Adaptation by Backpropagation, arXiv:1409.7495.
    I. Gulrajani et al., Improved Training of Wasserstein GANs, arXiv:1704.00028.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from oddjet.ml.networks.keras_models import import_keras

__all__ = ["gradient_penalty", "reverse_gradient"]

SMALLEST_SQUARE = 1e-12
"""Added under the root of the penalty, whose gradient would be infinite where the critic is flat."""


def reverse_gradient(values: Any, *, strength: float = 1.0) -> Any:
    """Pass a tensor of any shape on unchanged, and its gradient back times −strength."""
    tf, _ = import_keras()

    @tf.custom_gradient  # type: ignore[untyped-decorator]
    def reversal(tensor: Any) -> Any:
        return tf.identity(tensor), lambda upstream: -strength * upstream

    return reversal(values)


def gradient_penalty(critic: Callable[[Any], Any], real: Any, fake: Any, fractions: Any) -> Any:
    """Mean of (‖∇_x D(x)‖ − 1)² over points between real and made rows (b, n): a scalar tensor.

    The critic D gives one number (b, 1) a row; rows must not influence each other. Made rows count
    as constants. `fractions` (b, 1) say where between: 0 is at the made row, 1 at the real one.
    Gradients with respect to the critic's weights can be taken of it.

    References:
        arXiv:1704.00028, eq. (3).
    """
    tf, _ = import_keras()
    fake = tf.stop_gradient(fake)
    points = fake + fractions * (real - fake)
    with tf.GradientTape() as tape:
        tape.watch(points)
        values = critic(points)
    gradient = tape.gradient(values, points)  # (b, n)
    norm = tf.sqrt(tf.reduce_sum(tf.square(gradient), axis=1) + SMALLEST_SQUARE)
    return tf.reduce_mean(tf.square(norm - 1.0))
