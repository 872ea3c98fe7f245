from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from scipy.stats import multivariate_normal, norm

from oddjet.errors import ConfigError, DetectorError
from oddjet.ml.networks.flows import (
    TRAINED,
    Flow,
    log_normal,
    negative_log_likelihood,
    trainable_model,
)
from oddjet.ml.networks.keras_models import import_keras
from oddjet.ml.networks.objectives import loss_objective
from oddjet.ml.networks.training import TrainingSettings, optimise


def perturbed(dimensions: int, *, blocks: int = 4, units: int = 32, seed: int = 1) -> Flow:
    """A flow that is far from a rotation, as if it had been trained."""
    flow = Flow.initial(dimensions, blocks=blocks, units=units, seed=seed)
    rng = np.random.default_rng(seed)
    changed = {
        name: rng.normal(0, 0.07, getattr(flow, name).shape).astype(np.float32)
        for name in ("output_kernels", "output_biases")
    }
    return dataclasses.replace(flow, **changed)


def some_rows(n: int, dimensions: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, dimensions))


def log_det_of_numerical_jacobian(flow: Flow, row: np.ndarray, step: float = 1e-6) -> float:
    steps = step * np.eye(len(row))
    ahead, behind = (flow.forward(row + sign * steps)[0] for sign in (1, -1))
    sign_of_det, log_det = np.linalg.slogdet((ahead - behind) / (2 * step))
    assert sign_of_det > 0
    return float(log_det)


def test_starts_as_a_rotation_of_the_seed() -> None:
    flow = Flow.initial(8, blocks=5, units=16, seed=1)
    for rotation in flow.rotations:
        np.testing.assert_allclose(rotation @ rotation.T, np.eye(8), atol=1e-12)
        assert np.linalg.det(rotation) == pytest.approx(1.0)
    rows = some_rows(20, 8)
    latent, log_det = flow.forward(rows)
    np.testing.assert_array_equal(log_det, 0.0)
    whole = np.linalg.multi_dot(flow.rotations[::-1])
    np.testing.assert_allclose(latent, rows @ whole.T, atol=1e-12)
    again, other = (Flow.initial(8, blocks=5, units=16, seed=seed) for seed in (1, 2))
    np.testing.assert_array_equal(again.rotations, flow.rotations)
    np.testing.assert_array_equal(again.hidden_kernels, flow.hidden_kernels)
    assert not np.allclose(other.rotations, flow.rotations)
    assert not np.allclose(other.hidden_biases, flow.hidden_biases)


def test_one_block_by_hand() -> None:
    quarter_turn = np.array([[[0.0, -1.0], [1.0, 0.0]]])
    flow = Flow(
        rotations=quarter_turn,
        hidden_kernels=np.array([[[2.0]]]),
        hidden_biases=np.array([[1.0]]),
        output_kernels=np.array([[[0.1, 0.5]]]),
        output_biases=np.array([[0.2, -1.0]]),
        clamp=2.0,
    )
    # (3, 5): the hidden unit is 7, so s = 2 tanh 0.9 and t = 2.5. (−3, 5): it is 0.
    s = 2 * np.tanh([0.9, 0.2])
    mapped = 5 * np.exp(s) + [2.5, -1.0]
    latent, log_det = flow.forward(np.array([[3.0, 5.0], [-3.0, 5.0]]))
    np.testing.assert_allclose(latent, np.stack([-mapped, [3.0, -3.0]], axis=1))
    np.testing.assert_allclose(log_det, s)


@pytest.mark.parametrize("dimensions", [2, 3, 8])
def test_inverse_inverts(dimensions: int) -> None:
    flow = perturbed(dimensions)
    rows = some_rows(500, dimensions)
    latent, log_det = flow.forward(rows)
    assert np.abs(log_det).max() > 1
    np.testing.assert_allclose(flow.inverse(latent), rows, atol=1e-9)
    np.testing.assert_allclose(flow.forward(flow.inverse(rows))[0], rows, atol=1e-9)


@pytest.mark.parametrize("dimensions", [2, 3, 8])
def test_log_det_is_that_of_the_numerical_jacobian(dimensions: int) -> None:
    flow = perturbed(dimensions)
    rows = some_rows(20, dimensions)
    expected = [log_det_of_numerical_jacobian(flow, row) for row in rows]
    np.testing.assert_allclose(flow.forward(rows)[1], expected, atol=1e-5)


@pytest.mark.parametrize("dimensions", [3, 8])
def test_the_keras_model_is_the_same_map(dimensions: int) -> None:
    tf, _ = import_keras()
    flow = perturbed(dimensions)
    model = trainable_model(flow)
    rows = tf.constant(some_rows(50, dimensions), tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(rows)
        latent, log_det = model(rows)
    jacobian = tape.batch_jacobian(latent, rows)
    expected_latent, expected_log_det = flow.forward(rows.numpy())
    np.testing.assert_allclose(latent.numpy(), expected_latent, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(log_det.numpy(), expected_log_det, atol=1e-4)
    np.testing.assert_allclose(np.linalg.slogdet(jacobian.numpy())[1], expected_log_det, atol=1e-3)
    np.testing.assert_allclose(flow.inverse(latent.numpy()), rows.numpy(), atol=1e-4)
    loss = float(negative_log_likelihood(model, rows))
    assert loss == pytest.approx(-flow.log_density(rows.numpy()).mean(), rel=1e-5)


def test_weights_come_back_from_the_model() -> None:
    flow = perturbed(3)
    start = Flow.initial(3, blocks=4, units=32, seed=1)
    back = start.trained_to(trainable_model(flow).get_weights())
    for name in TRAINED:
        np.testing.assert_array_equal(getattr(back, name), getattr(flow, name))


def test_number_of_parameters_of_the_published_network() -> None:
    flow = Flow.initial(8, blocks=24, units=512, seed=1)
    by_hand = 24 * ((4 + 1) * 512 + (512 + 1) * 8)
    assert flow.n_parameters == trainable_model(flow).count_params() == by_hand == 159_936


def test_log_normal_is_scipy_s() -> None:
    rows = 3 * some_rows(50, 4)
    np.testing.assert_allclose(log_normal(rows), multivariate_normal(np.zeros(4)).logpdf(rows))


WIDTH = 0.4


def draw_bow(n: int, seed: int) -> np.ndarray:
    """A parabola of Gaussian width: x is normal, and y is x² − 1 apart from the width."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n)
    return np.stack([x, x**2 - 1 + rng.normal(0, WIDTH, n)], axis=1)


def log_density_of_bow(rows: np.ndarray) -> np.ndarray:
    x, y = rows.T
    return np.asarray(norm.logpdf(x) + norm.logpdf(y, x**2 - 1, WIDTH))


def learn_bow() -> Flow:
    start = Flow.initial(2, blocks=6, units=32, seed=1)
    model = trainable_model(start)
    optimise(
        loss_objective(
            model,
            lambda model, rows, _: negative_log_likelihood(model, rows),
            learning_rate=3e-3,
        ),
        draw_bow(6000, seed=1).astype(np.float32),
        draw_bow(500, seed=2).astype(np.float32),
        settings=TrainingSettings(epochs=12, batch_size=200, checkpoint_every=0, watch=None),
        seed=1,
    )
    return start.trained_to(model.get_weights())


@pytest.mark.slow
def test_a_trained_density_integrates_to_one_and_fits() -> None:
    flow = learn_bow()
    middles = np.linspace(-6, 14, 1001)[:-1] + 0.01
    grid = np.stack(np.meshgrid(middles, middles), axis=-1).reshape(-1, 2)
    density = np.exp(flow.log_density(grid))
    assert density.sum() * 0.02**2 == pytest.approx(1.0, abs=0.01)

    fresh = draw_bow(20_000, seed=3)
    truth = log_density_of_bow(fresh)
    gaussian = multivariate_normal(fresh.mean(axis=0), np.cov(fresh.T)).logpdf(fresh)
    lost = np.mean(truth - flow.log_density(fresh))  # Kullback–Leibler divergences from the truth
    assert 0 < lost < 0.1
    assert np.mean(truth - gaussian) > 1

    drawn = flow.inverse(some_rows(20_000, 2, seed=4))
    away = drawn[:, 1] - drawn[:, 0] ** 2 + 1
    assert np.median(np.abs(away)) == pytest.approx(0.6745 * WIDTH, rel=0.15)
    assert np.median(np.abs(drawn[:, 0])) == pytest.approx(0.6745, rel=0.1)


def test_bytes_and_back() -> None:
    flow = perturbed(3)
    back = Flow.from_bytes(flow.to_bytes())
    assert back.clamp == flow.clamp
    np.testing.assert_array_equal(
        back.log_density(some_rows(9, 3)), flow.log_density(some_rows(9, 3))
    )
    for content in (b"", b"not a flow", flow.to_bytes()[:200]):
        with pytest.raises(DetectorError, match=r"here\.npz does not hold a flow"):
            Flow.from_bytes(content, where="here.npz")


@pytest.mark.parametrize(
    "wrong",
    [{"dimensions": 1}, {"blocks": 0}, {"units": 0}, {"clamp": 0.0}, {"clamp": float("inf")}],
)
def test_settings_that_cannot_make_a_flow_are_refused(wrong: dict[str, Any]) -> None:
    settings: dict[str, Any] = {"dimensions": 2, "blocks": 1, "units": 1, "seed": 1, **wrong}
    with pytest.raises(ConfigError, match=f"flow: {next(iter(wrong))} must be"):
        Flow.initial(settings.pop("dimensions"), **settings)
