"""One extended, binned Poisson fit of one function with iminuit.

The negative log-likelihood is Σ_i [ν_i − n_i ln ν_i] / s_i over the bins that are fitted. For
data s = 1. For weighted simulation s_i = Σw²/Σw of the bin, the scaled Poisson distribution: n_i/s_i
is the effective number of events, so the parameter errors are those of the sample that exists.

References:
    Scaled Poisson: G. Bohm and G. Zech, arXiv:1309.1287, section 3.
    Saturated-model goodness of fit: S. Baker and R. D. Cousins, NIM 221 (1984) 437, eq. 17.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Protocol

import numpy as np
from iminuit import Minuit
from scipy import optimize, stats

from oddjet.analysis.statistics.background.functions import MAX_EXPONENT, FallingFunction
from oddjet.analysis.statistics.spectrum import Spectrum
from oddjet.errors import FitError
from oddjet.typing import Bools, Floats

__all__ = [
    "FLOOR",
    "FitResult",
    "Fitted",
    "LinearModel",
    "Model",
    "Problem",
    "descend",
    "fit_function",
    "minimise",
    "nonnegative_coefficients",
    "poisson_deviance",
    "rotation_of",
]


FAR_OFF = 2.0
"""Variances this much off those of the Fisher information are wrong where contents are met to a deviance of `MET`."""
MET = 1e-6
NEWTON_STEPS = 30
TINY = 1e-12
FLOOR = 1e-2
"""Effective events a bin below which the logarithm of the expectation is continued."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class FitResult:
    """A converged fit.

    Attributes:
        parameters: Best values, shape (n_parameters,).
        covariance: Their covariance, shape (n_parameters, n_parameters).
        deviance: −2 ln of the likelihood over that of the saturated model.
        ndf: Fitted bins minus parameters.
    """

    parameters: Floats
    covariance: Floats
    deviance: float
    ndf: int

    @property
    def p_value(self) -> float:
        """Goodness of fit: tail probability of the deviance under χ²(ndf)."""
        return float(stats.chi2.sf(self.deviance, self.ndf))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Fitted(FitResult):
    """A converged fit of one function."""

    function: FallingFunction


def poisson_deviance(counts: Floats, expected: Floats, scale: Floats) -> float:
    """Twice the log-likelihood ratio of the saturated model to the expectation.

    It follows χ² where the expectations are not small (about five effective events a bin and
    more); below, p-values from it are approximate.

    Args:
        counts: Contents, shape (n_bins,).
        expected: Expectations > 0, shape (n_bins,).
        scale: Σw²/Σw a bin, shape (n_bins,); 1 for data.
    """
    ratio = np.where(counts > 0, counts, 1.0) / expected
    logs = np.where(counts > 0, counts * np.log(ratio), 0.0)
    return float(2.0 * np.sum((expected - counts + logs) / scale))


class Model(Protocol):
    """Expected events as a function of parameters."""

    def expected(self, parameters: Floats, /) -> Floats:
        """Expected events, shape (n_bins,)."""

    def expected_and_jacobian(self, parameters: Floats, /) -> tuple[Floats, Floats]:
        """Expected events (n_bins,) and their derivatives (n_bins, n_parameters)."""


@dataclasses.dataclass(frozen=True)
class LinearModel:
    """Expected events = design · coefficients.

    Attributes:
        design: Shape (n_bins, n_parameters).
    """

    design: Floats

    def expected(self, parameters: Floats, /) -> Floats:
        """Expected events, shape (n_bins,)."""
        return np.asarray(self.design @ parameters)

    def expected_and_jacobian(self, parameters: Floats, /) -> tuple[Floats, Floats]:
        """Expected events (n_bins,) and the design."""
        return self.expected(parameters), self.design


@dataclasses.dataclass(frozen=True)
class Problem:
    """The likelihood in rotated parameters q, p = rotation · q, whose Hessian is close to 1.

    The terms of the families are nearly collinear over a short mass range (correlations of
    0.999 and more); in q the minimiser sees a round bowl. Below `floor` effective events ln ν goes
    on as its Taylor polynomial, so that a negative signal cannot push ν far below zero.

    Attributes:
        counts: Contents that are fitted, shape (n_use,).
        scale: Σw²/Σw, shape (n_use,).
        use: Bins that are fitted, shape (n_bins,).
        model: Expected events of all bins.
        rotation: Shape (n_parameters, n_parameters).
        floor: Effective events a bin where the continuation begins.
    """

    counts: Floats
    scale: Floats
    use: Bools
    model: Model
    rotation: Floats
    floor: float = FLOOR

    def value(self, q: Floats) -> float:
        """Half the deviance."""
        expected = self.model.expected(self.rotation @ q)[self.use]
        floor = self.floor * self.scale
        below = np.minimum(expected - floor, 0.0) / floor
        # ν − n ln ν with the logarithm continued, and for n = 0 a wall of the same steepness.
        extra = -self.counts * (below - below**2 / 2) + floor * below + floor * below**2 / 2
        return poisson_deviance(self.counts, np.maximum(expected, floor), self.scale) / 2.0 + float(
            np.sum(extra / self.scale)
        )

    def gradient(self, q: Floats) -> Floats:
        """Gradient of `value`."""
        return self.gradient_and_hessian(q)[0]

    def gradient_and_hessian(self, q: Floats) -> tuple[Floats, Floats]:
        """Gradient and Fisher information, in q."""
        expected, jacobian = self.model.expected_and_jacobian(self.rotation @ q)
        expected, floor = expected[self.use], self.floor * self.scale
        below = np.minimum(expected - floor, 0.0) / floor
        expected = np.maximum(expected, floor)
        slopes = jacobian[self.use] @ self.rotation
        first = 1.0 + below - self.counts / expected * (1.0 - below)
        return (
            slopes.T @ (first / self.scale),
            slopes.T @ (slopes / (expected * self.scale)[:, None]),
        )

    def minimum(self, start: Floats, *, name: str) -> FitResult:
        """Minimise from rotated parameters; those of the result are rotated back. See `minimise`."""
        fit = minimise(self.value, self.gradient, start, n_bins=int(self.use.sum()), name=name)
        covariance: Floats = fit.covariance
        # Where the contents are met exactly, differences of the gradient are rounding, and so is the covariance.
        exact = np.linalg.pinv(self.gradient_and_hessian(fit.parameters)[1], hermitian=True)
        ratio = np.diag(covariance) / np.maximum(np.diag(exact), 1e-300)
        if np.any((ratio > FAR_OFF) | (ratio < 1.0 / FAR_OFF)) and fit.deviance < MET:
            covariance = np.asarray(exact, dtype=np.float64)
        return dataclasses.replace(
            fit,
            parameters=self.rotation @ fit.parameters,
            covariance=self.rotation @ covariance @ self.rotation.T,
        )


def descend(problem: Problem, q: Floats) -> Floats:
    """Fisher-scoring steps, halved until the likelihood improves: the minimiser's start."""
    value = problem.value(q)
    for _ in range(NEWTON_STEPS):
        gradient, information = problem.gradient_and_hessian(q)
        try:
            step = np.linalg.solve(information, gradient)
        except np.linalg.LinAlgError:
            return q
        factor = 1.0
        while factor > 1e-4 and not problem.value(q - factor * step) <= value:
            factor /= 2.0
        if factor <= 1e-4:
            return q
        q = q - factor * step
        improved, value = value, problem.value(q)
        if improved - value < 1e-10 * max(1.0, abs(value)):
            return q
    return q


def nonnegative_coefficients(counts: Floats, scale: Floats, design: Floats) -> Floats:
    """Coefficients ≥ 0 of largest Poisson likelihood: Fisher scoring by non-negative least squares.

    Args:
        counts: Contents, shape (n_bins,).
        scale: Σw²/Σw a bin, shape (n_bins,).
        design: Expected events a unit of each coefficient, shape (n_bins, n_coefficients).

    Returns:
        Array of shape (n_coefficients,); those at the boundary are exactly zero.
    """
    expected = np.maximum(counts, 0.5 * scale)
    coefficients = np.zeros(design.shape[1])
    unit = np.abs(design).sum(axis=0)
    for _ in range(NEWTON_STEPS):
        root = np.sqrt(expected * scale)
        before = coefficients
        coefficients = optimize.nnls(design / unit / root[:, None], counts / root)[0] / unit
        done = np.allclose(coefficients, before, rtol=1e-10, atol=0)
        expected = np.maximum(design @ coefficients, FLOOR * scale)
        if done:
            break
    return coefficients


def rotation_of(design: Floats) -> Floats:
    """Inverse of R in the QR decomposition of a weighted design: it makes the Hessian round."""
    return np.asarray(np.linalg.inv(np.linalg.qr(design, mode="r")))


def fit_function(function: FallingFunction, data: Spectrum, use: Bools) -> Fitted:
    """Fit one function to some bins of a histogram.

    A family of link ``positive`` whose best coefficient is zero is fitted without that term: its
    logarithm is −`MAX_EXPONENT` and its row of the covariance zero. The parameter still counts in
    ndf. Errors on such a boundary are those of the free terms, hence too small rather than too
    large.

    Args:
        function: The function.
        data: The histogram.
        use: Bins that enter, shape (n_bins,).

    Raises:
        FitError: There are too few bins for the parameters, or the minimum is not valid.
    """
    n_use, n_filled = int(use.sum()), int((data.counts[use] > 0).sum())
    if min(n_use - 1, n_filled) < function.n_parameters:
        msg = (
            f"too few sideband bins for '{function.name}': {function.n_parameters} parameters "
            f"need more than {function.n_parameters} bins and as many filled ones, received "
            f"{n_use} of which {n_filled} are filled: use finer or more bins, a smaller window "
            "or fewer parameters"
        )
        raise FitError(msg)
    fit = _fit_positive if function.link == "positive" else _fit_log_linear
    return fit(function, data, use)


def _fit_log_linear(function: FallingFunction, data: Spectrum, use: Bools) -> Fitted:
    counts, scale = data.counts[use], data.weight_scale[use]
    start = function.starting_values(data.edges, np.where(use, data.counts, np.nan))
    root = np.sqrt(np.maximum(counts, 0.5) / scale)
    rotation = rotation_of(function.basis(data.centres[use]) * root[:, None])
    problem = Problem(counts, scale, use, function.on(data.edges, data.given), rotation, TINY)
    q = descend(problem, np.asarray(np.linalg.solve(rotation, start), dtype=np.float64))
    try:
        fit = problem.minimum(q, name=function.name)
    except FitError as error:
        # Few events say little about the curvature; what was reached says more.
        expected, jacobian = problem.model.expected_and_jacobian(rotation @ q)
        root = np.sqrt(np.maximum(expected[use], TINY) * scale)
        try:
            better = rotation_of(jacobian[use] / root[:, None])
        except np.linalg.LinAlgError:
            raise error from None
        second = dataclasses.replace(problem, rotation=better)
        q = np.asarray(np.linalg.solve(better, rotation @ q), dtype=np.float64)
        fit = second.minimum(q, name=function.name)
    return Fitted(function=function, **vars(fit))


def _fit_positive(function: FallingFunction, data: Spectrum, use: Bools) -> Fitted:
    if data.given is not None:
        msg = (
            f"known peaks can be given beside functions whose logarithm is linear (dijet, exppoly), not beside "
            f"'{function.name}': use one of those"
        )
        raise FitError(msg)
    counts, scale = data.counts[use], data.weight_scale[use]
    design = function.on(data.edges).design
    coefficients = nonnegative_coefficients(counts, scale, design[use])
    # A thousandth of an event in the whole histogram is a zero that rounding has moved.
    free = coefficients * design[use].sum(axis=0) > FLOOR / 10
    if not free.any():
        msg = f"the fit of '{function.name}' has no coefficient above zero: use another function"
        raise FitError(msg)
    terms = design[:, free]
    root = np.sqrt(np.maximum(terms[use] @ coefficients[free], FLOOR * scale) * scale)
    rotation = rotation_of(terms[use] / root[:, None])
    problem = Problem(counts, scale, use, LinearModel(terms), rotation)
    fit = problem.minimum(np.linalg.solve(rotation, coefficients[free]), name=function.name)
    if np.any(fit.parameters <= 0):
        msg = f"the fit of '{function.name}' left the region of coefficients ≥ 0: use fewer"
        raise FitError(msg)
    parameters = np.full(function.n_parameters, -MAX_EXPONENT)
    parameters[free] = np.log(fit.parameters)
    covariance = np.zeros((function.n_parameters, function.n_parameters))
    # The errors of the logarithms: large where a coefficient is small, harmless in ν itself.
    relative = fit.covariance / np.outer(fit.parameters, fit.parameters)
    covariance[np.ix_(free, free)] = relative
    return Fitted(
        function=function,
        parameters=parameters,
        covariance=covariance,
        deviance=fit.deviance,
        ndf=int(use.sum()) - function.n_parameters,
    )


def minimise(
    value: Callable[[Floats], float],
    gradient: Callable[[Floats], Floats],
    start: Floats,
    *,
    n_bins: int,
    name: str,
) -> FitResult:
    """Find the minimum of half a deviance and its covariance with iminuit.

    Args:
        value: Half the deviance at parameters of shape (n_parameters,).
        gradient: Its gradient, shape (n_parameters,).
        start: Parameters to begin with, shape (n_parameters,).
        n_bins: Bins that are fitted.
        name: What is fitted, for messages.

    Raises:
        FitError: The minimum is not valid, or its covariance not accurate and positive.
    """
    minuit = Minuit(value, start, grad=gradient)
    minuit.errordef = Minuit.LIKELIHOOD
    minuit.strategy = 1
    minuit.migrad()
    minuit.hesse()
    q = np.array(minuit.values, dtype=np.float64)
    covariance = np.full((q.size, q.size), np.nan)
    if minuit.covariance is not None:
        covariance = np.array(minuit.covariance, dtype=np.float64)
    good = minuit.valid and minuit.accurate and np.all(np.isfinite(covariance))
    if not (good and np.all(np.diag(covariance) > 0)):
        msg = (
            f"the fit of '{name}' to {n_bins} bins did not converge (valid "
            f"minimum: {minuit.valid}, accurate covariance: {minuit.accurate}, distance to "
            f"minimum {minuit.fmin.edm:.2g}): use fewer parameters or another function"
        )
        raise FitError(msg)
    return FitResult(
        parameters=q, covariance=covariance, deviance=2.0 * value(q), ndf=n_bins - q.size
    )
