"""Centre, rotate and flip the constituents of jets in the (Δη, Δφ) plane.

Δη is drawn to the right and Δφ upwards, so "upright" is along Δφ and "upper right" is where both are
positive.
"""

from __future__ import annotations

import math
from typing import Literal

import numba
import numpy as np

from oddjet.datasets.kinematics.compiled import wrap_azimuth
from oddjet.ml.representations.batches import FlatJets
from oddjet.typing import Floats

__all__ = ["CENTRES", "Centre", "orient"]


Centre = Literal["axis", "centroid"]
CENTRES: tuple[str, ...] = ("axis", "centroid")


def orient(
    jets: FlatJets, *, centre: Centre = "axis", rotate: bool = False, flip: bool = False
) -> tuple[Floats, Floats]:
    """Move n_constituents constituents of n jets to their standard place, in this order.

    1. Centre: the origin is the jet axis, or the pt-weighted mean ("centroid") of Δη and Δφ. Δφ is
       wrapped into [−π, π) about the axis, and again about the centroid.
    2. Rotate about the origin, so that the principal axis of the pt-weighted covariance is along Δφ
       ("upright") and the upper half has at least the pt of the lower one. A jet without a principal
       axis, for instance one of a single constituent, is not turned.
    3. Flip left and right, up and down, so that the quadrant with most pt is the upper right one.
       Zero counts as right and as up; between equal quadrants the fewest flips win.

    All constituents of the jet count in each step, also those outside an image.

    Gives coordinates to the right (Δη if nothing is turned) and upwards (Δφ), (n_constituents,)
    each.
    """
    right, up = np.empty_like(jets.pt), np.empty_like(jets.pt)
    particles, axes = (jets.pt, jets.eta, jets.phi), (jets.axis_eta, jets.axis_phi)
    _centre(particles, jets.offsets, axes, centre == "centroid", right, up)
    if rotate:
        _rotate(jets.pt, jets.offsets, right, up)
    if flip:
        _flip(jets.pt, jets.offsets, right, up)
    return right, up


@numba.njit(cache=True, nogil=True)
def _centre(particles, offsets, axes, centroid, right, up):  # type: ignore[no-untyped-def]  # pragma: no cover
    (pt, eta, phi), (axis_eta, axis_phi) = particles, axes
    for jet in range(axis_eta.size):
        total, mean_right, mean_up = 0.0, 0.0, 0.0
        for k in range(offsets[jet], offsets[jet + 1]):
            right[k] = eta[k] - axis_eta[jet]
            up[k] = wrap_azimuth(phi[k] - axis_phi[jet])
            total += pt[k]
            mean_right += pt[k] * right[k]
            mean_up += pt[k] * up[k]
        if centroid and total > 0.0:
            mean_right /= total
            mean_up /= total
            for k in range(offsets[jet], offsets[jet + 1]):
                right[k] -= mean_right
                up[k] = wrap_azimuth(up[k] - mean_up)


@numba.njit(cache=True, nogil=True)
def _rotate(pt, offsets, right, up):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    for jet in range(offsets.size - 1):
        total, mean_right, mean_up = 0.0, 0.0, 0.0
        for k in range(offsets[jet], offsets[jet + 1]):
            total += pt[k]
            mean_right += pt[k] * right[k]
            mean_up += pt[k] * up[k]
        if total <= 0.0:
            continue
        mean_right /= total
        mean_up /= total
        difference, cross = 0.0, 0.0  # of the variances; twice the covariance
        for k in range(offsets[jet], offsets[jet + 1]):
            a, b = right[k] - mean_right, up[k] - mean_up
            difference += pt[k] * (a * a - b * b)
            cross += 2.0 * pt[k] * a * b
        if difference == 0.0 and cross == 0.0:
            continue
        angle = 0.5 * math.atan2(cross, difference)  # of the principal axis, from Δη
        sine, cosine = math.sin(angle), math.cos(angle)
        balance = 0.0
        for k in range(offsets[jet], offsets[jet + 1]):
            a, b = right[k], up[k]
            right[k] = a * sine - b * cosine
            up[k] = a * cosine + b * sine
            if up[k] > 0.0:
                balance += pt[k]
            elif up[k] < 0.0:
                balance -= pt[k]
        if balance < 0.0:
            for k in range(offsets[jet], offsets[jet + 1]):
                right[k] = -right[k]
                up[k] = -up[k]


@numba.njit(cache=True, nogil=True)
def _flip(pt, offsets, right, up):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    quadrant = np.empty(4)  # upper right, upper left, lower right, lower left
    for jet in range(offsets.size - 1):
        quadrant[:] = 0.0
        for k in range(offsets[jet], offsets[jet + 1]):
            quadrant[2 * (up[k] < 0.0) + (right[k] < 0.0)] += pt[k]
        best = 0
        for q in range(1, 4):
            if quadrant[q] > quadrant[best]:
                best = q
        for k in range(offsets[jet], offsets[jet + 1]):
            if best % 2 == 1:
                right[k] = -right[k]
            if best >= 2:
                up[k] = -up[k]
