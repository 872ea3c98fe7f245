from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from oddjet.ml.representations.filters import blur, gaussian_weights


@pytest.mark.parametrize("sigma", [0.2, 0.5, 1.0, 2.0, 3.0, 9.0])
@pytest.mark.parametrize("shape", [(5, 40, 40), (3, 7, 12), (2, 1, 1)])
def test_is_scipys_filter(sigma: float, shape: tuple[int, int, int]) -> None:
    images = np.random.default_rng(1).exponential(1.0, shape) ** 4
    expected = np.array([gaussian_filter(image, sigma, mode="constant") for image in images])
    blur(images, sigma)
    np.testing.assert_allclose(images, expected, rtol=1e-12, atol=1e-15)


def test_truncation_is_scipys() -> None:
    images = np.random.default_rng(2).exponential(1.0, (2, 20, 20))
    expected = np.array(
        [gaussian_filter(image, 2.0, mode="constant", truncate=1.5) for image in images]
    )
    blur(images, 2.0, truncate=1.5)
    np.testing.assert_allclose(images, expected, rtol=1e-12)


def test_no_width_is_no_filter() -> None:
    images = np.random.default_rng(3).exponential(1.0, (2, 9, 9))
    before = images.copy()
    blur(images, 0.0)
    np.testing.assert_array_equal(images, before)


def test_weights_are_a_gaussian_that_sums_to_one() -> None:
    weights = gaussian_weights(2.0)
    assert weights.shape == (17,)
    assert weights.sum() == pytest.approx(1.0)
    assert weights[8] / weights[10] == pytest.approx(np.exp(0.5))
