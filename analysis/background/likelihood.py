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

import numpy as np
import numpy.typing as npt

from oddjet.analysis.background.binned import BinnedCounts, Mask
from oddjet.analysis.background.functions import BinnedFunction, FallingFunction
from oddjet.errors import FitError

__all__ = ["Fitted", "fit_function", "poisson_deviance"]

Array = npt.NDArray[np.float64]

NEWTON_STEPS = 30


@dataclasses.dataclass(frozen=True)
class Fitted:
    """A converged fit of one function.

    Attributes:
        function: The function.
        parameters: Best values, shape (n_parameters,).
        covariance: Their covariance, shape (n_parameters, n_parameters).
        deviance: −2 ln of the likelihood over that of the saturated model.
        ndf: Fitted bins minus parameters.
    """

    function: FallingFunction
    parameters: Array
    covariance: Array
    deviance: float
    ndf: int


def poisson_deviance(counts: Array, expected: Array, scale: Array) -> float:
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


@dataclasses.dataclass(frozen=True)
class _Problem:
    """The likelihood in rotated parameters q, p = rotation · q, whose Hessian is close to 1.

    The terms of the families are nearly collinear over a short mass range (correlations of
    0.999 and more); in q the minimiser sees a round bowl.
    """

    counts: Array
    scale: Array
    use: Mask
    binned: BinnedFunction
    rotation: Array

    def value(self, q: Array) -> float:
        expected = self.binned.expected(self.rotation @ q)[self.use]
        return poisson_deviance(self.counts, np.maximum(expected, 1e-300), self.scale) / 2.0

    def gradient(self, q: Array) -> Array:
        return self.gradient_and_hessian(q)[0]

    def gradient_and_hessian(self, q: Array) -> tuple[Array, Array]:
        """Gradient and Fisher information, in q."""
        expected, jacobian = self.binned.expected_and_jacobian(self.rotation @ q)
        expected = np.maximum(expected[self.use], 1e-300)
        slopes = jacobian[self.use] @ self.rotation
        gradient = slopes.T @ ((1.0 - self.counts / expected) / self.scale)
        return gradient, slopes.T @ (slopes / (expected * self.scale)[:, None])


def _descend(problem: _Problem, q: Array) -> Array:
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


def fit_function(function: FallingFunction, data: BinnedCounts, use: Mask) -> Fitted:
    """Fit one function to some bins of a histogram.

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
    counts = np.where(use, data.counts, np.nan)
    start = function.starting_values(data.edges, counts)
    centres = 0.5 * (data.edges[:-1] + data.edges[1:])[use]
    root = np.sqrt(np.maximum(counts[use], 0.5) / data.weight_scale[use])
    upper = np.linalg.qr(function.basis(centres) * root[:, None], mode="r")
    problem = _Problem(
        counts=counts[use],
        scale=data.weight_scale[use],
        use=use,
        binned=function.on(data.edges),
        rotation=np.linalg.inv(upper),
    )
    return _minimise(problem, _descend(problem, upper @ start), n_use)


def _minimise(problem: _Problem, start: Array, n_bins: int) -> Fitted:
    from iminuit import Minuit  # noqa: PLC0415

    function = problem.binned.function
    minuit = Minuit(problem.value, start, grad=problem.gradient)
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
            f"the fit of '{function.name}' to {n_bins} sideband bins did not converge (valid "
            f"minimum: {minuit.valid}, accurate covariance: {minuit.accurate}, distance to "
            f"minimum {minuit.fmin.edm:.2g}): use fewer parameters or another function"
        )
        raise FitError(msg)
    return Fitted(
        function=function,
        parameters=problem.rotation @ q,
        covariance=problem.rotation @ covariance @ problem.rotation.T,
        deviance=2.0 * problem.value(q),
        ndf=n_bins - q.size,
    )
