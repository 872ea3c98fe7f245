"""Designed decorrelated tagger: the profile of the score in ρ and pt is taken off."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from oddjet.constraints import Interval, OneOf, constrained
from oddjet.ml.decorrelation.base import Decorrelation
from oddjet.ml.decorrelation.profile import Profile
from oddjet.typing import Floats

__all__ = ["DDT", "rho"]


LEAST_MASS = 1.0
"""Lighter jets [GeV] count as this heavy: groomed jets can have mass 0, where ρ is −∞."""


def rho(mass: npt.ArrayLike, pt: npt.ArrayLike) -> Floats:
    """Give the scaling variable ρ = ln(m²/pt²) of jets [GeV], (n,), m at least `LEAST_MASS`."""
    heavy = np.maximum(np.asarray(mass, dtype=np.float64), LEAST_MASS)
    return np.asarray(2 * np.log(heavy / np.asarray(pt, dtype=np.float64)))


@dataclass(eq=False, kw_only=True)
class DDT(Decorrelation):
    """Shifts the score by its mean profile in ρ = ln(m²/pt²) and pt, and divides by its spread.

    It makes the profile flat, not every working point: where the shape of the score's distribution
    changes with mass beyond its mean and spread, tight cuts stay uneven. The original shifts τ₂₁ by
    a straight line in ρ; a spline takes its place here, for scores need not be linear in ρ.

    Attributes:
        scale: Divide by the spread too; False is the shift of the reference alone.
        knots: Most intervals of the spline in ρ.

    References:
        arXiv:1603.00027.
    """

    scale: bool = constrained(True, OneOf(False, True))
    knots: int = constrained(8, Interval(int, 1))

    def _fit(self, z: Floats, mass: Floats, pt: Floats, weights: Floats) -> None:
        self._profile = Profile.fit(
            z, rho(mass, pt), np.log(pt), weights, n_knots=self.knots, scale=self.scale
        )

    def _normalised(self, z: Floats, mass: Floats, pt: Floats) -> Floats:
        return self._profile.remove(z, rho(mass, pt), np.log(pt))

    def _scores_at(self, values: Floats, mass: Floats, pt: Floats) -> Floats:
        return self._profile.restore(values, rho(mass, pt), np.log(pt))

    def _arrays(self) -> dict[str, npt.NDArray[Any]]:
        return dict(self._profile.arrays())

    def _restore(self, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        self._profile = Profile.restored(arrays)
