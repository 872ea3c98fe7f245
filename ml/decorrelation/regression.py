"""Linear quantile regression by Newton's method, with a smoothed loss: all quantiles at once."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import special

from oddjet.typing import Floats

__all__ = ["fit_again", "fit_quantiles", "pinball_losses"]

LEAST_BANDWIDTH = 0.05
STEPS = 60
HALVINGS = 12
CLOSE = 1e-9
"""A Newton decrement below this, for a mean weight of 1 and a jet, ends the fit."""
RIDGE = 1e-9
ROWS = 4096


def fit_quantiles(design: Floats, z: Floats, weights: Floats, levels: Floats) -> Floats:
    """Fit the quantiles of z as linear functions.

    The check function is smoothed by a Gaussian, so that the loss is convex with a continuous Hessian; its width
    shrinks with n, and with it the difference from the ordinary regression.

    Args:
        design: Shape (n, p); a column of ones is among them.
        z: Shape (n,), of a spread of about 1.
        weights: Positive, shape (n,).
        levels: Fractions below the quantiles, shape (L,).

    Returns:
        Coefficients, shape (p, L).

    References:
        X. He, X. Pan, K. M. Tan and W.-X. Zhou, arXiv:2012.05187, sections 2 and 4.
    """
    weights = weights / weights.mean()
    order = np.argsort(z)
    total = np.cumsum(weights[order])
    start = np.interp(levels * total[-1], total, z[order])
    coefficients: Floats = np.linalg.lstsq(design, np.ones(len(z)), rcond=None)[0][:, None] * start
    losses = _smooth_losses(design, z, weights, levels, coefficients)
    for _ in range(STEPS):
        gradient, hessian = _derivatives(design, z, weights, levels, coefficients)
        steps = _solved(hessian, gradient)
        decrement = np.einsum("lp,lp->l", gradient, steps)
        if np.all(decrement < CLOSE * len(z)):
            break
        size = np.ones(len(levels))
        for _ in range(HALVINGS):
            tried = coefficients - (size[:, None] * steps).T
            new = _smooth_losses(design, z, weights, levels, tried)
            worse = new > losses - 1e-4 * size * decrement + 1e-12 * np.abs(losses)
            if not worse.any():
                break
            size = np.where(worse, 0.5 * size, size)
        better = new <= losses
        coefficients = np.where(better, tried, coefficients)
        losses = np.where(better, new, losses)
        if not np.any(better & (decrement >= CLOSE * len(z))):
            break
    return coefficients


def fit_again(
    design: Floats,
    z: Floats,
    weights: Floats,
    levels: Floats,
    coefficients: Floats,
    counts: npt.NDArray[np.uint8],
) -> Floats:
    """Fit to the same jets with other weights, by one Newton step from a fit of `fit_quantiles`.

    Args:
        design: As of the fit, like the next three.
        z: Shape (n,).
        weights: Shape (n,).
        levels: Shape (L,).
        coefficients: What the fit gave, shape (p, L).
        counts: Factors on the weights, shape (m, n), for each of m fits.

    Returns:
        Coefficients, shape (m, p, L).
    """
    p, n_levels = coefficients.shape
    gradients = np.zeros((len(counts), n_levels * p))
    hessians = np.zeros((len(counts), n_levels * p * p))
    width, weights = _bandwidth(*design.shape), weights / weights.mean()
    for start in range(0, len(z), ROWS):
        at = slice(start, start + ROWS)
        slope, density, products = _terms(design[at], z[at], levels, coefficients, width)
        factors = counts[:, at] * weights[at]
        gradients += factors @ (slope[:, :, None] * design[at, None]).reshape(-1, n_levels * p)
        terms = (density[:, :, None] * products[:, None]).reshape(-1, n_levels * p * p)
        hessians += factors @ terms
    steps = _solved(hessians.reshape(-1, p, p), gradients.reshape(-1, p))
    return np.asarray(coefficients - steps.reshape(-1, n_levels, p).transpose(0, 2, 1))


def pinball_losses(design: Floats, z: Floats, levels: Floats, coefficients: Floats) -> Floats:
    """Give the loss of each jet, (n,): the check function of all quantiles, each over its size at the median.

    Quantiles far out have small losses; divided by √(τ(1 − τ)) they count as the others.
    """
    residual = z[:, None] - design @ coefficients
    losses = residual * (levels - (residual < 0))
    return np.asarray((losses / np.sqrt(levels * (1 - levels))).sum(axis=1))


def _bandwidth(n: int, n_terms: int) -> float:
    return float(max(LEAST_BANDWIDTH, ((np.log(n) + n_terms) / n) ** 0.4))


def _smooth_losses(
    design: Floats, z: Floats, weights: Floats, levels: Floats, coefficients: Floats
) -> Floats:
    """Sum of the smoothed check functions, shape (L,)."""
    width = _bandwidth(*design.shape)
    t = (z[:, None] - design @ coefficients) / width
    size = np.sqrt(2 / np.pi) * np.exp(-0.5 * t**2) + t * special.erf(t / np.sqrt(2))
    return np.asarray(width * (weights @ (0.5 * size + (levels - 0.5) * t)))


def _derivatives(
    design: Floats, z: Floats, weights: Floats, levels: Floats, coefficients: Floats
) -> tuple[Floats, Floats]:
    """Gradients (L, p) and Hessians (L, p, p) of the smoothed loss."""
    p = design.shape[1]
    terms = _terms(design, z, levels, coefficients, _bandwidth(*design.shape))
    slope, density = (term * weights[:, None] for term in terms[:2])
    return slope.T @ design, (density.T @ terms[2]).reshape(-1, p, p)


def _terms(
    design: Floats, z: Floats, levels: Floats, coefficients: Floats, width: float
) -> tuple[Floats, Floats, Floats]:
    """First and second derivatives (n, L) of the smoothed loss by the quantile, and products of terms (n, p²)."""
    t = (design @ coefficients - z[:, None]) / width
    density = np.exp(-0.5 * t**2) / (np.sqrt(2 * np.pi) * width)
    products = (design[:, :, None] * design[:, None, :]).reshape(len(z), -1)
    return special.ndtr(t) - levels, density, products


def _solved(hessian: Floats, gradient: Floats) -> Floats:
    """Newton steps, shape (L, p); a slight ridge stands for directions without jets."""
    p = hessian.shape[1]
    size = np.trace(hessian, axis1=1, axis2=2)[:, None, None] + np.finfo(np.float64).tiny
    least = 1e-6 * np.ones_like(size)  # far from any jet the density is zero
    ridge = np.maximum(RIDGE * size / p, least * 1e-3)
    return np.asarray(np.linalg.solve(hessian + ridge * np.eye(p), gradient[:, :, None])[:, :, 0])
