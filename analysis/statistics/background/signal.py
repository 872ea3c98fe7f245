"""The signal-plus-background fit: a bump of given mass and shape on a falling function.

The expectation of bin i is ν_i = b_i(p) + N s_i, where s_i is the fraction of the signal in the bin,
so N counts all signal events, those outside the range too. All bins are fitted, by the extended
binned likelihood of `likelihood`. N is free and may be negative; ν is kept positive by continuing
the logarithm below a hundredth of an event a bin.

References:
    Significance √(2 Δ ln L): G. Cowan et al., arXiv:1007.1727, eq. 12.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import optimize, stats

from oddjet.analysis.statistics.background.choice import choose_function
from oddjet.analysis.statistics.background.functions import FallingFunction
from oddjet.analysis.statistics.background.likelihood import (
    FLOOR,
    FitResult,
    Fitted,
    LinearModel,
    Model,
    Problem,
    descend,
    fit_function,
    rotation_of,
)
from oddjet.analysis.statistics.spectrum import Histogram, Spectrum, check_counts
from oddjet.errors import FitError
from oddjet.typing import Bools, Floats

__all__ = ["SignalFit", "fit_signal", "gaussian_fractions"]


MASKED_WIDTHS = 2.0
"""Half of the window, in widths of the signal, that is masked while a function is chosen."""
NEWTON_STEPS = 50


def gaussian_fractions(edges: npt.ArrayLike, *, mass: float, width: float) -> Floats:
    """Fraction (n_bins,) of a Gaussian of mean `mass` and σ `width` [GeV] in each bin.

    The sum is below 1 where the range cuts the Gaussian off.

    Raises:
        FitError: The width is not positive, or the mass is outside the range.

    >>> gaussian_fractions([-1.0, 0.0, 1.0], mass=0.0, width=1.0).round(3)
    array([0.341, 0.341])
    """
    edges = np.asarray(edges, dtype=np.float64)
    if not (np.isfinite(width) and width > 0):
        msg = f"the width of the signal must be positive and finite, received {width:g} GeV"
        raise FitError(msg)
    if not edges[0] <= mass <= edges[-1]:
        msg = (
            f"the signal's mass {mass:g} GeV is outside the range [{edges[0]:g}, "
            f"{edges[-1]:g}) GeV: widen the mass axis or move the signal"
        )
        raise FitError(msg)
    return np.asarray(np.diff(stats.norm.cdf(edges, mass, width)))


@dataclasses.dataclass(frozen=True)
class _SignalModel:
    """b(p) + N s; the last parameter is N.

    Attributes:
        fractions: Fraction of the signal in each bin, shape (n_bins,).
    """

    background: Model
    fractions: Floats

    def expected(self, parameters: Floats, /) -> Floats:
        background = self.background.expected(parameters[:-1])
        return np.asarray(background + parameters[-1] * self.fractions)

    def expected_and_jacobian(self, parameters: Floats, /) -> tuple[Floats, Floats]:
        expected, jacobian = self.background.expected_and_jacobian(parameters[:-1])
        return (
            expected + parameters[-1] * self.fractions,
            np.column_stack([jacobian, self.fractions]),
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class SignalFit(Fitted):
    """A bump fitted together with the background under it.

    The parameters are the free ones of the background and then the yield. For a ``positive`` family
    these are coefficients, and those at zero are left out; all of them count in ndf.

    Attributes:
        mass: Mass of the signal [GeV]; NaN for a template.
        width: Its standard deviation [GeV]; NaN for a template.
        fractions: Fraction of the signal in each bin, shape (n_bins,).
        yield_: Signal events, may be negative.
        error: Its uncertainty from the covariance.
        jacobian: Derivatives of the expectation by the parameters, shape (n_bins, n_free).
        background: Expected background in every bin, shape (n_bins,).
        deviance_without: The deviance of the background alone.
    """

    data: Spectrum
    mass: float
    width: float
    fractions: Floats
    yield_: float
    error: float
    jacobian: Floats
    background: Floats
    deviance_without: float

    @property
    def expected(self) -> Floats:
        """Expected events, signal and background, shape (n_bins,)."""
        return self.background + self.yield_ * self.fractions

    @property
    def significance(self) -> float:
        """√(2 Δ ln L) against no signal, with the sign of the yield (local, asymptotic)."""
        gain = max(self.deviance_without - self.deviance, 0.0)
        return float(np.sign(self.yield_) * np.sqrt(gain))

    @property
    def pulls(self) -> Floats:
        """(content − expected) / √(expected Σw²/Σw) a bin, shape (n_bins,)."""
        scale = self.data.weight_scale
        expected = np.maximum(self.expected, FLOOR * scale)
        return np.asarray((self.data.counts - expected) / np.sqrt(expected * scale))

    def yield_error_from(self, covariance: Floats) -> float:
        """Uncertainty of the yield if the contents fluctuate with a covariance of their own.

        The fit is linearised: δN = row of C Jᵀ diag(1/(ν s)) δn. With the Poisson covariance
        diag(ν s) this is `error`.

        Args:
            covariance: Covariance of the contents, shape (n_bins, n_bins), or variances (n_bins,).
        """
        scale = self.data.weight_scale
        weight = 1.0 / (np.maximum(self.expected, FLOOR * scale) * scale)
        response = (self.covariance[-1] @ self.jacobian.T) * weight
        if covariance.ndim == 1:
            return float(np.sqrt(np.sum(response**2 * covariance)))
        return float(np.sqrt(max(response @ covariance @ response, 0.0)))

    def to_dict(self) -> dict[str, Any]:
        """Every number, ready for JSON."""
        return {
            "function": self.function.name,
            "mass": self.mass,
            "width": self.width,
            "yield": self.yield_,
            "yield_error": self.error,
            "local_significance": self.significance,
            "chi2": self.deviance,
            "chi2_without_signal": self.deviance_without,
            "ndf": self.ndf,
            "goodness_of_fit_p": self.p_value,
            "parameters": self.parameters.tolist(),
            "covariance": self.covariance.tolist(),
            "edges": self.data.edges.tolist(),
            "counts": self.data.counts.tolist(),
            "fractions": self.fractions.tolist(),
            "background": self.background.tolist(),
            "expected": self.expected.tolist(),
            "pulls": self.pulls.tolist(),
        }


def fit_signal(
    histogram: Histogram,
    *,
    mass: float = np.nan,
    width: float = np.nan,
    template: npt.ArrayLike | None = None,
    function: str = "auto",
) -> SignalFit:
    """Fit a bump of given shape and free yield on a falling background.

    ``auto`` and a family choose their function with the window around the signal masked, two
    widths to either side, so that the signal has no part in the choice; all bins enter the fit.

    Args:
        histogram: A `Spectrum`, or any UHI histogram of numbers of events.
        mass: Mean of a Gaussian signal [GeV].
        width: Its standard deviation [GeV].
        template: Fraction of the signal in each bin, shape (n_bins,), instead of a Gaussian.
        function: ``auto``, a family or one function, such as ``dijet3``.

    Raises:
        FitError: The histogram or the signal is not fit for it, or a minimum is not valid.
        ConfigError: There is no function of that name.
    """
    data = check_counts(histogram)
    fractions = _signal_shape(data, mass, width, template)
    everything = np.ones(data.n_bins, dtype=np.bool_)
    outside = ~_core(data, fractions, mass, width)
    chosen, _ = choose_function(function, data, outside)
    alone = fit_function(chosen.function, data, everything)
    if chosen.function.link == "positive":
        model, fit = _fit_positive(chosen.function, data, fractions)
    else:
        start = np.append(alone.parameters, 0.0)
        model, fit = _fit(chosen.function.on(data.edges), data, fractions, start, alone.function)
    expected, jacobian = model.expected_and_jacobian(fit.parameters)
    number = float(fit.parameters[-1])
    return SignalFit(
        function=chosen.function,
        data=data,
        mass=float(mass),
        width=float(width),
        fractions=fractions,
        yield_=number,
        error=float(np.sqrt(fit.covariance[-1, -1])),
        parameters=fit.parameters,
        covariance=fit.covariance,
        jacobian=jacobian,
        background=expected - number * fractions,
        deviance=fit.deviance,
        deviance_without=alone.deviance,
        ndf=data.n_bins - chosen.function.n_parameters - 1,
    )


def _signal_shape(
    data: Spectrum, mass: float, width: float, template: npt.ArrayLike | None
) -> Floats:
    if template is None:
        return gaussian_fractions(data.edges, mass=mass, width=width)
    fractions = np.asarray(template, dtype=np.float64)
    fine = fractions.shape == data.counts.shape and bool(np.all(np.isfinite(fractions)))
    if not fine or fractions.min() < 0 or not 0 < fractions.sum() <= 1 + 1e-9:
        msg = (
            f"expected the fraction of the signal in each of {data.n_bins} bins, none negative "
            f"and at most 1 in all, received shape {fractions.shape} with sum "
            f"{float(np.sum(fractions)):g}: divide the template by its number of events"
        )
        raise FitError(msg)
    return fractions


def _core(data: Spectrum, fractions: Floats, mass: float, width: float) -> Bools:
    """Bins that are masked while the function is chosen."""
    if np.isfinite(mass) and np.isfinite(width):
        low, high = mass - MASKED_WIDTHS * width, mass + MASKED_WIDTHS * width
        return np.asarray((data.edges[1:] > low) & (data.edges[:-1] < high))
    densest = np.argsort(-fractions / data.widths)
    needed = int(np.searchsorted(np.cumsum(fractions[densest]), 0.95 * fractions.sum())) + 1
    return np.isin(np.arange(data.n_bins), densest[:needed])


def _fit(
    background: Model,
    data: Spectrum,
    fractions: Floats,
    start: Floats,
    function: FallingFunction,
) -> tuple[_SignalModel, FitResult]:
    model = _SignalModel(background, fractions)
    expected, jacobian = model.expected_and_jacobian(start)
    root = np.sqrt(np.maximum(expected, FLOOR * data.weight_scale) * data.weight_scale)
    rotation = rotation_of(jacobian / root[:, None])
    use = np.ones(data.n_bins, dtype=np.bool_)
    problem = Problem(data.counts, data.weight_scale, use, model, rotation)
    q = descend(problem, np.asarray(np.linalg.solve(rotation, start), dtype=np.float64))
    return model, problem.minimum(q, name=f"{function.name} + signal")


def _fit_positive(
    function: FallingFunction, data: Spectrum, fractions: Floats
) -> tuple[_SignalModel, FitResult]:
    """The coefficients stay ≥ 0 while the yield has either sign; terms at zero are left out."""
    design = function.on(data.edges).design
    coefficients, number = _start_positive(data, design, fractions)
    free = coefficients * design.sum(axis=0) > FLOOR / 10
    start = np.append(coefficients[free], number)
    model, fit = _fit(LinearModel(design[:, free]), data, fractions, start, function)
    if np.any(fit.parameters[:-1] < 0):
        msg = (
            f"the fit of '{function.name}' with a signal left the region of coefficients ≥ 0: "
            "use fewer parameters or another function"
        )
        raise FitError(msg)
    return model, fit


def _start_positive(data: Spectrum, design: Floats, fractions: Floats) -> tuple[Floats, float]:
    """Fisher scoring by least squares with bounds on the coefficients and none on the yield."""
    columns = np.column_stack([design, fractions])
    unit = columns.sum(axis=0)
    lower = np.append(np.zeros(design.shape[1]), -np.inf)
    expected = np.maximum(data.counts, 0.5 * data.weight_scale)
    scaled = np.zeros(unit.size)
    for _ in range(NEWTON_STEPS):
        root = np.sqrt(expected * data.weight_scale)
        solved = optimize.lsq_linear(
            columns / unit / root[:, None], data.counts / root, (lower, np.inf), method="bvls"
        ).x
        # What is left of a coefficient at its bound by rounding is a zero.
        solved[:-1][solved[:-1] < 1e-9 * solved[:-1].max()] = 0.0
        done = np.allclose(solved, scaled, rtol=1e-9, atol=1e-9)
        scaled = solved
        expected = np.maximum(columns @ (scaled / unit), FLOOR * data.weight_scale)
        if done:
            break
    return scaled[:-1] / unit[:-1], float(scaled[-1] / unit[-1])
