"""Jet images: the transverse momentum of the constituents on a grid around the jet axis.

References:
    D. Khanal, Anomalous Jet Detection using Unsupervised Learning (2023), section 4, table 1.
"""

from __future__ import annotations

import dataclasses
import math
from concurrent.futures import ThreadPoolExecutor
from typing import ClassVar

import awkward as ak
import numba
import numpy as np
import numpy.typing as npt

from oddjet.datasets.jets import Jets
from oddjet.errors import ConfigError, NonFiniteError
from oddjet.ml.representations.base import Representation

__all__ = ["JetImage"]

Floats = npt.NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class JetImage(Representation):
    """Square image of a jet in (Δη, Δφ) around its axis; each image sums to 1.

    The axis is `jets.eta`, `jets.phi`; Δφ is wrapped into [−π, π). A pixel holds the summed pt of
    the constituents inside, divided by the sum over the image. The pixels are half-open, [lo, hi),
    with the edges `numpy.linspace(-half_width, half_width, pixels + 1)`: a constituent exactly on
    the upper border is outside. A jet without constituents inside stays all zero.

    Rows (axis 1 of the result) run along Δη, columns (axis 2) along Δφ, both upwards.

    Attributes:
        pixels: Pixels along each side.
        half_width: Half the side in Δη and Δφ; 0.8 covers an AK8 jet, 0.4 an AK4 jet.

    References:
        D. Khanal (2023), table 1: ±0.8 in steps of 0.05, intensities sum to 1.

    >>> JetImage().shape
    (32, 32, 1)
    """

    version: ClassVar[int] = 1

    pixels: int = 32
    half_width: float = 0.8

    def __post_init__(self) -> None:
        if isinstance(self.pixels, bool) or not isinstance(self.pixels, int) or self.pixels < 1:
            msg = f"JetImage: pixels must be a positive integer. Received: {self.pixels!r}."
            raise ConfigError(msg)
        if not 0 < self.half_width <= math.pi:
            msg = f"JetImage: half_width must be in (0, π]. Received: {self.half_width!r}."
            raise ConfigError(msg)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of one image: (pixels, pixels, 1)."""
        return (self.pixels, self.pixels, 1)

    @property
    def edges(self) -> Floats:
        """Edges of the pixels in Δη and in Δφ, shape (pixels + 1,)."""
        return np.linspace(-self.half_width, self.half_width, self.pixels + 1)

    def __call__(self, jets: Jets, *, threads: int = 1) -> npt.NDArray[np.float32]:
        """Draw the images.

        Args:
            jets: n jets: `eta`, `phi` and `constituents: var * {pt [GeV], eta, phi}`.
            threads: Threads to share the jets among; the result does not depend on it.

        Returns:
            Images, float32, shape (n, pixels, pixels, 1); computed in float64.

        Raises:
            NonFiniteError: If an axis or a constituent has a NaN or an infinity.
        """
        images = np.zeros((len(jets), self.pixels, self.pixels), dtype=np.float32)
        if len(jets) == 0:
            return images[..., np.newaxis]
        constituents = jets["constituents"]
        counts = np.asarray(ak.num(constituents["pt"], axis=1), dtype=np.int64)
        offsets = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(counts)])
        pt, eta, phi = (
            np.asarray(ak.flatten(constituents[name], axis=1), dtype=np.float64)
            for name in ("pt", "eta", "phi")
        )
        axis_eta, axis_phi = (np.asarray(jets[name], dtype=np.float64) for name in ("eta", "phi"))
        borders = np.linspace(0, len(jets), max(1, threads) + 1, dtype=np.int64)

        def draw(part: int) -> int:
            rows = slice(borders[part], borders[part + 1])
            kernel = _draw_images
            return int(
                kernel(
                    pt,
                    eta,
                    phi,
                    offsets[borders[part] : borders[part + 1] + 1],
                    axis_eta[rows],
                    axis_phi[rows],
                    self.edges,
                    images[rows],
                )
            )

        if threads <= 1:
            bad = draw(0)
        else:
            with ThreadPoolExecutor(threads) as pool:
                bad = sum(pool.map(draw, range(threads)))
        if bad:
            msg = (
                f"JetImage: {bad} of {len(jets)} jets have a NaN or infinity in their axis or in a "
                f"constituent's pt, eta or phi. Drop them before making images."
            )
            raise NonFiniteError(msg)
        return images[..., np.newaxis]  # (n, pixels, pixels, 1)


@numba.njit(cache=True, nogil=True)
def _pixel_of(x: float, edges: Floats, per_width: float) -> int:
    """Return the bin i with edges[i] <= x < edges[i + 1], or -1 outside."""
    last = edges.size - 1
    if not (edges[0] <= x < edges[last]):
        return -1
    i = min(int((x - edges[0]) * per_width), last - 1)
    # The division can be off by one at an edge; the edges themselves decide.
    while x < edges[i]:
        i -= 1
    while x >= edges[i + 1]:
        i += 1
    return i


@numba.njit(cache=True, nogil=True)
def _draw_images(
    pt: Floats,
    eta: Floats,
    phi: Floats,
    offsets: npt.NDArray[np.int64],
    axis_eta: Floats,
    axis_phi: Floats,
    edges: Floats,
    images: npt.NDArray[np.float32],
) -> int:
    """Fill images (n, pixels, pixels) in place; return how many jets were not finite."""
    pixels = edges.size - 1
    per_width = pixels / (edges[pixels] - edges[0])
    canvas = np.zeros((pixels, pixels))
    bad = 0
    for jet in range(axis_eta.size):
        canvas[:] = 0.0
        total = 0.0
        finite = True
        for k in range(offsets[jet], offsets[jet + 1]):
            delta_eta = eta[k] - axis_eta[jet]
            delta_phi = phi[k] - axis_phi[jet]
            if not (math.isfinite(pt[k]) and math.isfinite(delta_eta) and math.isfinite(delta_phi)):
                finite = False
                break
            if not (-math.pi <= delta_phi < math.pi):
                delta_phi -= 2 * math.pi * math.floor((delta_phi + math.pi) / (2 * math.pi))
            row = _pixel_of(delta_eta, edges, per_width)
            column = _pixel_of(delta_phi, edges, per_width)
            if row >= 0 and column >= 0:
                canvas[row, column] += pt[k]
                total += pt[k]
        if not finite:
            bad += 1
        elif total > 0.0:
            for row in range(pixels):
                for column in range(pixels):
                    images[jet, row, column] = canvas[row, column] / total
    return bad
