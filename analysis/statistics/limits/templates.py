"""Shapes of signal and background in bins of mass, and how uncertainties change them."""

from __future__ import annotations

import numpy as np
from scipy.interpolate import PchipInterpolator

from oddjet.analysis.statistics.background.fit import BackgroundFit
from oddjet.errors import FitError
from oddjet.typing import Bools, Floats

__all__ = ["function_modes", "interpolated", "retagged", "warp_template"]


NEGLIGIBLE = 1e-9
"""A direction of the parameters that changes the spectrum by less than this part of the largest is none."""
BESIDE = 4
"""Bins on either side that a gap is interpolated from, at least; as many as the gap has if these are more."""
NEWTON_STEPS = 50


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


def interpolated(edges: Floats, counts: Floats, hidden: Bools) -> Floats:
    """Fill hidden bins of a spectrum by what is beside them.

    ln(events / GeV) is a cubic of mass there, a straight line where one side has fewer than three bins, by maximum
    likelihood of the bins beside.

    Args:
        edges: Bin edges, n_bins + 1 of them [GeV].
        counts: Events, shape (n_bins,); those of hidden bins are not looked at.
        hidden: Bins to fill, shape (n_bins,), which are next to each other.

    Raises:
        FitError: Fewer than two bins are seen.
    """
    places = np.flatnonzero(hidden)
    first, last, reach = places[0], places[-1], max(BESIDE, places.size)
    near = ~hidden & (np.arange(counts.size) >= first - reach)
    near &= np.arange(counts.size) <= last + reach
    if near.sum() < 2:
        msg = f"{near.sum()} bins beside the blinded ones: expected two or more. Use a wider range or a narrower window"
        raise FitError(msg)
    sides = (int(near[:first].sum()), int(near[last + 1 :].sum()))
    centres, widths = 0.5 * (edges[1:] + edges[:-1]), np.diff(edges)
    low, high = centres[near | hidden][[0, -1]]
    x = 2.0 * (centres - low) / (high - low) - 1.0
    design = np.polynomial.legendre.legvander(x, 3 if min(sides) >= 3 else 1)
    seen, basis, width = counts[near], design[near], widths[near]
    q = np.linalg.lstsq(basis, np.log((seen + 0.5) / width), rcond=None)[0]
    for _ in range(NEWTON_STEPS):
        mean = width * np.exp(basis @ q)
        information = (basis * mean[:, None]).T @ basis
        step = np.linalg.lstsq(information, basis.T @ (seen - mean), rcond=None)[0]
        q = q + step / max(1.0, float(np.abs(basis @ step).max()))
        if float(np.abs(basis @ step).max()) < 1e-9:
            break
    return np.where(hidden, widths * np.exp(design @ q), counts)


def retagged(contents: Floats, change: float) -> Floats:
    """Give contents (n_regions, n_scores, n_bins) an efficiency of all cuts that is larger by a relative change.

    All jets stay the same; the first score bin holds those that fail.
    """
    passing = contents[:, 1:].sum()
    failing = contents[:, 0].sum()
    other = np.maximum(1.0 - change * passing / failing, 0.0) if failing > 0 else 1.0
    return np.concatenate([contents[:, :1] * other, contents[:, 1:] * (1.0 + change)], axis=1)
