"""Families of smoothly falling functions of mass, and their integrals over bins.

All families here are log-linear: ln f(m) = Σ_j p_j φ_j(m), with f in events per GeV. That makes
f positive everywhere, its gradient a product, and a Newton step one small linear system.

Masses enter as x = m / scale. For dijet searches the scale is √s; a jet mass has no such natural
end point, so `make_function` takes twice the upper edge of the range: 1 − x then stays between ½
and 1, and no term is forced to zero or to infinity inside the range.

References:
    CMS dijet search, arXiv:1806.00843, section 6 (the dijet function and its F-test).
"""

from __future__ import annotations

import dataclasses
import re
from abc import ABC, abstractmethod
from functools import cached_property
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from oddjet.errors import ConfigError, FitError, did_you_mean

__all__ = [
    "FAMILIES",
    "BinnedFunction",
    "DijetFunction",
    "ExpPolynomial",
    "FallingFunction",
    "function_names",
    "make_function",
]

Array = npt.NDArray[np.float64]

N_NODES = 8
MAX_EXPONENT = 600.0


@dataclasses.dataclass(frozen=True)
class FallingFunction(ABC):
    """A positive, smooth function of mass: ln f = basis(mass) · parameters.

    Attributes:
        n_parameters: Number of free parameters, the normalisation included (2 to 5).
        scale: The mass that x = 1 stands for [GeV].
    """

    family: ClassVar[str]
    n_parameters: int
    scale: float

    def __post_init__(self) -> None:
        if not 2 <= self.n_parameters <= 5:
            msg = f"expected 2 to 5 parameters for '{self.family}', received {self.n_parameters}"
            raise ConfigError(msg)
        if not (np.isfinite(self.scale) and self.scale > 0):
            msg = f"the mass scale of '{self.name}' must be positive, received {self.scale}"
            raise ConfigError(msg)

    @property
    def name(self) -> str:
        """Family and number of parameters, such as ``dijet3``."""
        return f"{self.family}{self.n_parameters}"

    @property
    @abstractmethod
    def parameter_names(self) -> tuple[str, ...]:
        """One name a parameter, in the order of the parameters."""

    @property
    @abstractmethod
    def formula(self) -> str:
        """The function in plain text, for reports."""

    @abstractmethod
    def basis(self, mass: npt.ArrayLike) -> Array:
        """Functions whose weighted sum is ln f.

        Args:
            mass: Masses of any shape [GeV].

        Returns:
            Array of shape (*mass.shape, n_parameters).

        Raises:
            FitError: A mass lies where the function is not defined.
        """

    def __call__(self, mass: npt.ArrayLike, parameters: npt.ArrayLike) -> Array:
        """Density at some masses.

        Args:
            mass: Masses of any shape [GeV].
            parameters: Array of shape (n_parameters,).

        Returns:
            Events per GeV, in the shape of `mass`.
        """
        exponent = self.basis(mass) @ np.asarray(parameters, dtype=np.float64)
        return np.asarray(np.exp(np.minimum(exponent, MAX_EXPONENT)))

    def on(self, edges: npt.ArrayLike) -> BinnedFunction:
        """Bind the function to bins.

        Args:
            edges: Increasing bin edges, n_bins + 1 of them [GeV].
        """
        return BinnedFunction(self, np.asarray(edges, dtype=np.float64))

    def integrals(self, edges: npt.ArrayLike, parameters: npt.ArrayLike) -> Array:
        """Integral over each bin, by Gauss–Legendre quadrature with 8 nodes a bin.

        Args:
            edges: Increasing bin edges, n_bins + 1 of them [GeV].
            parameters: Array of shape (n_parameters,).

        Returns:
            Expected events, shape (n_bins,).
        """
        return self.on(edges).expected(np.asarray(parameters, dtype=np.float64))

    def starting_values(self, edges: npt.ArrayLike, counts: npt.ArrayLike) -> Array:
        """Parameters from a weighted straight-line fit of ln(counts / width).

        Args:
            edges: Increasing bin edges, n_bins + 1 of them [GeV].
            counts: Events in each bin, shape (n_bins,); bins that are NaN are left out.

        Returns:
            Array of shape (n_parameters,).
        """
        edges, counts = np.asarray(edges, dtype=np.float64), np.asarray(counts, dtype=np.float64)
        use = np.isfinite(counts)
        # Half an event for an empty bin: its logarithm exists and its weight is small.
        floored = np.maximum(counts[use], 0.5)
        target = np.log(floored / np.diff(edges)[use])
        design = self.basis((0.5 * (edges[:-1] + edges[1:]))[use])
        root = np.sqrt(floored)
        return np.asarray(np.linalg.lstsq(design * root[:, None], target * root, rcond=None)[0])


@dataclasses.dataclass(frozen=True)
class DijetFunction(FallingFunction):
    """The dijet function, f = p0 (1 − x)^p1 / x^(p2 + p3 ln x + p4 ln² x).

    With 2 parameters it is the power law p0 / x^p2; the third adds p1, the fourth p3, the fifth
    p4. It is not defined at zero mass, nor at or above `scale`.

    References:
        arXiv:1806.00843, eq. 1.
    """

    family: ClassVar[str] = "dijet"

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """Logarithm of the normalisation first: ln_p0, p2, then p1, p3, p4 as they are added."""
        return ("ln_p0", "p2", "p1", "p3", "p4")[: self.n_parameters]

    @property
    def formula(self) -> str:
        """The function in plain text, for reports."""
        exponent = ("p2", "p2", "p2 + p3 ln x", "p2 + p3 ln x + p4 ln² x")[self.n_parameters - 2]
        top = "p0" if self.n_parameters == 2 else "p0 (1 − x)^p1"
        return f"{top} / x^({exponent}), x = m / {self.scale:g} GeV"

    def basis(self, mass: npt.ArrayLike) -> Array:
        """Columns 1, −ln x, ln(1 − x), −ln² x, −ln³ x; see `FallingFunction.basis`.

        Raises:
            FitError: A mass is not between zero and the scale.
        """
        mass = np.asarray(mass, dtype=np.float64)
        if np.any(mass <= 0) or np.any(mass >= self.scale):
            msg = (
                f"'{self.name}' is defined for masses in (0, {self.scale:g}) GeV, received "
                f"{mass.min():g} to {mass.max():g}: start the mass axis above zero, or use an "
                "'exppoly' function"
            )
            raise FitError(msg)
        x = mass / self.scale
        log = np.log(x)
        columns = [np.ones_like(x), -log, np.log1p(-x), -(log**2), -(log**3)]
        return np.stack(columns[: self.n_parameters], axis=-1)


@dataclasses.dataclass(frozen=True)
class ExpPolynomial(FallingFunction):
    """The exponential of a polynomial, f = exp(a0 + a1 x + … + a_(n−1) x^(n−1))."""

    family: ClassVar[str] = "exppoly"

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """The coefficients a0, a1 and so on."""
        return tuple(f"a{power}" for power in range(self.n_parameters))

    @property
    def formula(self) -> str:
        """The function in plain text, for reports."""
        terms = ["a0", "a1 x", "a2 x²", "a3 x³", "a4 x⁴"][: self.n_parameters]
        return f"exp({' + '.join(terms)}), x = m / {self.scale:g} GeV"

    def basis(self, mass: npt.ArrayLike) -> Array:
        """Columns 1, x, x², …; see `FallingFunction.basis`."""
        x = np.asarray(mass, dtype=np.float64) / self.scale
        return np.stack([x**power for power in range(self.n_parameters)], axis=-1)


@dataclasses.dataclass(frozen=True)
class BinnedFunction:
    """A function bound to bins: the quadrature is set up once, then used for every parameter.

    Attributes:
        function: The function of mass.
        edges: Bin edges, n_bins + 1 of them [GeV].
    """

    function: FallingFunction
    edges: Array

    @cached_property
    def _quadrature(self) -> tuple[Array, Array]:
        """The basis at the nodes (n_bins, N_NODES, n_parameters); weights (n_bins, N_NODES)."""
        nodes, weights = np.polynomial.legendre.leggauss(N_NODES)
        half = 0.5 * np.diff(self.edges)[:, None]
        middle = 0.5 * (self.edges[:-1] + self.edges[1:])[:, None]
        return self.function.basis(middle + half * nodes), half * weights

    def expected(self, parameters: Array) -> Array:
        """Expected events, shape (n_bins,), for parameters of shape (n_parameters,)."""
        return np.asarray(self._weighted_densities(parameters).sum(axis=1))

    def expected_and_jacobian(self, parameters: Array) -> tuple[Array, Array]:
        """Expected events (n_bins,) and their derivatives (n_bins, n_parameters)."""
        density = self._weighted_densities(parameters)
        return density.sum(axis=1), np.einsum("bn,bnp->bp", density, self._quadrature[0])

    def _weighted_densities(self, parameters: Array) -> Array:
        basis, weights = self._quadrature
        return np.asarray(weights * np.exp(np.minimum(basis @ parameters, MAX_EXPONENT)))


FAMILIES: dict[str, type[FallingFunction]] = {"dijet": DijetFunction, "exppoly": ExpPolynomial}


def function_names() -> tuple[str, ...]:
    """Every name that `make_function` knows."""
    return tuple(f"{family}{n}" for family in FAMILIES for n in range(2, 6))


def make_function(name: str, *, scale: float) -> FallingFunction:
    """Make a function from its name.

    Args:
        name: Family and number of parameters, such as ``dijet3`` or ``exppoly2``.
        scale: The mass that x = 1 stands for [GeV]; fits take twice the range's upper edge.

    Raises:
        ConfigError: There is no function of that name.

    >>> make_function("dijet3", scale=400.0).formula
    'p0 (1 − x)^p1 / x^(p2), x = m / 400 GeV'
    """
    match = re.fullmatch(r"([a-z]+)([2-5])", name)
    if match is None or match[1] not in FAMILIES:
        known = function_names()
        msg = f"unknown background function '{name}': expected one of {', '.join(known)}."
        raise ConfigError(msg + did_you_mean(name, known))
    return FAMILIES[match[1]](int(match[2]), scale)
