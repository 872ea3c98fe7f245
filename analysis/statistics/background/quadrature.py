"""Gauss–Legendre quadrature over bins: a function's integral over a bin is a sum over its nodes.

Every node lies inside its bin. The error for an exponential is (n!)⁴ change²ⁿ / ((2n + 1) (2n)!³) of the
integral, where change is that of its logarithm over the bin.

References:
    M. Abramowitz and I. A. Stegun, Handbook of Mathematical Functions, eq. 25.4.30.
"""

from __future__ import annotations

from functools import cache
from math import factorial
from typing import NamedTuple

import numpy as np

from oddjet.typing import Floats, Ints

__all__ = ["Quadrature", "make_quadrature", "mean_masses", "needed_nodes"]

N_NODES = 8
"""Nodes a bin, at most."""
TOLERANCE = 1e-5
"""Relative error of the integral of an exponential with twice the slope of the spectrum; with its own slope it is
16 times less for two nodes, and less for more."""
SLOPE_DEGREE = 4
"""Of the polynomial that the slope of a spectrum is taken from: contents by themselves fluctuate."""


def _largest_change(n: int) -> float:
    factor = factorial(n) ** 4 / ((2 * n + 1) * factorial(2 * n) ** 3)
    return float((TOLERANCE / factor) ** (0.5 / n))


LARGEST_CHANGES = np.array([_largest_change(n) for n in range(1, N_NODES)])


class Quadrature(NamedTuple):
    """The nodes of some bins.

    Attributes:
        masses: Where functions are evaluated, shape (n_nodes,) [GeV].
        weights: Those of a bin add up to its width, shape (n_nodes,) [GeV].
        begins: Where the nodes of each bin begin, and the end, shape (n_bins + 1,).
    """

    masses: Floats
    weights: Floats
    begins: Ints

    def sums(self, parts: Floats) -> Floats:
        """Add up what is at the nodes of each bin: (n_nodes, ...) becomes (n_bins, ...)."""
        return np.asarray(np.add.reduceat(parts, self.begins[:-1], axis=0))

    def means(self, values: Floats) -> Floats:
        """Mean over each bin of values at the nodes: (n_nodes, n) becomes (n_bins, n)."""
        total = self.sums(self.weights[:, None] * values)
        return np.asarray(total / self.sums(self.weights)[:, None])


@cache
def _rule(number: int) -> tuple[Floats, Floats]:
    """Places in [−1, 1] and weights of some nodes; finding them anew for every bin took most of a fit."""
    return np.polynomial.legendre.leggauss(number)


def make_quadrature(edges: Floats, numbers: Ints | int = N_NODES) -> Quadrature:
    """Place nodes in bins, edges (n_bins + 1,) [GeV]: one number for all, or (n_bins,)."""
    numbers = np.broadcast_to(numbers, edges.size - 1)
    rules = [_rule(number) for number in numbers.tolist()]
    places, weights = (np.concatenate(column) for column in zip(*rules, strict=True))
    half = np.repeat(0.5 * np.diff(edges), numbers)
    masses = np.repeat(0.5 * (edges[:-1] + edges[1:]), numbers) + half * places
    begins = np.concatenate([[0], np.cumsum(numbers)]).astype(np.int64)
    return Quadrature(masses, half * weights, begins)


def needed_nodes(edges: Floats, spectrum: Floats) -> Ints:
    """Nodes (n_bins,), 1 to 8, for a spectrum > 0: few in bins that are narrow beside its slope."""
    slope = _log_density(edges, spectrum).deriv()
    steepest = np.abs(slope(np.stack([edges[:-1], edges[1:]]))).max(axis=0)
    return np.asarray(1 + np.searchsorted(LARGEST_CHANGES, 2.0 * steepest * np.diff(edges)))


def mean_masses(edges: Floats, spectrum: Floats) -> Floats:
    """Mean mass in each bin of a smooth spectrum like this one, shape (n_bins,) [GeV].

    Args:
        edges: Bin edges, n_bins + 1 of them [GeV].
        spectrum: Contents > 0, shape (n_bins,).
    """
    nodes, logs = make_quadrature(edges), _log_density(edges, spectrum)
    # Steps of the logarithm that are cut keep a wild polynomial of few events finite.
    density = nodes.weights * np.exp(np.clip(logs(nodes.masses), -50, 50))
    return nodes.sums(density * nodes.masses) / nodes.sums(density)


def _log_density(edges: Floats, spectrum: Floats) -> np.polynomial.Polynomial:
    """A polynomial through the logarithm of the events per GeV."""
    widths, centres = np.diff(edges), 0.5 * (edges[:-1] + edges[1:])
    degree, logs = min(SLOPE_DEGREE, widths.size - 1), np.log(spectrum / widths)
    return np.polynomial.Polynomial.fit(centres, logs, degree, w=np.sqrt(spectrum))
