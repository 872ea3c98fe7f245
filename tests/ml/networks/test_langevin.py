from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from oddjet.errors import ConfigError
from oddjet.ml.networks.keras_models import import_keras
from oddjet.ml.networks.langevin import Langevin, ReplayBuffer, reflect


def free(tensors: list[Any]) -> list[Any]:
    return tensors


def sample(
    langevin: Langevin, energy: Any, *starts: np.ndarray, confine: Any = free, seed: int = 1
) -> list[np.ndarray]:
    tf, _ = import_keras()
    generator = tf.random.Generator.from_seed(seed)
    traced = tf.function(
        lambda *at: langevin.sample(energy, list(at), confine=confine, generator=generator),
        autograph=False,
    )
    return [x.numpy() for x in traced(*(tf.constant(s, tf.float32) for s in starts))]


@pytest.mark.parametrize(
    ("temperature", "step_size", "stiffness"), [(1.0, 0.1, 1.0), (0.05, 0.02, 2.0), (4.0, 0.5, 3.0)]
)
def test_a_harmonic_energy_gives_the_gaussian(
    temperature: float, step_size: float, stiffness: float
) -> None:
    tf, _ = import_keras()
    langevin = Langevin(steps=150, temperature=temperature, step_size=(step_size,))
    centre = np.array([0.5, -2.0], dtype=np.float32)
    (x,) = sample(
        langevin,
        lambda x: 0.5 * stiffness * tf.reduce_sum(tf.square(x - centre), axis=1),
        np.tile(centre, (20_000, 1)),
    )
    # The chain is x' = (1 − a) x + √(2α) ε with a = αk/T, of variance 2α / (1 − (1 − a)²).
    expected = temperature / stiffness / (1 - step_size * stiffness / (2 * temperature))
    error = expected * math.sqrt(2 / 20_000)
    np.testing.assert_allclose(x.var(axis=0), expected, atol=5 * error)
    np.testing.assert_allclose(x.mean(axis=0), centre, atol=5 * math.sqrt(expected / 20_000))
    assert abs(np.corrcoef(x.T)[0, 1]) < 5 / math.sqrt(20_000)


def test_without_noise_a_step_goes_down_the_gradient() -> None:
    tf, _ = import_keras()
    start = np.random.default_rng(1).normal(size=(7, 3)).astype(np.float32)

    def energy(x: Any) -> Any:
        return tf.reduce_sum(tf.sin(x) * x[:, ::-1], axis=1)

    (end,) = sample(
        Langevin(steps=1, temperature=0.5, step_size=(0.01,), noise=(0.0,)), energy, start
    )
    slope = np.zeros((7, 3))
    for column in range(3):
        shift = np.zeros(3, np.float32)
        shift[column] = 1e-2
        up, down = energy(start + shift).numpy(), energy(start - shift).numpy()
        slope[:, column] = (up - down) / 2e-2
    np.testing.assert_allclose(end, start - 0.02 * slope, atol=1e-5)


def test_several_tensors_move_each_by_its_own_step() -> None:
    tf, _ = import_keras()
    langevin = Langevin(
        steps=60, temperature=1.0, step_size=(0.1, 0.3), noise=(0.0, math.sqrt(0.6))
    )
    x, a = sample(
        langevin,
        lambda x, a: tf.reduce_sum(x**2, axis=1) / 2 + tf.reduce_sum(a**2, axis=(1, 2)) / 2,
        np.ones((5000, 2)),
        np.zeros((5000, 2, 2)),
    )
    np.testing.assert_allclose(x, 0.9**60, rtol=1e-3)
    assert a.var() == pytest.approx(1 / (1 - 0.15), rel=0.05)


def test_further_tensors_stay_as_they_are() -> None:
    tf, _ = import_keras()
    mask = np.tile([1.0, 0.0], (2000, 1))
    x, still = sample(
        Langevin(steps=40, temperature=1.0, step_size=(0.1,)),
        lambda x, mask: tf.reduce_sum(mask * x**2, axis=1) / 2,
        np.ones((2000, 2)),
        mask,
        confine=lambda tensors: [tensors[0] * tensors[1], tensors[1]],
    )
    np.testing.assert_array_equal(still, mask)
    assert not x[:, 1].any()
    assert x[:, 0].var() == pytest.approx(1 / 0.95, rel=0.15)


def test_a_steep_drift_is_cut() -> None:
    tf, _ = import_keras()
    langevin = Langevin(steps=1, temperature=1.0, step_size=(1.0,), noise=(0.0,), largest_move=0.25)
    (x,) = sample(langevin, lambda x: 100 * tf.reduce_sum(x**2, axis=1), np.array([[3.0, -1e-4]]))
    np.testing.assert_allclose(x, [[2.75, -1e-4 + 0.02]], rtol=1e-5)


def test_a_flat_energy_between_mirrors_stays_flat() -> None:
    tf, _ = import_keras()
    langevin = Langevin(steps=200, temperature=1.0, step_size=(0.05,))
    low, high = np.float32([-1, 2]), np.float32([0, 5])
    (x,) = sample(
        langevin,
        lambda x: 0.0 * tf.reduce_sum(x, axis=1),
        np.tile((low + high) / 2, (20_000, 1)),
        confine=lambda tensors: [reflect(tensors[0], low, high)],
    )
    assert ((x >= low) & (x <= high)).all()
    for column in range(2):
        counts, _ = np.histogram(x[:, column], bins=10, range=(low[column], high[column]))
        np.testing.assert_allclose(counts, 2000, atol=5 * math.sqrt(2000))


def test_mirrors_fold_whatever_is_outside() -> None:
    x = np.float32([[-0.3, 0.3, 1.2, 2.2, -1.4, 1.0]])
    np.testing.assert_allclose(reflect(x, 0.0, 1.0), [[0.3, 0.3, 0.8, 0.2, 0.6, 1.0]], atol=1e-6)


def a_buffer(*, restart: float, seed: int = 1) -> ReplayBuffer:
    return ReplayBuffer(
        [np.arange(40, dtype=np.float32).reshape(20, 2)],
        fresh=lambda n, generator: [1000.0 + generator.uniform((n, 2))],
        restart=restart,
        seed=seed,
    )


def move(buffer: ReplayBuffer, n: int, langevin: Langevin) -> np.ndarray:
    tf, _ = import_keras()

    def energy(x: Any) -> Any:
        return 0.0 * tf.reduce_sum(x, axis=1)

    traced = tf.function(lambda: buffer.move(n, energy, langevin, confine=free)[0], autograph=False)
    return np.asarray(traced().numpy())


STILL = Langevin(steps=1, temperature=1.0, step_size=(1.0,), noise=(0.0,))


def test_chains_drawn_are_different_ones_and_are_put_back() -> None:
    buffer = a_buffer(restart=0.0)
    drawn = move(buffer, 20, STILL)
    np.testing.assert_array_equal(np.sort(drawn[:, 0]), np.arange(0, 40, 2))
    moving = Langevin(steps=3, temperature=1.0, step_size=(1.0,))
    ends = move(buffer, 6, moving)
    kept = buffer.chains[0].numpy()
    assert np.isin(ends, kept).all()
    assert (kept == np.arange(40).reshape(20, 2)).all(axis=1).sum() == 14


def test_some_chains_begin_anew() -> None:
    for restart, least, most in ((0.0, 0, 0), (0.4, 1, 19), (1.0, 20, 20)):
        restarted = move(a_buffer(restart=restart), 20, STILL)[:, 0] >= 1000
        assert least <= restarted.sum() <= most


def test_a_seed_fixes_the_chains_and_their_state_can_be_put_back() -> None:
    moving = Langevin(steps=3, temperature=1.0, step_size=(1.0,))
    one, same, other = (a_buffer(restart=0.2, seed=seed) for seed in (1, 1, 2))
    first = move(one, 5, moving)
    np.testing.assert_array_equal(move(same, 5, moving), first)
    assert not np.array_equal(move(other, 5, moving), first)
    state = [variable.numpy() for variable in one.state]
    then = move(one, 5, moving)
    for variable, value in zip(other.state, state, strict=True):
        variable.assign(value)
    np.testing.assert_array_equal(move(other, 5, moving), then)


@pytest.mark.parametrize(
    "wrong",
    [
        {"steps": 0},
        {"temperature": 0.0},
        {"step_size": (0.1, 0.0)},
        {"step_size": ()},
        {"noise": (0.1, 0.1)},
        {"noise": (-0.1,)},
        {"largest_move": 0.0},
    ],
)
def test_settings_that_cannot_sample_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        Langevin(**{"steps": 1, "temperature": 1.0, "step_size": (0.1,), **wrong})
    with pytest.raises(ConfigError, match="restart"):
        a_buffer(restart=1.5)
