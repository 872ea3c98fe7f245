"""Smoothed conditional quantiles on a grid of mass and pt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy

from oddjet.constraints import Interval, constrained
from oddjet.ml.decorrelation.base import Decorrelation
from oddjet.ml.decorrelation.profile import Profile
from oddjet.ml.decorrelation.quantiles import (
    SURVIVALS,
    interpolate_survival,
    values_of_survival,
)
from oddjet.typing import Floats

__all__ = ["QuantileMap"]


LEAST_NEIGHBOURS = 100


@dataclass(eq=False, kw_only=True)
class QuantileMap(Decorrelation):
    """Maps the score to its conditional survival, with quantiles from neighbours in mass and pt.

    First the smooth mean and spread over mass and pt are taken off. Then, at each node of a grid
    with equal fractions of the background between its lines, the quantiles of what is left are
    taken from the nearest background jets, weighted by a tricube kernel in the ranks of mass and pt.
    Between nodes the quantiles are interpolated bilinearly, so there are no steps. Neighbours
    lie to one side of a node at the edge; that costs little, for the trend is gone by then.

    Attributes:
        mass_nodes: Lines of the grid in mass.
        pt_nodes: Lines of the grid in pt.
        neighbours: Fraction of the background that a node looks at; at least 100 jets.
        knots: Most intervals of the spline in mass.
    """

    mass_nodes: int = constrained(16, Interval(int, 2))
    pt_nodes: int = constrained(5, Interval(int, 2))
    neighbours: float = constrained(0.15, Interval(float, 0, 1, closed="right"))
    knots: int = constrained(8, Interval(int, 1))

    def _fit(self, z: Floats, mass: Floats, pt: Floats, weights: Floats) -> None:
        self._profile = Profile.fit(z, mass, np.log(pt), weights, n_knots=self.knots, scale=True)
        residual = self._profile.remove(z, mass, np.log(pt))
        self._mass_at = _ranks(mass, weights, self.mass_nodes)
        self._pt_at = _ranks(pt, weights, self.pt_nodes)
        u, v = self._units(mass, pt)
        grid_u, grid_v = np.meshgrid(
            np.arange(len(self._mass_at)) / max(len(self._mass_at) - 1, 1),
            np.arange(len(self._pt_at)) / max(len(self._pt_at) - 1, 1),
            indexing="ij",
        )
        nodes = np.stack([grid_u.ravel(), grid_v.ravel()], axis=1)
        k = min(len(z), max(LEAST_NEIGHBOURS, round(self.neighbours * len(z))))
        distance, near = scipy.spatial.KDTree(np.stack([u, v], axis=1)).query(nodes, k=k)
        reach = distance[:, -1:] * (1 + 1e-9) + 1e-12
        kernel = (1 - np.minimum(distance / reach, 1) ** 3) ** 3 + 1e-9
        quantiles = [
            _quantiles(residual[rows], weights[rows] * kernel_row)
            for rows, kernel_row in zip(near, kernel, strict=True)
        ]
        self._at_nodes = np.stack(quantiles).reshape(*grid_u.shape, len(SURVIVALS))

    def _normalised(self, z: Floats, mass: Floats, pt: Floats) -> Floats:
        residual = self._profile.remove(z, mass, np.log(pt))
        return interpolate_survival(residual, self._interpolated(mass, pt))

    def _scores_at(self, values: Floats, mass: Floats, pt: Floats) -> Floats:
        residual = values_of_survival(values, self._interpolated(mass, pt))
        return self._profile.restore(residual, mass, np.log(pt))

    def _units(self, mass: Floats, pt: Floats) -> tuple[Floats, Floats]:
        """Give ranks from 0 to 1: equal steps between the lines of the grid."""
        u = np.interp(mass, self._mass_at, np.linspace(0, 1, len(self._mass_at)))
        v = np.interp(pt, self._pt_at, np.linspace(0, 1, len(self._pt_at)))
        return u, v

    def _interpolated(self, mass: Floats, pt: Floats) -> Floats:
        u, v = self._units(mass, pt)
        n_u, n_v, _ = self._at_nodes.shape
        x, y = u * (n_u - 1), v * (n_v - 1)
        i = np.clip(x.astype(np.int64), 0, max(n_u - 2, 0))
        j = np.clip(y.astype(np.int64), 0, max(n_v - 2, 0))
        a, b = (x - i)[:, None], (y - j)[:, None]
        i1, j1 = np.minimum(i + 1, n_u - 1), np.minimum(j + 1, n_v - 1)
        low = (1 - b) * self._at_nodes[i, j] + b * self._at_nodes[i, j1]
        high = (1 - b) * self._at_nodes[i1, j] + b * self._at_nodes[i1, j1]
        return np.asarray((1 - a) * low + a * high)

    def _arrays(self) -> dict[str, npt.NDArray[Any]]:
        return {
            **self._profile.arrays(),
            "mass_at": self._mass_at,
            "pt_at": self._pt_at,
            "rungs": self._at_nodes,
        }

    def _restore(self, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        self._profile = Profile.restored(arrays)
        self._mass_at, self._pt_at = arrays["mass_at"], arrays["pt_at"]
        self._at_nodes = arrays["rungs"]


def _ranks(values: Floats, weights: Floats, n: int) -> Floats:
    """Give n values, strictly rising, with equal fractions of the background between them."""
    order = np.argsort(values)
    total = np.cumsum(weights[order])
    return np.unique(np.interp(np.linspace(0, total[-1], n), total, values[order]))


def _quantiles(values: Floats, weights: Floats) -> Floats:
    """Give the values that SURVIVALS of the weight lies above, shape (L,)."""
    order = np.argsort(values)
    total = np.cumsum(weights[order])
    middle = (total - weights[order] / 2) / total[-1]
    return np.asarray(np.interp(1 - SURVIVALS, middle, values[order]))
