"""Jet images: the transverse momentum of the constituents on a grid around the jet axis.

References:
    D. Khanal, Anomalous Jet Detection using Unsupervised Learning (2023), section 4, table 1.
    Ene, Anomalies in Hadronic Resonances using Autoencoders: "Jet images".
    T. Buss et al., What's Anomalous in LHC Jets?, arXiv:2202.00686, sections 2 and 3.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from typing import Any, ClassVar

import numba
import numpy as np
import numpy.typing as npt

from oddjet.constraints import Interval, OneOf, constrained
from oddjet.datasets.jets import Jets
from oddjet.datasets.kinematics.compiled import wrap_azimuth
from oddjet.errors import ConfigError
from oddjet.ml.representations.base import Representation
from oddjet.ml.representations.batches import FlatJets, flat_batches, over_jets
from oddjet.ml.representations.filters import blur
from oddjet.ml.representations.orient import CENTRES, Centre, orient
from oddjet.typing import Floats

__all__ = ["JetImage"]


_GRID = ("pixels", "half_width")
_BLOCK = 256
"""Images kept in float64 at a time for power and filter: 3 MB of 40 × 40 pixels."""


@dataclasses.dataclass(frozen=True)
class JetImage(Representation):
    """Square image of a jet in (Δη, Δφ); each image sums to 1.

    The steps, in this order; without arguments only 1, 4 and 5 are done:

    1. centre on the jet axis (`jets.eta`, `jets.phi`) or on the pt centroid; Δφ is wrapped;
    2. `rotate`: turn the principal axis of the pt upright, along Δφ;
    3. `flip`: mirror so that the hardest quadrant is the upper right one (Δη, Δφ > 0);
    4. pixelate: a pixel is the summed pt of the constituents inside;
    5. divide by the sum over the image;
    6. raise each pixel to `power`;
    7. filter with a Gaussian of `sigma` pixels, cut off at 4 σ, nothing outside the image;
    8. divide by the sum again, if 6 or 7 was done.

    Steps 1 to 3 are `oddjet.ml.representations.orient.orient`, over all constituents. The pixels are
    half-open, [lo, hi), with the edges `numpy.linspace(-half_width, half_width, pixels + 1)`: a
    constituent exactly on the upper border is outside. A jet without constituents inside stays all
    zero.

    Rows (axis 1 of the result) run along Δη, columns (axis 2) along Δφ, both upwards.

    Attributes:
        half_width: Half the side in Δη and Δφ; 0.8 covers an AK8 jet, 0.4 an AK4 jet.
        centre: "axis" or "centroid".
        power: n in pixel → pixelⁿ; below 1 it brings up the dim pixels.
        sigma: Width of the filter in pixels; 0 is no filter.

    References:
        D. Khanal (2023), table 1: ±0.8 in steps of 0.05, intensities sum to 1.
        Ene: 40 × 40, centred on the centroid, rotated, flipped. arXiv:2202.00686, section 2: the
        same, then a power and a Gaussian filter.

    >>> JetImage().shape
    (32, 32, 1)
    >>> JetImage.buss(power=0.5, sigma=1.0).shape
    (40, 40, 1)
    """

    version: ClassVar[int] = 1

    pixels: int = constrained(32, Interval(int, 1, 512, closed="both"))
    half_width: float = constrained(0.8, Interval(float, 0, math.pi, closed="right"))
    centre: Centre = constrained("axis", OneOf(*CENTRES))
    rotate: bool = constrained(False, OneOf(False, True))
    flip: bool = constrained(False, OneOf(False, True))
    power: float = constrained(1.0, Interval(float, 0, closed="neither"))
    sigma: float = constrained(0.0, Interval(float, 0))

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.sigma > self.pixels:
            msg = f"JetImage: sigma must be at most {self.pixels} pixels. Received: {self.sigma!r}."
            raise ConfigError(msg)

    @classmethod
    def khanal(cls) -> JetImage:
        """Return Khanal's image: 32 × 32 around the jet axis."""
        return cls()

    @classmethod
    def ene(cls) -> JetImage:
        """Return Ene's image: 40 × 40, centred on the centroid, rotated and flipped."""
        return cls(pixels=40, centre="centroid", rotate=True, flip=True)

    @classmethod
    def buss(cls, *, power: float = 1.0, sigma: float = 0.0) -> JetImage:
        """Return Buss et al.'s image: Ene's with a power and a Gaussian filter of `sigma` pixels.

        The document has powers 1, 1/2, 1/4 and 0.1, and filters of 0.5 to 3.
        """
        return dataclasses.replace(cls.ene(), power=power, sigma=sigma)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of one image: (pixels, pixels, 1)."""
        return (self.pixels, self.pixels, 1)

    @property
    def edges(self) -> Floats:
        """Edges of the pixels in Δη and in Δφ, shape (pixels + 1,)."""
        return np.linspace(-self.half_width, self.half_width, self.pixels + 1)

    def identity(self) -> dict[str, Any]:
        """Describe in JSON types which image this is; steps that are not done are left out."""
        identity = super().identity()
        off = {field.name: field.default for field in dataclasses.fields(self)}
        identity["fields"] = {
            name: value
            for name, value in identity["fields"].items()
            if name in _GRID or value != off[name]
        }
        return identity

    def __call__(self, jets: Jets, *, threads: int = 1) -> npt.NDArray[np.float32]:
        """Draw n images, float32, shape (n, pixels, pixels, 1); computed in float64.

        Raises:
            NonFiniteError: If an axis or a constituent is not finite.
        """
        images = np.zeros((len(jets), self.pixels, self.pixels), dtype=np.float32)
        over_jets(
            jets,
            lambda part, rows: self._draw(part, images[rows]),
            label="JetImage",
            threads=threads,
        )
        return images[..., np.newaxis]  # (n, pixels, pixels, 1)

    def blocks(self, jets: Jets, size: int) -> Iterator[npt.NDArray[np.float32]]:
        """Draw the images block by block into the same memory: use one before asking for the next.

        Raises:
            NonFiniteError: If an axis or a constituent has a NaN or an infinity.
        """
        if type(self).__call__ is not JetImage.__call__:  # a subclass that draws otherwise
            yield from super().blocks(jets, size)
            return
        canvas = np.empty((min(size, len(jets)), self.pixels, self.pixels), dtype=np.float32)
        for _, flat in flat_batches(jets, label="JetImage"):
            for start in range(0, len(flat), size):
                part = flat.part(start, min(start + size, len(flat)))
                images = canvas[: len(part)]
                images.fill(0.0)
                self._draw(part, images)
                yield images[..., np.newaxis]

    def _draw(self, jets: FlatJets, images: npt.NDArray[np.float32]) -> None:
        """Fill images (n, pixels, pixels) in place."""
        as_is = self.centre == "axis" and not (self.rotate or self.flip)
        if as_is:
            right, up, origin = jets.eta, jets.phi, (jets.axis_eta, jets.axis_phi)
        else:
            right, up = orient(jets, centre=self.centre, rotate=self.rotate, flip=self.flip)
            origin = (np.zeros(len(jets)), np.zeros(len(jets)))

        def pixelate(rows: slice, power: float, canvas: npt.NDArray[Any]) -> None:
            offsets = jets.offsets[rows.start : rows.stop + 1]
            origins = (origin[0][rows], origin[1][rows])
            particles = (jets.pt, right, up)
            _pixelate(particles, offsets, origins, as_is, self.edges, power, canvas)

        if self.power == 1 and self.sigma == 0:
            pixelate(slice(0, len(jets)), 1.0, images)
            return
        for start in range(0, len(jets), _BLOCK):
            rows = slice(start, min(start + _BLOCK, len(jets)))
            fine = np.zeros((rows.stop - start, self.pixels, self.pixels))
            pixelate(rows, float(self.power), fine)
            blur(fine, self.sigma)
            total = fine.sum(axis=(1, 2), keepdims=True)
            images[rows] = np.divide(fine, total, out=fine, where=total > 0)


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
def _pixelate(  # type: ignore[no-untyped-def]
    particles, offsets, origins, wrap, edges, power, images
):  # pragma: no cover - compiled
    """Fill normalised images (n, pixels, pixels), rows along `right`, raised to `power`, in place.

    `wrap`: `up` is an azimuth, and its distance to the origin is to be wrapped.
    """
    (pt, right, up), (origin_right, origin_up) = particles, origins
    pixels = edges.size - 1
    per_width = pixels / (edges[pixels] - edges[0])
    canvas = np.zeros((pixels, pixels))
    for jet in range(offsets.size - 1):
        canvas[:] = 0.0
        total = 0.0
        for k in range(offsets[jet], offsets[jet + 1]):
            a, b = right[k] - origin_right[jet], up[k] - origin_up[jet]
            if wrap:
                b = wrap_azimuth(b)
            row = _pixel_of(a, edges, per_width)
            column = _pixel_of(b, edges, per_width)
            if row >= 0 and column >= 0:
                canvas[row, column] += pt[k]
                total += pt[k]
        if total <= 0.0:
            continue
        for row in range(pixels):
            for column in range(pixels):
                images[jet, row, column] = canvas[row, column] / total
        if power != 1.0:
            for row in range(pixels):
                for column in range(pixels):
                    if canvas[row, column] > 0.0:
                        images[jet, row, column] = images[jet, row, column] ** power
