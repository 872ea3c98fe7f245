from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from oddjet.ml.networks.keras_models import import_keras, layer_seeds
from oddjet.ml.networks.langevin import Langevin, ReplayBuffer, reflect
from oddjet.ml.networks.normalised import SampledDensity, contrast, normalised_objective
from oddjet.ml.networks.objectives import Objective
from oddjet.ml.networks.training import Training, TrainingSettings, optimise
from oddjet.ml.networks.wasserstein import earth_movers_distance

T = 0.1
ROWS = (np.random.default_rng(1).normal(0, 1, (600, 1)) * [1.0, 0.7]).astype(np.float32)
"""Points on a line through a plane."""


def loss_and_slope(difference: float, *, guard: bool) -> tuple[float, float]:
    tf, _ = import_keras()
    plus = tf.Variable(2.0 + difference, dtype=tf.float64)
    with tf.GradientTape() as tape:
        loss = contrast(plus, tf.constant(2.0, tf.float64), temperature=T, guard=guard)
    return float(loss), float(tape.gradient(loss, plus))


@pytest.mark.parametrize("difference", [-0.5, -0.06, -0.05, -0.04, -1e-9, 1e-9, 0.3, 7.0])
def test_guard_adds_a_parabola_where_samples_lie_above_data(difference: float) -> None:
    assert loss_and_slope(difference, guard=False) == pytest.approx((difference, 1))
    loss, slope = loss_and_slope(difference, guard=True)
    below = min(difference, 0.0)
    assert loss == pytest.approx(difference + below**2 / T)
    assert slope == pytest.approx(1 + 2 * below / T)


def test_guarded_loss_is_least_half_a_temperature_below_zero() -> None:
    loss, slope = loss_and_slope(-T / 2, guard=True)
    assert loss == pytest.approx(-T / 4)
    assert slope == pytest.approx(0, abs=1e-12)


def a_model() -> Any:
    _, keras = import_keras()
    seeds = layer_seeds(3)
    inputs = x = keras.layers.Input((2,))
    for units, activation in ((16, "tanh"), (1, "linear"), (16, "tanh"), (2, "linear")):
        weights = keras.initializers.GlorotUniform(seed=next(seeds))
        x = keras.layers.Dense(units, activation=activation, kernel_initializer=weights)(x)
    return keras.Model(inputs, x)


def an_objective(
    *, guard: bool, learning_rate: float = 3e-3, chains: int = 64
) -> tuple[Objective, ReplayBuffer]:
    tf, _ = import_keras()
    model = a_model()
    starts = np.random.default_rng(2).uniform(-3, 3, (300, 2)).astype(np.float32)
    buffer = ReplayBuffer(
        [starts],
        fresh=lambda n, generator: [6 * generator.uniform((n, 2)) - 3],
        restart=0.05,
        seed=1,
    )
    objective = normalised_objective(
        model,
        SampledDensity(
            energy=lambda rows: tf.reduce_mean(tf.square(model(rows) - rows), axis=1),
            columns=2,
            tensors=lambda rows: [rows],
            summary=lambda tensors: tensors[0],
            langevin=Langevin(steps=5, temperature=T, step_size=(0.2 * T,)),
            confine=lambda tensors: [reflect(tensors[0], -3.0, 3.0)],
        ),
        buffer=buffer,
        chains=chains,
        validation=ROWS[500:],
        learning_rate=learning_rate,
        guard=guard,
    )
    return objective, buffer


def trained(*, guard: bool, epochs: int, learning_rate: float = 3e-3) -> Training:
    objective, _ = an_objective(guard=guard, learning_rate=learning_rate)
    settings = TrainingSettings(
        epochs=epochs, batch_size=50, patience=epochs, checkpoint_every=0, watch="emd"
    )
    return optimise(objective, ROWS[:500], ROWS[500:], settings=settings, seed=1)


def test_samples_come_to_the_data_and_the_closest_epoch_is_kept() -> None:
    history = trained(guard=True, epochs=30).history
    assert set(history) == {"loss", "e_plus", "e_minus", "val_loss", "emd"}
    assert min(history["emd"]) < 0.6 * history["emd"][0]
    np.testing.assert_allclose(
        trained(guard=True, epochs=4).best_epoch, 1 + np.argmin(history["emd"][:4])
    )


def test_unguarded_energies_run_away_and_guarded_ones_do_not() -> None:
    free, held = (trained(guard=guard, epochs=25, learning_rate=0.03) for guard in (False, True))
    gaps = [
        np.subtract(training.history["e_minus"], training.history["e_plus"]).max()
        for training in (free, held)
    ]
    assert gaps[0] > 20 * T
    assert gaps[1] < 2 * T


def test_distance_is_that_of_validation_rows_and_the_first_chains() -> None:
    objective, buffer = an_objective(guard=True)
    expected = earth_movers_distance(ROWS[500:], buffer.chains[0].numpy())
    assert objective.finish_epoch(1) == {"emd": pytest.approx(expected)}


def test_step_moves_so_many_chains_and_evaluation_none() -> None:
    objective, buffer = an_objective(guard=True, chains=32)
    before = buffer.chains[0].numpy()
    objective.evaluate(ROWS[:10])
    np.testing.assert_array_equal(buffer.chains[0].numpy(), before)
    objective.step(ROWS[:10])
    assert np.count_nonzero((buffer.chains[0].numpy() != before).any(axis=1)) == 32
