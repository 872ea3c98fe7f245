"""Shapes of signal and background in bins of mass, and how uncertainties change them."""

from __future__ import annotations

import numpy as np
from scipy.interpolate import PchipInterpolator

from oddjet.typing import Floats

__all__ = ["background_modes", "warp_template"]


NEGLIGIBLE = 1e-6
"""A mode is left out below this fraction of the largest one's variance."""


def warp_template(
    counts: Floats, edges: Floats, *, scale: float = 1.0, stretch: float = 1.0
) -> Floats:
    """Move every jet of a histogram from m to scale · (m̄ + stretch · (m − m̄)), m̄ the mean.

    Between the edges, the cumulative distribution is interpolated by monotone cubics. Jets moved
    beyond the range are lost, and nothing comes in from outside.

    Args:
        counts: Contents, shape (n_bins,).
        edges: Bin edges, n_bins + 1 of them [GeV].
        scale: Factor of the mass: a shift of the jet mass scale.
        stretch: Factor of the distance from the mean: a change of the resolution.

    Returns:
        Contents, shape (n_bins,).

    >>> edges = np.array([0.0, 1.0, 2.0, 4.0, 8.0])
    >>> warp_template(np.array([0.0, 1.0, 0.0, 0.0]), edges, scale=2.0).tolist()
    [0.0, 0.0, 1.0, 0.0]
    """
    total = float(counts.sum())
    if total <= 0:
        return counts.copy()
    mean = float(counts @ (0.5 * (edges[:-1] + edges[1:]))) / total
    origin = mean + (edges / scale - mean) / stretch
    cumulative = np.concatenate([[0.0], np.cumsum(counts)])
    # Interpolation is constant beyond the edges.
    return np.asarray(
        np.diff(PchipInterpolator(edges, cumulative)(np.clip(origin, *edges[[0, -1]])))
    )


def background_modes(covariance: Floats) -> list[Floats]:
    """Independent one-σ changes of a spectrum that together have its covariance.

    The eigenvectors, each times the root of its eigenvalue, largest first: V = Σ d dᵀ.

    Args:
        covariance: Between bins, shape (n_bins, n_bins).

    Returns:
        Changes d, each of shape (n_bins,), with a positive sum.
    """
    values, vectors = np.linalg.eigh(covariance)
    kept = values > NEGLIGIBLE * max(float(values.max(initial=0.0)), 0.0)
    modes = [np.sqrt(values[i]) * vectors[:, i] for i in np.flatnonzero(kept)[::-1]]
    return [mode if mode.sum() >= 0 else -mode for mode in modes]
