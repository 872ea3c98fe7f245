"""The mass of a jet image: what its pixels, taken as massless particles, weigh together."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from oddjet.errors import InputError

__all__ = ["image_mass"]


def image_mass(
    images: npt.NDArray[np.floating[Any]], pt: npt.ArrayLike, *, half_width: float
) -> npt.NDArray[np.float64]:
    """Give the mass (n,) [GeV] of the massless pixels of images of jets of pt (n,) [GeV].

    A pixel has the share of the jet's pt that it has of the image's sum, and stands at its centre.
    Two pixels i and j give m² = 2 pt_i pt_j (cosh Δη_ij − cos Δφ_ij), so shifting or mirroring an
    image changes nothing. Turning it does, since η and φ are no plane: two pixels R apart are
    heavier along η, and lighter along φ, than pt_i pt_j R² says, by R²/24, which is 3 % at R = 0.8.
    Particles outside the image, masses of particles, and what a power or a filter did to the
    pixels are beyond it.

    Images (n, pixels, pixels) or (n, pixels, pixels, 1), axis 1 along Δη, as `JetImage` draws them,
    are not negative, of any sum; one that is all zero has 0. `half_width` is half their side in Δη
    and Δφ.

    Raises:
        InputError: If a pixel is negative or NaN, the images are not square, or there is not one
            pt an image.

    >>> image = np.zeros((1, 2, 2))
    >>> image[0, 0, 0] = image[0, 0, 1] = 1.0  # 0.8 apart in φ
    >>> round(float(image_mass(image, [100.0], half_width=0.8)[0]), 3)  # 100 sin(0.4)
    38.942
    """
    momenta = np.asarray(pt, dtype=np.float64)
    if images.ndim not in (3, 4) or images.shape[1] != images.shape[2] or images.shape[3:] > (1,):
        msg = f"image_mass: expected images of shape (n, p, p[, 1]). Received: {images.shape}."
        raise InputError(msg)
    if momenta.shape != (len(images),):
        msg = f"image_mass: expected {len(images)} pt, one an image. Received: {momenta.shape}."
        raise InputError(msg)
    if not np.all(images >= 0):
        msg = "image_mass: a pixel is negative or NaN; clip reconstructions below at 0 first."
        raise InputError(msg)
    light_cone = _pixel_momenta(images.shape[1], half_width)
    flat = images.reshape(len(images), len(light_cone)).astype(np.float64)  # (n, pixels²)
    total = flat.sum(axis=1)
    shares = np.divide(momenta, total, out=np.zeros_like(total), where=total > 0)
    plus, minus, px, py = (flat @ light_cone).T * shares  # each (n,)
    return np.asarray(np.sqrt(np.maximum(plus * minus - px**2 - py**2, 0.0)))


def _pixel_momenta(pixels: int, half_width: float) -> npt.NDArray[np.float64]:
    """E + pz, E − pz, px, py of a massless particle of pt 1 in each pixel, shape (pixels², 4).

    The sums E ± pz keep the digits that E² − pz² of a light jet would lose.
    """
    edges = np.linspace(-half_width, half_width, pixels + 1)
    centres = (edges[1:] + edges[:-1]) / 2
    eta, phi = (axis.ravel() for axis in np.meshgrid(centres, centres, indexing="ij"))
    return np.stack([np.exp(eta), np.exp(-eta), np.cos(phi), np.sin(phi)], axis=1)
