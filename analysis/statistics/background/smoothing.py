"""A smooth template from a simulated spectrum: penalised splines of its logarithm.

ln f(m) is a cubic spline with many evenly spaced knots. It maximises the scaled Poisson likelihood
minus λ/2 · |third differences of its coefficients|², so that where nothing is known it goes on as
a parabola. λ has the smallest AIC, deviance + 2 × effective parameters. A spline
belongs to no family of background functions, so that it favours none; its covariance says how well
the simulation knows it.

References:
    P. H. C. Eilers and B. D. Marx, Statist. Sci. 11 (1996) 89, sections 3 to 5.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy import stats
from scipy.interpolate import BSpline

from oddjet.analysis.statistics.background.likelihood import poisson_deviance
from oddjet.analysis.statistics.background.quadrature import Quadrature, make_quadrature
from oddjet.analysis.statistics.spectrum import Histogram, Spectrum, check_counts
from oddjet.errors import FitError
from oddjet.typing import Floats

__all__ = ["SmoothTemplate", "smooth"]


DEGREE = 3
N_KNOTS = 25
"""More than a spectrum needs: the penalty does the rest."""
PENALTIES = np.logspace(-3, 7, 41)
NEWTON_STEPS = 60


@dataclasses.dataclass(frozen=True)
class SmoothTemplate:
    """A spectrum without the fluctuations of the simulation it came from.

    Attributes:
        data: The histogram it was made from.
        counts: The smooth contents, shape (n_bins,), > 0.
        covariance: Their covariance from the simulation's statistics, shape (n_bins, n_bins).
        penalty: λ.
        n_effective: Effective number of parameters.
        deviance: −2 ln of the likelihood of the histogram over that of the saturated model.
    """

    data: Spectrum
    counts: Floats
    covariance: Floats
    penalty: float
    n_effective: float
    deviance: float

    @property
    def ndf(self) -> float:
        """Bins minus effective parameters."""
        return self.data.n_bins - self.n_effective

    @property
    def p_value(self) -> float:
        """How well the template describes the histogram: tail of the deviance under χ²(ndf)."""
        return float(stats.chi2.sf(self.deviance, self.ndf))


def _spline_basis(data: Spectrum, masses: Floats, n_knots: int) -> Floats:
    """Cubic B-splines at the nodes of the bins, shape (n_nodes, n_knots + 2)."""
    low, high = data.edges[0], data.edges[-1]
    step = (high - low) / (n_knots - 1)
    knots = low + step * np.arange(-DEGREE, n_knots + DEGREE)
    return np.asarray(BSpline.design_matrix(masses, knots, DEGREE).toarray())


def _fit(
    data: Spectrum, basis: Floats, nodes: Quadrature, penalty: Floats, start: Floats
) -> tuple[Floats, Floats, Floats]:
    """Penalised Fisher steps; expectation, its derivatives and Fisher information."""
    counts, scale = data.counts, data.weight_scale

    def parts(a: Floats) -> Floats:
        return np.asarray(nodes.weights * np.exp(np.clip(basis @ a, -50, 50)))

    def objective(a: Floats) -> float:
        nu = nodes.sums(parts(a))
        return float(np.sum((nu - counts * np.log(nu)) / scale) + a @ penalty @ a / 2)

    def derivatives(a: Floats) -> tuple[Floats, Floats, Floats]:
        at_nodes = parts(a)
        nu, slopes = nodes.sums(at_nodes), nodes.sums(at_nodes[:, None] * basis)
        return nu, slopes, slopes.T @ (slopes / (nu * scale)[:, None])

    a, value = start, objective(start)
    for _ in range(NEWTON_STEPS):
        nu, slopes, information = derivatives(a)
        gradient = slopes.T @ ((1.0 - counts / nu) / scale) + penalty @ a
        step, factor = np.linalg.solve(information + penalty, gradient), 1.0
        while factor > 1e-6 and not objective(a - factor * step) <= value:
            factor /= 2
        a = a - factor * step
        before, value = value, objective(a)
        if abs(before - value) < 1e-10 * max(1.0, abs(value)):
            break
    else:
        msg = f"the smooth template did not converge in {NEWTON_STEPS} steps: use fewer knots"
        raise FitError(msg)
    return derivatives(a)


def smooth(histogram: Histogram) -> SmoothTemplate:
    """Smooth a falling spectrum.

    Args:
        histogram: A `Spectrum` of weighted simulation or data, or any UHI histogram of numbers of
            events.

    Raises:
        FitError: The histogram is not fit for it, or holds fewer than 8 bins.
    """
    data = check_counts(histogram)
    if data.n_bins < 8 or np.count_nonzero(data.counts) < 5:
        msg = (
            f"a smooth template needs 8 bins of which 5 are filled, received {data.n_bins} with "
            f"{np.count_nonzero(data.counts)} filled: use finer bins or more simulation"
        )
        raise FitError(msg)
    nodes = make_quadrature(data.edges)
    basis = _spline_basis(data, nodes.masses, min(N_KNOTS, data.n_bins))
    means = nodes.means(basis)
    differences = np.diff(np.eye(basis.shape[1]), n=3, axis=0)
    # A whisper of a ridge: splines at the ends see few bins.
    shape = differences.T @ differences
    floored = np.log(np.maximum(data.counts, 0.5 * data.weight_scale) / data.widths)
    best: SmoothTemplate | None = None
    smallest = np.inf
    for strength in PENALTIES[::-1]:
        penalty = strength * shape + 1e-9 * np.eye(basis.shape[1])
        ridge = means.T @ means + 1e-3 * shape + 1e-9 * np.eye(basis.shape[1])
        start = np.asarray(np.linalg.solve(ridge, means.T @ floored), dtype=np.float64)
        nu, slopes, information = _fit(data, basis, nodes, penalty, start)
        inverse = np.linalg.inv(information + penalty)
        n_effective = float(np.trace(inverse @ information))
        deviance = poisson_deviance(data.counts, nu, data.weight_scale)
        if deviance + 2 * n_effective < smallest:
            smallest = deviance + 2 * n_effective
            covariance = slopes @ (inverse @ information @ inverse) @ slopes.T
            best = SmoothTemplate(data, nu, covariance, float(strength), n_effective, deviance)
    if best is None:  # pragma: no cover - the first penalty always gives a finite AIC
        msg = "no penalty gave a smooth template"
        raise FitError(msg)
    return best
