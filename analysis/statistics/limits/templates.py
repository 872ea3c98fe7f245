"""Shapes of signal and background in bins of mass, and how uncertainties change them."""

from __future__ import annotations

import numpy as np
from scipy.interpolate import PchipInterpolator

from oddjet.analysis.statistics.background.fit import BackgroundFit
from oddjet.typing import Floats

__all__ = ["function_modes", "warp_template"]


NEGLIGIBLE = 1e-9
"""A direction of the parameters that changes the spectrum by less than this part of the largest is none."""


def warp_template(
    counts: Floats,
    edges: Floats,
    *,
    scale: float = 1.0,
    stretch: float = 1.0,
    mean: float | None = None,
) -> Floats:
    """Move every jet of a histogram from m to scale · (m̄ + stretch · (m − m̄)), m̄ the mean.

    Between the edges, the cumulative distribution is interpolated by monotone cubics. Jets moved
    beyond the range are lost, and nothing comes in from outside.

    Args:
        counts: Contents, shape (n_bins,).
        edges: Bin edges, n_bins + 1 of them [GeV].
        scale: Factor of the mass: a shift of the jet mass scale.
        stretch: Factor of the distance from the mean: a change of the resolution.
        mean: m̄ [GeV]; that of the histogram if None.

    Returns:
        Contents, shape (n_bins,).

    >>> edges = np.array([0.0, 1.0, 2.0, 4.0, 8.0])
    >>> warp_template(np.array([0.0, 1.0, 0.0, 0.0]), edges, scale=2.0).tolist()
    [0.0, 0.0, 1.0, 0.0]
    """
    total = float(counts.sum())
    if total <= 0:
        return counts.copy()
    if mean is None:
        mean = float(counts @ (0.5 * (edges[:-1] + edges[1:]))) / total
    origin = mean + (edges / scale - mean) / stretch
    cumulative = np.concatenate([[0.0], np.cumsum(counts)])
    # Interpolation is constant beyond the edges.
    return np.asarray(
        np.diff(PchipInterpolator(edges, cumulative)(np.clip(origin, *edges[[0, -1]])))
    )


def function_modes(fit: BackgroundFit) -> Floats:
    """Changes of ln(events), (n_modes, n_bins), that are all a fit can do, to first order.

    One unit of each is one σ of a Poisson spectrum with the fit's expectation beside the window. For a function
    whose logarithm is linear in its parameters, in bins in which it changes little, this is the
    function itself and not an approximation.

    Where nothing is expected they are zero.
    """
    events, jacobian = fit.fitted.function.on(fit.edges).expected_and_jacobian(
        fit.fitted.parameters
    )
    logs = jacobian / np.where(events > 0, events, np.inf)[:, None]
    design = logs[fit.use] * np.sqrt(events[fit.use])[:, None]
    _, singular, directions = np.linalg.svd(design, full_matrices=False)
    kept = singular > NEGLIGIBLE * singular[0]
    modes = (logs @ directions[kept].T / singular[kept]).T
    return np.asarray(modes * np.where(modes.sum(axis=1) < 0, -1.0, 1.0)[:, None])
