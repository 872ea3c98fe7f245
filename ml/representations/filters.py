"""Gaussian filter of images."""

from __future__ import annotations

import numba
import numpy as np

from oddjet.typing import Floats

__all__ = ["TRUNCATE", "blur", "gaussian_weights"]


TRUNCATE = 4.0
"""Where the Gaussian is cut off, in units of σ; the default of `scipy.ndimage.gaussian_filter`."""


def gaussian_weights(sigma: float, *, truncate: float = TRUNCATE) -> Floats:
    """Weights of a one-dimensional Gaussian filter.

    Args:
        sigma: Width in pixels, positive.
        truncate: The filter reaches int(truncate · σ + ½) pixels to each side.

    Returns:
        Weights that sum to 1, shape (2 · reach + 1,).

    >>> gaussian_weights(0.5).round(4).tolist()
    [0.0003, 0.1065, 0.7866, 0.1065, 0.0003]
    """
    reach = int(truncate * sigma + 0.5)
    distance = np.arange(-reach, reach + 1)
    weights = np.exp(-0.5 * (distance / sigma) ** 2)
    return np.asarray(weights / weights.sum())


def blur(images: Floats, sigma: float, *, truncate: float = TRUNCATE) -> None:
    """Filter images (n, height, width), C-contiguous, in place (scipy's mode "constant").

    What would leave an image is lost: normalise again afterwards.

    0 pixels of `sigma` leave the images as they are.
    """
    if sigma > 0:
        _blur(images, gaussian_weights(sigma, truncate=truncate))


@numba.njit(cache=True, nogil=True, fastmath={"contract"})
def _blur(images, weights):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    n, height, width = images.shape
    reach = weights.size // 2
    turned = np.empty((width, height))
    for image in range(n):
        # Down the columns, stored transposed; then the same once more: the inner loops are whole
        # rows, which the compiler vectorises.
        line = np.empty(width)
        for row in range(height):
            line[:] = 0.0
            for other in range(max(0, row - reach), min(height, row + reach + 1)):
                weight = weights[other - row + reach]
                for column in range(width):
                    line[column] += weight * images[image, other, column]
            for column in range(width):
                turned[column, row] = line[column]
        line = np.empty(height)
        for column in range(width):
            line[:] = 0.0
            for other in range(max(0, column - reach), min(width, column + reach + 1)):
                weight = weights[other - column + reach]
                for row in range(height):
                    line[row] += weight * turned[other, row]
            for row in range(height):
                images[image, row, column] = line[row]
