"""Mean and spread of a score as smooth functions of two variables, and their removal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy

from oddjet.typing import Floats

__all__ = ["Profile"]


DEGREE = 3
JETS_PER_COEFFICIENT = 25
SMALLEST_SPREAD = 0.2
NORMAL_MEAN_DEVIATION = 0.7979  # mean of |z| for a normal z: √(2/π)


@dataclass(frozen=True, eq=False)
class Profile:
    """The mean μ(x, y) and spread σ(x, y) of a score z.

    Both are cubic splines in x, with knots at equal fractions of the background, times a parabola
    in y: least squares of z, and of |z − μ|. The spread is at least `SMALLEST_SPREAD` of its mean.

    Attributes:
        knots: Of the splines, the outer ones repeated, shape (m,).
        y_range: Lowest and highest y, shape (2,).
        mean: Coefficients of μ.
        spread: Coefficients of σ; empty for σ = 1.
        floor: The least spread, shape ().
    """

    knots: Floats
    y_range: Floats
    mean: Floats
    spread: Floats
    floor: Floats

    @classmethod
    def fit(
        cls, z: Floats, x: Floats, y: Floats, weights: Floats, *, n_knots: int, scale: bool
    ) -> Profile:
        """Learn a score z from background by x and y, each (n,), with positive weights (n,).

        Splines have `n_knots` intervals at most, fewer for few jets; with `scale` the spread is
        learned too.
        """
        intervals = int(np.clip(len(z) / JETS_PER_COEFFICIENT / 3 - DEGREE, 1, n_knots))
        inner = _weighted_quantiles(x, weights, np.linspace(0, 1, intervals + 1))
        inner = np.unique(inner)
        if len(inner) == 1:
            inner = np.array([inner[0] - 0.5, inner[0] + 0.5])
        knots = np.concatenate([[inner[0]] * DEGREE, inner, [inner[-1]] * DEGREE])
        empty = cls(knots, np.array([y.min(), y.max()]), np.zeros(0), np.zeros(0), np.asarray(1.0))
        design = empty._design(x, y)
        mean = _least_squares(design, z, weights)
        if not scale:
            return cls(knots, empty.y_range, mean, np.zeros(0), np.asarray(1.0))
        deviation = np.abs(z - design @ mean) / NORMAL_MEAN_DEVIATION
        floor = SMALLEST_SPREAD * np.average(deviation, weights=weights)
        spread = _least_squares(design, deviation, weights)
        return cls(knots, empty.y_range, mean, spread, np.asarray(max(floor, 1e-9)))

    def remove(self, z: Floats, x: Floats, y: Floats) -> Floats:
        """Give (z − μ)/σ: (n,) → (n,)."""
        mean, spread = self._at(x, y)
        return np.asarray((z - mean) / spread)

    def restore(self, residual: Floats, x: Floats, y: Floats) -> Floats:
        """Give the scores whose residuals (n,) are given: the inverse of `remove`."""
        mean, spread = self._at(x, y)
        return np.asarray(mean + spread * residual)

    def _at(self, x: Floats, y: Floats) -> tuple[Floats, Floats | float]:
        """Give μ and σ, (n,) each."""
        # Point by point: a product of matrices by BLAS would round a row in another way when other rows come
        # with it, and scores must not depend on how jets are cut into chunks.
        inside = np.clip(x, self.knots[0], self.knots[-1])
        columns = [part.reshape(-1, 3) for part in (self.mean, self.spread) if part.size]
        at_x = scipy.interpolate.BSpline(self.knots, np.hstack(columns), DEGREE)(inside)
        unit = self._unit(y)
        mean = at_x[:, 0] + unit * (at_x[:, 1] + unit * at_x[:, 2])
        if not self.spread.size:
            return mean, 1.0
        spread = at_x[:, 3] + unit * (at_x[:, 4] + unit * at_x[:, 5])
        return mean, np.maximum(spread, self.floor)

    def arrays(self) -> dict[str, Floats]:
        """Give its fields, to be saved."""
        names = ("knots", "y_range", "mean", "spread", "floor")
        return {f"profile_{name}": getattr(self, name) for name in names}

    @classmethod
    def restored(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> Profile:
        """Make one of what `arrays` gave, among others."""
        names = ("knots", "y_range", "mean", "spread", "floor")
        return cls(**{name: arrays[f"profile_{name}"] for name in names})

    def _design(self, x: Floats, y: Floats) -> Floats:
        inside = np.clip(x, self.knots[0], self.knots[-1])
        splines = scipy.interpolate.BSpline.design_matrix(
            inside, self.knots, DEGREE
        ).toarray()  # (n, b)
        unit = self._unit(y)
        powers = np.stack([np.ones_like(unit), unit, unit**2], axis=1)  # (n, 3)
        return np.asarray((splines[:, :, None] * powers[:, None, :]).reshape(len(x), -1))

    def _unit(self, y: Floats) -> Floats:
        low, high = self.y_range
        return np.asarray(np.clip((y - low) / max(high - low, 1e-12), 0, 1))


def _weighted_quantiles(values: Floats, weights: Floats, levels: Floats) -> Floats:
    order = np.argsort(values)
    fraction = np.cumsum(weights[order])
    return np.asarray(np.interp(levels * fraction[-1], fraction, values[order]))


def _least_squares(design: Floats, target: Floats, weights: Floats) -> Floats:
    """Weighted least squares with a slight ridge towards the mean, for corners without jets."""
    centre = np.average(target, weights=weights)
    gram = (design.T * weights) @ design
    gram += 1e-4 * np.trace(gram) / len(gram) * np.eye(len(gram))
    # Splines add up to 1 at each x, so that the constant `centre` has 1 for each spline, times y⁰.
    constant = np.zeros(design.shape[1])
    constant[::3] = centre
    return np.asarray(constant + np.linalg.solve(gram, (design.T * weights) @ (target - centre)))
