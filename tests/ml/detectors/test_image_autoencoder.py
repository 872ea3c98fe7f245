from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest
from scipy.special import rel_entr

from oddjet.datasets.jets import Jets
from oddjet.errors import DetectorError
from oddjet.ml.detectors.hyper_parameters import represented_by
from oddjet.ml.detectors.image_autoencoder import (
    ImageAutoencoder,
    kl_divergence,
    mean_squared_error,
)
from oddjet.ml.networks.keras_models import import_keras
from oddjet.ml.representations.image_mass import image_mass
from oddjet.ml.representations.jet_image import JetImage


@dataclass(kw_only=True, eq=False)
class OneLayer(ImageAutoencoder):
    """Linear, so that some pixels come out negative, and in batches that do not go into 400."""

    scoring_batch: ClassVar[int] = 64

    epochs: int = 3
    batch_size: int = 64
    learning_rate: float = 3e-3
    patience: int = 3
    checkpoint_every: int = 0
    representation: JetImage = represented_by(JetImage, lambda: JetImage(pixels=4))

    def _build(self, seeds: Iterator[int]) -> Any:
        _, keras = import_keras()
        weights = keras.initializers.RandomNormal(stddev=0.05, seed=next(seeds))
        image = keras.layers.Input((4, 4, 1))
        pixels = keras.layers.Dense(16, kernel_initializer=weights)(keras.layers.Flatten()(image))
        return keras.Model(image, keras.layers.Reshape((4, 4, 1))(pixels))


@pytest.fixture(scope="module")
def trained(background: Jets) -> OneLayer:
    return OneLayer().fit(background, seed=1)


def test_mean_squared_error() -> None:
    images = np.zeros((2, 2, 2, 1))
    outputs = np.array([[1.0, 2.0, 0.0, 0.0], [0.0, 0.0, 0.0, 4.0]]).reshape(2, 2, 2, 1)
    np.testing.assert_allclose(mean_squared_error(images, outputs), [5 / 4, 4.0])


def test_kl_divergence_is_scipy_s_after_clipping_and_normalising() -> None:
    rng = np.random.default_rng(1)
    images = rng.dirichlet(np.full(16, 0.3), 20)
    images[:, :4] = 0
    images /= images.sum(axis=1, keepdims=True)
    outputs = rng.normal(0.1, 0.2, (20, 16))
    clipped = np.clip(outputs, 1e-7, None)
    expected = rel_entr(images, clipped / clipped.sum(axis=1, keepdims=True)).sum(axis=1)
    shape = (20, 4, 4, 1)
    np.testing.assert_allclose(
        kl_divergence(images.reshape(shape), outputs.reshape(shape)), expected
    )
    np.testing.assert_allclose(kl_divergence(images, 3 * images), 0.0, atol=1e-5)
    assert kl_divergence(np.zeros((1, 4)), np.zeros((1, 4))) == [0.0]


def test_masses_are_those_of_image_and_clipped_reconstruction(
    trained: OneLayer, signal: Jets
) -> None:
    images, outputs = trained.representation(signal), trained.reconstruct(signal)
    assert outputs.min() < 0
    before, after = trained.reconstruct_masses(signal)
    pt = np.asarray(signal.pt)
    np.testing.assert_allclose(before, image_mass(images, pt, half_width=0.8), rtol=1e-5)
    clipped = np.clip(outputs, 0, None)
    np.testing.assert_allclose(after, image_mass(clipped, pt, half_width=0.8), rtol=1e-4)
    assert [len(masses) for masses in trained.reconstruct_masses(signal[:0])] == [0, 0]


@pytest.mark.parametrize("method", ["reconstruct", "reconstruct_masses"])
def test_an_untrained_one_reconstructs_nothing(method: str, signal: Jets) -> None:
    with pytest.raises(DetectorError, match=f"{method} needs a trained"):
        getattr(OneLayer(), method)(signal)
