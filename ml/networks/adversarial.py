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
    """Pass values on unchanged, and their gradient back times −strength.

    So one descent trains what comes after to lower a loss, and what comes before to raise it. It
    has no weights, and belongs into a training step, not into a model: nothing of it is saved.

    Args:
        values: A tensor of any shape.
        strength: λ.

    References:
        arXiv:1409.7495, eqs. (9) and (10).
    """
    tf, _ = import_keras()

    @tf.custom_gradient  # type: ignore[untyped-decorator]
    def reversal(tensor: Any) -> Any:
        return tf.identity(tensor), lambda upstream: -strength * upstream

    return reversal(values)


def gradient_penalty(critic: Callable[[Any], Any], real: Any, fake: Any, fractions: Any) -> Any:
    """Mean of (‖∇_x D(x)‖ − 1)² over points between real and made rows.

    Args:
        critic: D: rows (b, n) → one number each, shape (b, 1). Rows must not influence each other.
        real: Rows, shape (b, n).
        fake: Made rows of the same shape. They count as constants: nothing that made them is
            trained by the penalty.
        fractions: Where between them to look, shape (b, 1): 0 is at the made row, 1 at the real one.

    Returns:
        A scalar tensor, from which gradients with respect to the critic's weights can be taken.

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
