from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from oddjet.ml.networks.adversarial import gradient_penalty, reverse_gradient
from oddjet.ml.networks.keras_models import compile_function, import_keras


def rows(n: int, m: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, m))


@pytest.mark.parametrize("strength", [1.0, 0.3])
def test_gradient_before_the_reversal_is_minus_that_of_the_loss(strength: float) -> None:
    tf, _ = import_keras()
    x, before, after = rows(5, 4, 1), rows(4, 3, 2), rows(3, 1, 3)

    def loss(first: Any, second: Any, *, reverse: bool) -> Any:
        hidden = tf.tanh(tf.constant(x) @ first)
        if reverse:
            hidden = reverse_gradient(hidden, strength=strength)
        return tf.reduce_mean(tf.sin(hidden @ second))

    def by_differences(which: int) -> np.ndarray:
        step = 1e-6
        slopes = np.zeros_like((before, after)[which])
        for index in np.ndindex(slopes.shape):
            ends = []
            for sign in (1, -1):
                moved = [before.copy(), after.copy()]
                moved[which][index] += sign * step
                ends.append(float(loss(*map(tf.constant, moved), reverse=False)))
            slopes[index] = (ends[0] - ends[1]) / (2 * step)
        return slopes

    first, second = tf.Variable(before), tf.Variable(after)
    with tf.GradientTape() as tape:
        value = loss(first, second, reverse=True)
    assert float(value) == float(loss(first, second, reverse=False))
    gradients = [gradient.numpy() for gradient in tape.gradient(value, [first, second])]
    np.testing.assert_allclose(gradients[0], -strength * by_differences(0), rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(gradients[1], by_differences(1), rtol=1e-6, atol=1e-9)


def test_reversal_works_in_a_traced_function() -> None:
    tf, _ = import_keras()

    def slope(x: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(x)
            value = tf.reduce_sum(reverse_gradient(x, strength=2.0) ** 2)
        return tape.gradient(value, x)

    x = rows(3, 2, 1).astype(np.float32)
    np.testing.assert_allclose(compile_function(slope, (None, 2))(x).numpy(), -4 * x, rtol=1e-6)


def test_penalty_of_a_linear_critic_is_that_of_its_weights() -> None:
    tf, _ = import_keras()
    weights = tf.Variable([[3.0], [-4.0], [0.0]])
    real, fake = (tf.constant(rows(6, 3, seed), tf.float32) for seed in (1, 2))
    with tf.GradientTape() as tape:
        penalty = gradient_penalty(lambda x: x @ weights + 7.0, real, fake, tf.ones((6, 1)))
    assert float(penalty) == pytest.approx((5.0 - 1.0) ** 2)
    # d/dw (|w| − 1)² = 2 (|w| − 1) w / |w|
    np.testing.assert_allclose(
        tape.gradient(penalty, weights).numpy(), [[4.8], [-6.4], [0.0]], rtol=1e-5
    )


def test_penalty_looks_at_the_points_between() -> None:
    tf, _ = import_keras()
    real, fake = (tf.constant(rows(6, 3, seed), tf.float32) for seed in (1, 2))
    fractions = np.random.default_rng(3).uniform(size=(6, 1)).astype(np.float32)

    def critic(x: Any) -> Any:  # its gradient is x
        return tf.reduce_sum(x**2, axis=1, keepdims=True) / 2

    points = fractions * real.numpy() + (1 - fractions) * fake.numpy()
    expected = np.mean((np.linalg.norm(points, axis=1) - 1) ** 2)
    assert float(gradient_penalty(critic, real, fake, fractions)) == pytest.approx(expected)


def test_penalty_trains_neither_what_made_the_rows_nor_breaks_on_a_flat_critic() -> None:
    tf, _ = import_keras()
    weights, maker = tf.Variable([[0.0], [0.0]]), tf.Variable([[1.0, 2.0]])
    real = tf.constant(rows(6, 2, 1), tf.float32)
    with tf.GradientTape() as tape:
        fake = real * maker
        penalty = gradient_penalty(lambda x: x @ weights, real, fake, tf.fill((6, 1), 0.5))
    of_weights, of_maker = tape.gradient(penalty, [weights, maker])
    assert float(penalty) == pytest.approx(1.0, rel=1e-5)
    assert np.isfinite(of_weights.numpy()).all()
    assert of_maker is None
