"""The spurious-signal test: how much signal a fit finds where there is none.

A background-only template at the luminosity of the data is fitted with signal and background at
every mass. What comes out is N_spur; σ is the uncertainty of the yield that data of this
luminosity would have; σ_MC is what the simulation's own statistics do to N_spur, from the
covariance of the template. A function is accepted if |N_spur| + σ_MC < 0.3 σ at every mass. It is refused if
|N_spur| − σ_MC is above that; in between, the simulation is too small to tell. With N_MC ≥ 100 N_data σ_MC is at most σ/10.

References:
    ATLAS, H → γγ: arXiv:1802.04146, section 6.2; ATL-PHYS-PUB-2020-028, sections 3 and 4.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from oddjet.analysis.statistics.background.functions import make_function
from oddjet.analysis.statistics.background.signal import fit_signal
from oddjet.analysis.statistics.spectrum import Histogram, Spectrum
from oddjet.errors import FitError
from oddjet.typing import Floats

__all__ = [
    "LIMIT",
    "SpuriousPoint",
    "SpuriousSignal",
    "mass_grid",
    "spurious_signal",
]


LIMIT = 0.3
"""|N_spur| + σ_MC must stay below so many σ."""
ENOUGH = 100.0
"""Events of the simulation for one of the data that are enough."""

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class SpuriousPoint:
    """The fit at one mass.

    Attributes:
        mass: Mass of the signal [GeV].
        width: Its standard deviation [GeV].
        n_spurious: Signal events that were found in the background; NaN where the fit failed.
        sigma: Their uncertainty at the luminosity of the data; NaN where the fit failed.
        sigma_mc: Uncertainty of `n_spurious` from the simulation's statistics.
    """

    mass: float
    width: float
    n_spurious: float
    sigma: float
    sigma_mc: float
    failure: str = ""

    @property
    def ratio(self) -> float:
        """N_spur / σ, with its sign."""
        return self.n_spurious / self.sigma

    @property
    def bound(self) -> float:
        """(|N_spur| + σ_MC) / σ: what the criterion looks at; infinite where the fit failed."""
        if self.failure:
            return float("inf")
        return (abs(self.n_spurious) + self.sigma_mc) / self.sigma

    @property
    def too_few(self) -> bool:
        """Whether the simulation's statistics alone keep the function from being accepted here."""
        return bool(
            self.bound >= LIMIT and abs(self.n_spurious) - self.sigma_mc < LIMIT * self.sigma
        )


@dataclasses.dataclass(frozen=True)
class SpuriousSignal:
    """The test of one function.

    Attributes:
        points: One entry a mass.
        n_data: Events in the range at the luminosity of the data.
        n_effective: Effective events of the simulation, (Σw)²/Σw²; infinite for a given truth.
    """

    function: str
    points: tuple[SpuriousPoint, ...]
    n_data: float
    n_effective: float

    @property
    def worst(self) -> SpuriousPoint:
        """The mass with the largest (|N_spur| + σ_MC) / σ."""
        return max(self.points, key=lambda point: point.bound)

    @property
    def accepted(self) -> bool:
        """Whether every mass was fitted and stays below the limit."""
        return self.worst.bound < LIMIT

    @property
    def verdict(self) -> str:
        """Whether it is accepted, in a word or two: simulation that is too small to tell is named."""
        undecided = not self.accepted and all(p.bound < LIMIT or p.too_few for p in self.points)
        return "yes" if self.accepted else "too few simulated" if undecided else "no"

    @property
    def accepted_without_mc_error(self) -> bool:
        """Whether |N_spur| < limit × σ everywhere, the simulation's error left out."""
        return all(not p.failure and abs(p.ratio) < LIMIT for p in self.points)

    @property
    def has_enough_simulation(self) -> bool:
        """Whether N_MC ≥ 100 × N_data."""
        return self.n_effective >= ENOUGH * self.n_data

    @property
    def systematic(self) -> float:
        """Largest |N_spur| of all masses: events to quote as an uncertainty of a signal."""
        return max((abs(p.n_spurious) for p in self.points if not p.failure), default=np.nan)

    def to_dict(self) -> dict[str, Any]:
        """Every number, ready for JSON."""
        return {
            "function": self.function,
            "accepted": self.accepted,
            "accepted_without_mc_error": self.accepted_without_mc_error,
            "verdict": self.verdict,
            "criterion": f"|N_spur| + sigma_mc < {LIMIT:g} sigma at every mass",
            "limit": LIMIT,
            "worst_mass": self.worst.mass,
            "worst_bound": self.worst.bound,
            "largest_n_spurious": self.systematic,
            "n_data": self.n_data,
            "n_effective": self.n_effective,
            "has_enough_simulation": self.has_enough_simulation,
            "points": [
                {**dataclasses.asdict(p), "ratio": p.ratio, "bound": p.bound} for p in self.points
            ],
        }


def mass_grid(edges: npt.ArrayLike, *, width: float | Callable[[float], float]) -> Floats:
    """Masses of a signal, half its smallest width apart, two widths from either end of the range.

    Args:
        edges: Bin edges, n_bins + 1 of them [GeV].
        width: Standard deviation of the signal, or a function of its mass [GeV].

    Raises:
        FitError: The range is too short for a signal of this width.
    """
    edges = np.asarray(edges, dtype=np.float64)
    low_width, high_width = (width(m) if callable(width) else width for m in edges[[0, -1]])
    low, high = edges[0] + 2 * low_width, edges[-1] - 2 * high_width
    distance = 0.5 * min(low_width, high_width)
    if not (distance > 0 and low <= high):
        msg = (
            f"no mass in [{edges[0]:g}, {edges[-1]:g}) GeV is two widths ({low_width:g} and "
            f"{high_width:g} GeV) from both ends: widen the range or take a narrower signal"
        )
        raise FitError(msg)
    return np.asarray(np.arange(low, high + 1e-9 * distance, distance))


def spurious_signal(
    template: Histogram,
    *,
    function: str,
    width: float | Callable[[float], float],
    covariance: npt.ArrayLike | None = None,
    n_effective: float = float("inf"),
    masses: Sequence[float] | Floats | None = None,
) -> SpuriousSignal:
    """Fit signal and background to a background-only template at every mass.

    Args:
        template: Expected background at the luminosity of the data, such as
            `SmoothTemplate.counts` times a factor; its contents need not be whole numbers.
        function: One function, such as ``dijet4``.
        width: Standard deviation of the signal, or a function of its mass [GeV].
        covariance: Covariance of the template from the simulation's statistics, shape
            (n_bins, n_bins), or its variances, shape (n_bins,); zero where it is a given truth.
        n_effective: Effective events of the simulation.
        masses: Masses of the signal [GeV]; `mass_grid` by default.

    Raises:
        FitError: The template is not fit for it, or no covariance of the right shape was given.
        ConfigError: The function is no single function.
    """
    given = Spectrum.from_histogram(template)
    # The likelihood of data: one event counts one, although the template is not whole numbers.
    data = dataclasses.replace(given, variances=given.counts, is_data=False).checked()
    make_function(function, scale=2.0 * float(data.edges[-1]))
    uncertainty = _check_covariance(covariance, data.n_bins)
    grid = mass_grid(data.edges, width=width) if masses is None else np.asarray(masses, float)
    points = []
    for mass in grid.tolist():
        own = float(width(mass) if callable(width) else width)
        try:
            fit = fit_signal(data, mass=mass, width=own, function=function)
        except FitError as error:
            points.append(SpuriousPoint(mass, own, np.nan, np.nan, np.nan, str(error)))
            continue
        sigma_mc = fit.yield_error_from(uncertainty)
        points.append(SpuriousPoint(mass, own, fit.yield_, fit.error, sigma_mc))
    if not points:
        msg = "the spurious-signal test was given no masses"
        raise FitError(msg)
    test = SpuriousSignal(function, tuple(points), float(data.counts.sum()), n_effective)
    _log.info("%s: worst (|N_spur| + sigma_mc)/sigma %.3g", function, test.worst.bound)
    return test


def _check_covariance(covariance: npt.ArrayLike | None, n_bins: int) -> Floats:
    if covariance is None:
        return np.zeros(n_bins)
    values = np.asarray(covariance, dtype=np.float64)
    square = values.shape == (n_bins, n_bins)
    variances = np.diag(values) if square else values
    if not (square or values.shape == (n_bins,)) or not np.all(np.isfinite(values)):
        msg = (
            f"expected a finite covariance of the template of shape ({n_bins}, {n_bins}) or "
            f"({n_bins},), received shape {values.shape}"
        )
        raise FitError(msg)
    if np.any(variances < 0):
        msg = f"a variance of the template is negative ({variances.min():g}): fix the weights"
        raise FitError(msg)
    return values
