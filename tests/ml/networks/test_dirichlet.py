"""The prior of the Dirichlet autoencoder, its losses and its layers, against integrals and samples."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import rel_entr
from scipy.stats import norm

from oddjet.ml.networks.dirichlet import (
    SoftmaxPrior,
    build_network,
    dirichlet_losses,
    image_loss,
)
from oddjet.ml.networks.keras_models import import_keras, layer_seeds


def test_prior_of_the_document() -> None:
    prior = SoftmaxPrior.from_alpha([1.0, 0.1])
    # log α = 0, -2.303, of mean -1.151; (1 + 1/0.1) / 4.
    np.testing.assert_allclose(prior.means, [1.1513, -1.1513], atol=1e-4)
    np.testing.assert_allclose(prior.variances, [2.75, 2.75])


def test_prior_of_three_mixtures() -> None:
    prior = SoftmaxPrior.from_alpha([1.0, 0.25, 0.1])
    np.testing.assert_allclose(prior.means, np.log([1, 0.25, 0.1]) + np.log(40) / 3)
    # (1 + 4 + 10) / 9, and a third of 1/α.
    np.testing.assert_allclose(prior.variances, 15 / 9 + np.array([1, 4, 10]) / 3)


@pytest.mark.parametrize("alpha", [[50.0, 20.0], [60.0, 30.0, 90.0]])
def test_prior_has_the_moments_of_a_dirichlet_distribution(alpha: list[float]) -> None:
    prior = SoftmaxPrior.from_alpha(alpha)
    logs = np.log(np.random.default_rng(1).dirichlet(alpha, 100_000))
    z = logs - logs.mean(axis=1, keepdims=True)  # the softmax undoes it
    np.testing.assert_allclose(z.mean(axis=0), prior.means, atol=0.02)
    np.testing.assert_allclose(z.var(axis=0), prior.variances, rtol=0.05)


def divergence_by_integration(mean: float, variance: float, prior: Any, i: int) -> float:
    """∫ q log(q/p), one dimension."""
    q, p = norm(mean, variance**0.5), norm(prior.means[i], prior.variances[i] ** 0.5)
    reach = 12 * variance**0.5
    value, _ = quad(
        lambda z: q.pdf(z) * (q.logpdf(z) - p.logpdf(z)), mean - reach, mean + reach, points=[mean]
    )
    return float(value)


@pytest.mark.parametrize("alpha", [[1.0, 0.1], [1.0, 0.25, 0.1]])
def test_kl_divergence_is_the_integral(alpha: list[float]) -> None:
    prior, r = SoftmaxPrior.from_alpha(alpha), len(alpha)
    rng = np.random.default_rng(1)
    means, log_variances = rng.normal(0, 3, (5, r)), rng.normal(-1, 2, (5, r))
    expected = [
        sum(divergence_by_integration(m, np.exp(v), prior, i) for i, (m, v) in enumerate(pairs))
        for pairs in (zip(*row, strict=True) for row in zip(means, log_variances, strict=True))
    ]
    np.testing.assert_allclose(prior.kl_from(means, log_variances), expected, rtol=1e-6)
    at_prior = prior.kl_from(prior.means[np.newaxis], np.log(prior.variances)[np.newaxis])
    np.testing.assert_allclose(at_prior, 0, atol=1e-12)


def test_image_loss_is_the_divergence_and_zero_for_an_empty_image() -> None:
    rng = np.random.default_rng(1)
    images, outputs = rng.dirichlet(np.full(9, 0.3), 20), rng.dirichlet(np.ones(9), 20)
    images[:, :2] = 0
    images /= images.sum(axis=1, keepdims=True)
    expected = rel_entr(images, outputs).sum(axis=1)
    shifted = np.log(outputs) + 5  # the softmax does not mind
    np.testing.assert_allclose(image_loss(images, shifted), expected)
    np.testing.assert_array_equal(image_loss(np.zeros((1, 9)), rng.normal(size=(1, 9))), [0.0])


def test_noise_enters_as_the_document_says() -> None:
    tf, _ = import_keras()
    prior = SoftmaxPrior.from_alpha([1.0, 0.1])
    model = build_network(6, 2, seeds=layer_seeds(1))
    rng = np.random.default_rng(1)
    rows, noise = rng.normal(size=(4, 6)), rng.normal(size=(4, 2))
    codes = model(rows.astype(np.float32)).numpy()[:, :4].astype(float)
    z = np.exp(codes[:, :2] + np.exp(codes[:, 2:] / 2) * noise)
    decoded = z / z.sum(axis=1, keepdims=True) @ model.get_layer("mixtures").get_weights()[0]
    losses = dirichlet_losses(model, prior, beta_kl=0.5, on_images=False)
    losses = {
        name: float(value)
        for name, value in losses(
            tf.constant(rows, tf.float32), tf.constant(noise, tf.float32)
        ).items()
    }
    kl = prior.kl_from(codes[:, :2], codes[:, 2:]).mean()
    reconstruction = np.mean((rows - decoded) ** 2)
    assert losses["reconstruction"] == pytest.approx(reconstruction, rel=1e-5)
    assert losses["kl"] == pytest.approx(kl, rel=1e-5)
    assert losses["loss"] == pytest.approx(reconstruction + 0.5 * kl, rel=1e-5)


def test_network_is_the_document_s() -> None:
    model = build_network(1600, 2, seeds=layer_seeds(1))
    assert model.count_params() == 1600 * 100 + 100 + 100 * 4 + 4 + 2 * 1600
    assert model.layers[1].activation.__name__ == "selu"
    assert not model.get_layer("mixtures").use_bias
