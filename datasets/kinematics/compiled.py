"""Azimuths and four-momenta for compiled kernels: apart, since numba takes its time to import."""

from __future__ import annotations

import math

import numba
import numpy as np

__all__ = ["delta_phi", "four_momenta", "wrap_azimuth"]


@numba.njit(cache=True, nogil=True)
def wrap_azimuth(phi: float) -> float:  # pragma: no cover - compiled
    """Wrap an azimuth into [−π, π); one that is in range stays exactly as it is."""
    if -math.pi <= phi < math.pi:
        return phi
    return phi - 2 * math.pi * math.floor((phi + math.pi) / (2 * math.pi))


@numba.njit(cache=True, nogil=True)
def delta_phi(phi1: float, phi2: float) -> float:  # pragma: no cover - compiled
    """Distance of two azimuths, in [0, π]."""
    distance = abs(phi1 - phi2)
    if distance > math.pi:
        distance = abs(distance - 2 * math.pi * math.floor(distance / (2 * math.pi) + 0.5))
    return distance


@numba.njit(cache=True, nogil=True)
def four_momenta(pt, eta, phi, mass):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Turn collider coordinates into (px, py, pz, E), shape (n, 4), with the functions of libm.

    Numpy's own have other last digits on other machines, and which pair of particles is nearest
    must not depend on them.
    """
    momenta = np.empty((pt.size, 4))
    for k in range(pt.size):
        momenta[k, 0] = pt[k] * math.cos(phi[k])
        momenta[k, 1] = pt[k] * math.sin(phi[k])
        momenta[k, 2] = pt[k] * math.sinh(eta[k])
        momenta[k, 3] = math.sqrt((pt[k] * math.cosh(eta[k])) ** 2 + mass[k] ** 2)
    return momenta
