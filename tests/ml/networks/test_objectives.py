from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from oddjet.ml.networks.keras_models import import_keras
from oddjet.ml.networks.objectives import adam_step


@pytest.mark.parametrize("is_traced", [True, False])
def test_adam_s_step_is_that_of_keras(*, is_traced: bool) -> None:
    """Ten steps at two learning rates; the second variable has no gradient."""
    tf, keras = import_keras()
    rng = np.random.default_rng(1)
    starts = [rng.normal(size=shape).astype(np.float32) for shape in ((4, 3), (2,), (3,))]
    gradients = [
        [rng.normal(size=start.shape).astype(np.float32) for start in starts] for _ in range(10)
    ]

    def ours(optimizer: Any, values: list[Any], variables: list[Any]) -> None:
        adam_step(optimizer, values, variables)

    def theirs(optimizer: Any, values: list[Any], variables: list[Any]) -> None:
        known = [(g, v) for g, v in zip(values, variables, strict=True) if g is not None]
        optimizer.apply(*map(list, zip(*known, strict=True)))

    states = []
    for step in (ours, theirs):
        variables = [keras.Variable(start) for start in starts]
        optimizer = keras.optimizers.Adam(0.01, beta_2=0.99, epsilon=1e-4)
        optimizer.build(variables)

        def improve(first: Any, third: Any, step: Any = step) -> None:
            step(optimizer, [first, None, third], variables)  # noqa: B023 - called in this turn

        call = tf.function(improve, autograph=False) if is_traced else improve
        for number, (first, _, third) in enumerate(gradients):
            optimizer.learning_rate = 0.01 if number < 5 else 0.002
            call(tf.constant(first), tf.constant(third))
        states.append([v.numpy() for v in (*variables, *optimizer.variables)])
    for mine, other in zip(*states, strict=True):
        np.testing.assert_allclose(mine, other, rtol=2e-6, atol=1e-7)
    assert all(np.all(a != b) for a, b in zip(states[0][::2][:2], starts[::2], strict=True))
