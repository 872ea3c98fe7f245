"""Families of smoothly falling functions of mass, and their integrals over bins.

A family says with its `link` how parameters p and basis functions φ_j make f, in events per GeV:
``log`` is ln f(m) = Σ_j p_j φ_j(m), ``positive`` is f(m) = Σ_j exp(p_j) φ_j(m) with φ_j ≥ 0. Either
way f is not negative anywhere, its gradient is a product, and a Newton step one small linear system.

Masses enter as x = m / scale. For dijet searches the scale is √s; a jet mass has no such natural
end point, so fits take twice the upper edge of the range: 1 − x then stays between ½ and 1, and
no term is forced to zero or to infinity inside the range. Bernstein polynomials live on a closed
range, the `span`; fits take that of the histogram.

References:
    CMS dijet search, arXiv:1806.00843, section 6 (the dijet function and its F-test).
    Bernstein polynomials with coefficients ≥ 0: R. T. Farouki, CAGD 29 (2012) 379, section 2.
"""

from __future__ import annotations

import dataclasses
import re
from abc import ABC, abstractmethod
from functools import cached_property
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt
import scipy

from oddjet.analysis.statistics.background.quadrature import make_quadrature
from oddjet.errors import ConfigError, FitError, did_you_mean
from oddjet.registry import Registry, load_class
from oddjet.typing import Floats

__all__ = [
    "FAMILIES",
    "MAX_PARAMETERS",
    "BernsteinPolynomial",
    "BinnedFunction",
    "DijetFunction",
    "ExpPolynomial",
    "FallingFunction",
    "Link",
    "LogLinearFunction",
    "PositiveSum",
    "function_names",
    "make_function",
]

Link = Literal["log", "positive"]

MAX_EXPONENT = 600.0
"""Exponents are cut here; a coefficient that a fit puts at zero has minus this as its logarithm."""
MAX_PARAMETERS = 6


@dataclasses.dataclass(frozen=True)
class FallingFunction(ABC):
    """A smooth function of mass that is not negative; `link` says how its basis makes it.

    A class declares its `family`, its `link`, and as `names` those of up to six parameters.

    Attributes:
        n_parameters: Number of free parameters, the normalisation included (2 to 6).
        scale: The mass that x = 1 stands for [GeV].
        span: Range the function lives on [GeV]; 0 to half the scale by default. Only families
            that need a closed range use it.
    """

    family: ClassVar[str]
    link: ClassVar[Link]
    names: ClassVar[tuple[str, ...]]
    n_parameters: int
    scale: float
    span: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if not 2 <= self.n_parameters <= 6:
            msg = f"expected 2 to 6 parameters for '{self.family}', received {self.n_parameters}"
            raise ConfigError(msg)
        if not (np.isfinite(self.scale) and self.scale > 0):
            msg = f"the mass scale of '{self.name}' must be positive, received {self.scale}"
            raise ConfigError(msg)
        if self.span is not None and not self.span[0] < self.span[1] < np.inf:
            msg = f"expected a span low < high in GeV for '{self.name}', received {self.span}"
            raise ConfigError(msg)

    @property
    def name(self) -> str:
        """Family and number of parameters, such as ``dijet3``."""
        return f"{self.family}{self.n_parameters}"

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """One name a parameter, in the order of the parameters."""
        return self.names[: self.n_parameters]

    @property
    @abstractmethod
    def formula(self) -> str:
        """The function in plain text, for reports."""

    @abstractmethod
    def basis(self, mass: npt.ArrayLike) -> Floats:
        """The functions φ_j at masses [GeV], (*mass.shape, n_parameters), of which f is made.

        Raises:
            FitError: A mass lies where the function is not defined.
        """

    @abstractmethod
    def combine(self, basis: Floats, parameters: Floats) -> Floats:
        """Density from the basis, shape (..., n_parameters), and parameters (n_parameters,)."""

    @abstractmethod
    def slopes(self, basis: Floats, parameters: Floats) -> Floats:
        """Derivatives of the density by each parameter, in the shape of `basis`."""

    @abstractmethod
    def starting_values(self, edges: npt.ArrayLike, counts: npt.ArrayLike) -> Floats:
        """Parameters (n_parameters,) from a quick linear fit to the bins that are not NaN."""

    def __call__(self, mass: npt.ArrayLike, parameters: npt.ArrayLike) -> Floats:
        """Density at masses [GeV] of any shape: events per GeV, in the same shape."""
        return self.combine(self.basis(mass), np.asarray(parameters, dtype=np.float64))

    def on(self, edges: npt.ArrayLike, given: Floats | None = None) -> BinnedFunction:
        """Bind the function to bins with the increasing edges [GeV], shape (n_bins + 1,); see `BinnedFunction`."""
        return BinnedFunction(self, np.asarray(edges, dtype=np.float64), given)


class LogLinearFunction(FallingFunction):
    """A function whose logarithm is linear in its parameters: ln f = basis(mass) · parameters."""

    link: ClassVar[Link] = "log"

    def combine(self, basis: Floats, parameters: Floats) -> Floats:
        """exp(basis · parameters); see `FallingFunction.combine`."""
        return np.asarray(np.exp(np.minimum(basis @ parameters, MAX_EXPONENT)))

    def slopes(self, basis: Floats, parameters: Floats) -> Floats:
        """Density times basis; see `FallingFunction.slopes`."""
        return self.combine(basis, parameters)[..., None] * basis

    def starting_values(self, edges: npt.ArrayLike, counts: npt.ArrayLike) -> Floats:
        """Weighted straight-line fit of ln(counts / width); see `FallingFunction`."""
        edges, counts = np.asarray(edges, dtype=np.float64), np.asarray(counts, dtype=np.float64)
        use = np.isfinite(counts)
        # Half an event for an empty bin: its logarithm exists and its weight is small.
        floored = np.maximum(counts[use], 0.5)
        target = np.log(floored / np.diff(edges)[use])
        design = self.basis((0.5 * (edges[:-1] + edges[1:]))[use])
        root = np.sqrt(floored)
        return np.asarray(np.linalg.lstsq(design * root[:, None], target * root, rcond=None)[0])


class PositiveSum(FallingFunction):
    """A sum of functions ≥ 0 with coefficients exp(parameter) > 0.

    The best coefficient may be zero; its parameter is then −`MAX_EXPONENT`, and fits give it
    no error.
    """

    link: ClassVar[Link] = "positive"

    def combine(self, basis: Floats, parameters: Floats) -> Floats:
        """Basis · exp(parameters); see `FallingFunction.combine`."""
        return np.asarray(basis @ np.exp(np.clip(parameters, -MAX_EXPONENT, MAX_EXPONENT)))

    def slopes(self, basis: Floats, parameters: Floats) -> Floats:
        """Each term of the sum; see `FallingFunction.slopes`."""
        return np.asarray(basis * np.exp(np.clip(parameters, -MAX_EXPONENT, MAX_EXPONENT)))

    def starting_values(self, edges: npt.ArrayLike, counts: npt.ArrayLike) -> Floats:
        """Non-negative least squares of the contents; see `FallingFunction`."""
        edges, counts = np.asarray(edges, dtype=np.float64), np.asarray(counts, dtype=np.float64)
        use = np.isfinite(counts)
        design = self.on(edges).design[use]
        root = np.sqrt(np.maximum(counts[use], 0.5))[:, None]
        coefficients = scipy.optimize.nnls(design / root, counts[use] / root[:, 0])[0]
        # A start inside the allowed region, so that it has a gradient in every direction.
        return np.asarray(np.log(np.maximum(coefficients, 1e-6 * coefficients.max() + 1e-12)))


@dataclasses.dataclass(frozen=True)
class DijetFunction(LogLinearFunction):
    """The dijet function, f = p0 (1 − x)^p1 / x^(p2 + p3 ln x + p4 ln² x).

    With 2 parameters it is the power law p0 / x^p2; the third adds p1, the fourth p3, the fifth
    p4, and the sixth a further power p5 ln³ x. It is not defined at zero mass, nor at or above `scale`.

    References:
        arXiv:1806.00843, eq. 1.
    """

    family: ClassVar[str] = "dijet"
    names: ClassVar[tuple[str, ...]] = ("ln_p0", "p2", "p1", "p3", "p4", "p5")

    @property
    def formula(self) -> str:
        """The function in plain text, for reports."""
        terms = ("p2", "p3 ln x", "p4 ln² x", "p5 ln³ x")
        exponent = " + ".join(terms[: max(1, self.n_parameters - 2)])
        top = "p0" if self.n_parameters == 2 else "p0 (1 − x)^p1"
        return f"{top} / x^({exponent}), x = m / {self.scale:g} GeV"

    def basis(self, mass: npt.ArrayLike) -> Floats:
        """Columns 1, −ln x, ln(1 − x), −ln² x, −ln³ x, −ln⁴ x; see `FallingFunction.basis`.

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
        columns = [np.ones_like(x), -log, np.log1p(-x), -(log**2), -(log**3), -(log**4)]
        return np.stack(columns[: self.n_parameters], axis=-1)


@dataclasses.dataclass(frozen=True)
class ExpPolynomial(LogLinearFunction):
    """The exponential of a polynomial, f = exp(a0 + a1 x + … + a_(n−1) x^(n−1))."""

    family: ClassVar[str] = "exppoly"
    names: ClassVar[tuple[str, ...]] = tuple(f"a{power}" for power in range(MAX_PARAMETERS))

    @property
    def formula(self) -> str:
        """The function in plain text, for reports."""
        terms = ["a0", "a1 x", "a2 x²", "a3 x³", "a4 x⁴", "a5 x⁵"][: self.n_parameters]
        return f"exp({' + '.join(terms)}), x = m / {self.scale:g} GeV"

    def basis(self, mass: npt.ArrayLike) -> Floats:
        """Columns 1, x, x², …; see `FallingFunction.basis`."""
        x = np.asarray(mass, dtype=np.float64) / self.scale
        return np.stack([x**power for power in range(self.n_parameters)], axis=-1)


@dataclasses.dataclass(frozen=True)
class BernsteinPolynomial(PositiveSum):
    """A Bernstein polynomial f = Σ_k c_k C(n, k) t^k (1 − t)^(n − k), c_k ≥ 0, of degree n.

    t = (m − low) / (high − low) with the span [low, high]; n is n_parameters − 1.
    """

    family: ClassVar[str] = "bernstein"
    names: ClassVar[tuple[str, ...]] = tuple(f"ln_c{power}" for power in range(MAX_PARAMETERS))

    @property
    def range(self) -> tuple[float, float]:
        """Lower and upper end of the span [GeV]."""
        return (0.0, 0.5 * self.scale) if self.span is None else self.span

    @property
    def formula(self) -> str:
        """The function in plain text, for reports."""
        (low, high), degree = self.range, self.n_parameters - 1
        terms = f"Σ c_k C({degree}, k) t^k (1 − t)^({degree} − k), c_k ≥ 0"
        return f"{terms}, t = (m − {low:g} GeV) / {high - low:g} GeV"

    def basis(self, mass: npt.ArrayLike) -> Floats:
        """The Bernstein polynomials of t; see `FallingFunction.basis`.

        Raises:
            FitError: A mass is outside the span.
        """
        low, high = self.range
        t = (np.asarray(mass, dtype=np.float64) - low) / (high - low)
        if np.any(t < -1e-9) or np.any(t > 1 + 1e-9):
            msg = (
                f"'{self.name}' is defined for masses in [{low:g}, {high:g}] GeV, received "
                f"{np.min(mass):g} to {np.max(mass):g}: make it with the range of the mass axis"
            )
            raise FitError(msg)
        t, degree = np.clip(t, 0.0, 1.0), self.n_parameters - 1
        k, t = np.arange(degree + 1), t[..., None]
        return np.asarray(scipy.special.comb(degree, k) * t**k * (1 - t) ** (degree - k))


@dataclasses.dataclass(frozen=True)
class BinnedFunction:
    """A function bound to bins: the quadrature is set up once, then used for every parameter.

    Attributes:
        edges: Bin edges, n_bins + 1 of them [GeV].
        given: Events that are expected on top of the function, shape (n_bins,); none if None.
    """

    function: FallingFunction
    edges: Floats
    given: Floats | None = None

    @cached_property
    def _quadrature(self) -> tuple[Floats, Floats]:
        """The basis at the nodes (n_bins, n_nodes, n_parameters); weights (n_bins, n_nodes)."""
        nodes, shape = make_quadrature(self.edges), (self.edges.size - 1, -1)
        return self.function.basis(nodes.masses.reshape(shape)), nodes.weights.reshape(shape)

    @cached_property
    def design(self) -> Floats:
        """Integrals of the basis over the bins, shape (n_bins, n_parameters)."""
        basis, weights = self._quadrature
        return np.asarray(np.einsum("bn,bnp->bp", weights, basis))

    def expected(self, parameters: Floats) -> Floats:
        """Expected events, shape (n_bins,), for parameters of shape (n_parameters,)."""
        basis, weights = self._quadrature
        events = (weights * self.function.combine(basis, parameters)).sum(axis=1)
        return np.asarray(events if self.given is None else events + self.given)

    def expected_and_jacobian(self, parameters: Floats) -> tuple[Floats, Floats]:
        """Expected events (n_bins,) and their derivatives (n_bins, n_parameters)."""
        basis, weights = self._quadrature
        slopes = self.function.slopes(basis, parameters)
        return self.expected(parameters), np.einsum("bn,bnp->bp", weights, slopes)


_FAMILIES: dict[str, type[FallingFunction]] = {
    "dijet": DijetFunction,
    "exppoly": ExpPolynomial,
    "bernstein": BernsteinPolynomial,
}

FAMILIES: Registry[type[FallingFunction]] = Registry(
    "functions",
    _FAMILIES,
    load=lambda path: load_class(path, FallingFunction),  # type: ignore[type-abstract]
)
"""Families by name, also those that other packages add."""


def function_names() -> tuple[str, ...]:
    """Every name that `make_function` knows."""
    return tuple(f"{family}{n}" for family in FAMILIES for n in range(2, MAX_PARAMETERS + 1))


def make_function(
    name: str, *, scale: float, span: tuple[float, float] | None = None
) -> FallingFunction:
    """Make a function from its name.

    Args:
        name: Family and number of parameters, such as ``dijet3`` or ``exppoly2``.
        scale: The mass that x = 1 stands for [GeV]; fits take twice the range's upper edge.
        span: Range of the Bernstein polynomials [GeV]; fits take that of the histogram.

    Raises:
        ConfigError: There is no function of that name.

    >>> make_function("dijet3", scale=400.0).formula
    'p0 (1 − x)^p1 / x^(p2), x = m / 400 GeV'
    """
    match = re.fullmatch(r"([a-z]+)([2-6])", name)
    if match is None or match[1] not in FAMILIES:
        known = function_names()
        msg = f"unknown background function '{name}': expected one of {', '.join(known)}."
        raise ConfigError(msg + did_you_mean(name, known))
    return FAMILIES[match[1]](int(match[2]), scale, span)
