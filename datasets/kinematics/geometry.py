"""Azimuths, distances and four-momenta as arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from oddjet.typing import Floats, Ints

__all__ = [
    "cartesian",
    "collider",
    "delta_r",
    "mass_of",
    "sum_momenta",
    "wrap_phi",
]


def wrap_phi(phi: Any) -> Any:
    """Wrap azimuths or their differences [radians] into [−π, π).

    Values that were in range change by their rounding.
    """
    return (phi + np.pi) % (2 * np.pi) - np.pi


def delta_r(delta_eta: Any, delta_phi: Any) -> Any:
    """Give √(Δη² + Δφ²), with Δφ wrapped: arrays of one shape, of any kind."""
    return np.hypot(delta_eta, wrap_phi(delta_phi))


def cartesian(
    pt: Floats, eta: Floats, phi: Floats, mass: Floats
) -> tuple[Floats, Floats, Floats, Floats]:
    """Turn collider coordinates [GeV, radians] into px, py, pz and E [GeV], all of one shape."""
    pz = pt * np.sinh(eta)
    return pt * np.cos(phi), pt * np.sin(phi), pz, np.sqrt(pt**2 + pz**2 + mass**2)


def collider(
    px: Floats, py: Floats, pz: Floats, e: Floats, *, rounding: float = 0.0
) -> dict[str, Floats]:
    """Turn four-momenta (n,) [GeV] into `pt`, `eta`, `phi` and `mass`, (n,) each; η is 0 without pt.

    A squared mass below the part `rounding` of E² becomes 0.
    """
    pt = np.hypot(px, py)
    # (E − pz)(E + pz) − pt² loses fewer digits than E² − p² for forward momenta.
    squared = (e - pz) * (e + pz) - pt**2
    return {
        "pt": pt,
        "eta": np.arcsinh(np.divide(pz, pt, out=np.zeros_like(pz), where=pt > 0)),
        "phi": np.arctan2(py, px),
        "mass": np.sqrt(np.where(squared > rounding * e**2, squared, 0.0)),
    }


def mass_of(px: Floats, py: Floats, pz: Floats, e: Floats) -> Floats:
    """Mass of four-momenta [GeV], all of one shape; 0 where rounding makes its square negative.

    Most digits are kept if z is the axis along which the momenta are largest.
    """
    return np.asarray(np.sqrt(np.maximum((e - pz) * (e + pz) - px**2 - py**2, 0.0)))


def sum_momenta(
    momenta: tuple[Floats, Floats, Floats, Floats], counts: Ints
) -> tuple[Floats, Floats, Floats, Floats]:
    """Sum px, py, pz and E of particles, (n_particles,) each, over jets: (n_jets,) each."""
    jet = np.repeat(np.arange(len(counts)), counts)
    px, py, pz, e = (
        np.bincount(jet, weights=component, minlength=len(counts)).astype(np.float64)
        for component in momenta
    )
    return px, py, pz, e
