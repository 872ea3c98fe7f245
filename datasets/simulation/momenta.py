"""Flat four-momenta of many events, and the sums and angles the simulation needs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from oddjet.typing import Floats, Ints

__all__ = ["Momenta", "from_pt_eta_phi_mass"]


@dataclass(frozen=True)
class Momenta:
    """Four-momenta of many events, flat and in the order of the events.

    Attributes:
        event: The event each belongs to, not decreasing, shape (n,).
        px, py, pz, e: Momentum and energy, GeV, shape (n,).
    """

    event: Ints
    px: Floats
    py: Floats
    pz: Floats
    e: Floats

    @property
    def components(self) -> tuple[Floats, Floats, Floats, Floats]:
        """Give px, py, pz and e."""
        return self.px, self.py, self.pz, self.e

    def __len__(self) -> int:
        return len(self.event)

    def __getitem__(self, where: npt.NDArray[np.bool_] | Ints) -> Momenta:
        return Momenta(
            self.event[where], self.px[where], self.py[where], self.pz[where], self.e[where]
        )

    @property
    def pt(self) -> Floats:
        """Transverse momentum, GeV."""
        return np.hypot(self.px, self.py)

    @property
    def eta(self) -> Floats:
        """Pseudorapidity; ±inf-free: something along the beam gets about ±1e10's asinh."""
        return np.arcsinh(self.pz / np.maximum(self.pt, 1e-10))

    @property
    def phi(self) -> Floats:
        """Azimuth in [-π, π]."""
        return np.arctan2(self.py, self.px)

    @property
    def mass(self) -> Floats:
        """Invariant mass, GeV; 0 where rounding makes its square negative."""
        squared = self.e**2 - self.px**2 - self.py**2 - self.pz**2
        return np.sqrt(np.maximum(squared, 0.0))

    def counts(self, n_events: int) -> Ints:
        """How many each event has, shape (n_events,)."""
        return np.bincount(self.event, minlength=n_events)


def from_pt_eta_phi_mass(
    event: Ints, pt: Floats, eta: Floats, phi: Floats, mass: Floats
) -> Momenta:
    """Build momenta from collider coordinates [GeV, radians] and each one's event, shape (n,) all."""
    pz = pt * np.sinh(eta)
    energy = np.sqrt((pt * np.cosh(eta)) ** 2 + mass**2)
    return Momenta(event, pt * np.cos(phi), pt * np.sin(phi), pz, energy)
