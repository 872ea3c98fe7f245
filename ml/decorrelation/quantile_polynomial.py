"""Conditional quantiles that are low-order polynomials of mass: nothing that a background fit cannot follow."""

from __future__ import annotations

import copy
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from oddjet.constraints import Interval, constrained
from oddjet.ml.decorrelation.base import Decorrelation
from oddjet.ml.decorrelation.quantiles import (
    SURVIVALS,
    interpolate_survival,
    values_of_survival,
)
from oddjet.ml.decorrelation.regression import fit_again, fit_quantiles, pinball_losses
from oddjet.ml.decorrelation.scale import TailSurvival
from oddjet.typing import Floats

__all__ = ["QuantilePolynomial"]

log = logging.getLogger(__name__)

PARTS = 5
"""Of the jets, in the cross-validation of the order."""
LEAST_MASS = 1.0
"""A middle mass below this [GeV] is none: groomed jets may all have mass 0."""


@dataclass(eq=False, kw_only=True)
class QuantilePolynomial(Decorrelation):
    """Maps the score to its conditional survival, with quantiles that are polynomials of mass.

    Each quantile is a polynomial of x = m/(m + m₀), m₀ the background's median mass, plus a multiple of ln pt.
    x is close to linear in mass in the bulk and levels off beyond, so that jets far out have no weight of their own.
    The order is the lowest whose loss on jets left out is within one standard error of the
    smallest. Any error of such a map is as smooth as itself: beside a window a background function of more
    parameters follows it, however many jets are hunted in. It is also known between the masses it was fitted on.

    Attributes:
        most_order: Highest order in mass. Keep it below the number of parameters that the background's
            function has left beyond the shape of the spectrum; where more jets want a higher one, a warning says so.

    References:
        R. Koenker and G. Bassett, Econometrica 46 (1978) 33; arXiv:2012.05187 for the smoothed loss.
    """

    continues: ClassVar[bool] = True

    most_order: int = constrained(4, Interval(int, 0, 8))

    def _prepare(self, z: Floats, mass: Floats, pt: Floats, weights: Floats) -> None:
        self._middle = np.asarray(max(_median(mass, weights), LEAST_MASS))
        x = self._unit(mass)
        low, high = float(x.min()), float(x.max())
        self._ends = np.array([low, high if high > low else low + 1.0])
        ln_pt = np.log(pt)
        centre = np.average(ln_pt, weights=weights)
        spread = float(np.sqrt(np.average((ln_pt - centre) ** 2, weights=weights)))
        self._pt_scale = np.array([centre, spread if spread > 1e-9 else 1.0])
        self._order = np.asarray(self._choose_order(z, mass, pt, weights))

    def _choose_order(self, z: Floats, mass: Floats, pt: Floats, weights: Floats) -> int:
        """Choose by cross-validation, with the rule of one standard error; see the class."""
        orders = range(min(self.most_order + 1, np.unique(mass).size - 1) + 1)
        part = np.random.default_rng(0).permutation(len(z)) % PARTS
        kept = (part != np.arange(PARTS)[:, None]).astype(np.uint8)
        losses = np.empty((len(orders), len(z)))
        for order in orders:
            design = self._design(mass, pt, order)
            whole = fit_quantiles(design, z, weights, 1 - SURVIVALS)
            without = fit_again(design, z, weights, 1 - SURVIVALS, whole, kept)
            for number, coefficients in enumerate(without):
                out = part == number
                losses[order, out] = pinball_losses(
                    design[out], z[out], 1 - SURVIVALS, coefficients
                )
        best = int(np.argmin(losses @ weights))
        gain = (losses - losses[best]) * weights
        errors = gain.std(axis=1) * np.sqrt(len(z))
        order = int(np.argmax(gain.sum(axis=1) <= errors))
        if order > self.most_order:
            log.warning(
                "QuantilePolynomial: the mass dependence of the score wants order %d or more, and is cut off at "
                "most_order = %d: cuts may keep more background at some masses than at others. Look at the "
                "verdict on sculpting; a higher most_order asks for a background with as many parameters more",
                order, self.most_order,
            )  # fmt: skip
        return min(order, self.most_order)

    def _fit(self, z: Floats, mass: Floats, pt: Floats, weights: Floats) -> None:
        design = self._design(mass, pt, int(self._order))
        self._coefficients = fit_quantiles(design, z, weights, 1 - SURVIVALS)

    def _normalised(self, z: Floats, mass: Floats, pt: Floats) -> Floats:
        return interpolate_survival(z, self._quantiles(mass, pt))

    def _scores_at(self, values: Floats, mass: Floats, pt: Floats) -> Floats:
        return values_of_survival(values, self._quantiles(mass, pt))

    def _refitted(
        self, z: Floats, mass: Floats, pt: Floats, weights: Floats, counts: npt.NDArray[np.uint8]
    ) -> Iterator[tuple[Decorrelation, TailSurvival]]:
        # One step from the common minimum is as good as a fit, and a fit of quantiles leaves the wanted share of
        # its own jets above each: the survival is the same for all.
        design = self._design(mass, pt, int(self._order))
        survival = TailSurvival.fit(self._in_parts(z, mass, pt), weights)
        at = self._coefficients
        for coefficients in fit_again(design, z, weights, 1 - SURVIVALS, at, counts):
            other = copy.copy(self)
            other._coefficients = coefficients
            yield other, survival

    def _unit(self, mass: Floats) -> Floats:
        return np.asarray(mass / (mass + self._middle))

    def _design(self, mass: Floats, pt: Floats, order: int) -> Floats:
        """Give ln pt, then Legendre polynomials of x from order 0: (n, order + 2)."""
        low, high = self._ends
        u = 2 * (self._unit(mass) - low) / (high - low) - 1
        centre, spread = self._pt_scale
        by_mass = np.polynomial.legendre.legvander(u, order)
        return np.column_stack([(np.log(pt) - centre) / spread, by_mass])

    def _quantiles(self, mass: Floats, pt: Floats) -> Floats:
        design = self._design(mass, pt, int(self._order))
        # Added term by term: a product by BLAS would depend on which jets come together.
        quantiles = np.zeros((len(mass), len(SURVIVALS)))
        for column, coefficients in zip(design.T, self._coefficients, strict=True):
            quantiles += column[:, None] * coefficients
        return quantiles

    def _arrays(self) -> dict[str, npt.NDArray[Any]]:
        return {
            "coefficients": self._coefficients,
            "middle": self._middle,
            "ends": self._ends,
            "pt_scale": self._pt_scale,
            "order": self._order,
        }

    def _restore(self, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        self._coefficients, self._middle = arrays["coefficients"], arrays["middle"]
        self._ends, self._pt_scale, self._order = (
            arrays["ends"],
            arrays["pt_scale"],
            arrays["order"],
        )


def _median(values: Floats, weights: Floats) -> float:
    order = np.argsort(values)
    total = np.cumsum(weights[order])
    return float(np.interp(0.5 * total[-1], total, values[order]))
