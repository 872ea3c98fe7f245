"""The nearest object in (η, φ)."""

from __future__ import annotations

import math

import numba
import numpy as np

from oddjet.datasets.kinematics.compiled import delta_phi
from oddjet.processors.events.objects import Objects
from oddjet.typing import Floats, Ints

__all__ = ["find_nearest"]


def find_nearest(objects: Objects, targets: Objects) -> tuple[Ints, Floats]:
    """Find the target nearest to each object in its event: ΔR² = Δη² + Δφ², φ wrapped, in float64.

    Gives for each object the target's place among all targets (the first one of equals), −1 in an
    event without targets, and ΔR to it, infinite without.
    """
    index = np.full(len(objects), -1, np.int64)
    delta_r = np.full(len(objects), np.inf)
    _find_nearest(
        objects.offsets,
        objects["eta"],
        objects["phi"],
        targets.offsets,
        targets["eta"],
        targets["phi"],
        index,
        delta_r,
    )
    return index, delta_r


@numba.njit(cache=True, nogil=True)
def delta_r_squared(eta1: float, phi1: float, eta2: float, phi2: float) -> float:
    """ΔR² with Δφ wrapped into [−π, π]."""
    return (eta1 - eta2) ** 2 + delta_phi(phi1, phi2) ** 2


@numba.njit(cache=True, nogil=True)
def _find_nearest(
    offsets: Ints,
    eta: Floats,
    phi: Floats,
    target_offsets: Ints,
    target_eta: Floats,
    target_phi: Floats,
    index: Ints,
    delta_r: Floats,
) -> None:
    for event in range(len(offsets) - 1):
        for i in range(offsets[event], offsets[event + 1]):
            best = np.inf
            for j in range(target_offsets[event], target_offsets[event + 1]):
                distance = delta_r_squared(
                    np.float64(eta[i]),
                    np.float64(phi[i]),
                    np.float64(target_eta[j]),
                    np.float64(target_phi[j]),
                )
                if distance < best:
                    best = distance
                    index[i] = j
            delta_r[i] = math.sqrt(best)
