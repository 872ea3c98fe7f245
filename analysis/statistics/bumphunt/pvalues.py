"""Local p-values of a window: with a background that is known, and with one that was fitted."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import special, stats

from oddjet.typing import Floats

__all__ = ["on_off_p", "poisson_p", "significance", "toy_p", "weighted_p"]


def significance(p_value: float) -> float:
    """One-sided Gaussian significance, never below 0: the z with P(Z ≥ z) = p.

    >>> round(significance(0.00135), 2)
    3.0
    """
    return max(float(stats.norm.isf(p_value)), 0.0)


def poisson_p(observed: npt.ArrayLike, background: npt.ArrayLike) -> Floats:
    """Probability of at least as many events, given the background; 1 where there is no excess.

    Args:
        observed: Events, any shape.
        background: Expected events > 0, of a shape that broadcasts with it.

    >>> poisson_p([0, 3], 1.0).round(4)
    array([1.    , 0.0803])
    """
    n, b = np.broadcast_arrays(
        np.asarray(observed, dtype=np.float64), np.asarray(background, dtype=np.float64)
    )
    p = np.ones(n.shape)
    above = n > b
    # P(N ≥ n | b) is the regularised lower incomplete gamma function of (n, b).
    p[above] = special.gammainc(n[above], b[above])
    return p


def on_off_p(observed: npt.ArrayLike, background: npt.ArrayLike, variance: npt.ArrayLike) -> Floats:
    """The same for a background with an uncertainty; 1 where there is no excess, NaN without a fit.

    A background b ± σ is what a sideband of b²/σ² events, b/σ² times as large as the window, would
    tell. The p-value is the exact one of that counting experiment. It goes over to `poisson_p` for
    σ → 0.

    Args:
        observed: Events, any shape.
        background: Predicted events, of a shape that broadcasts with it; NaN without a fit.
        variance: Their variance, of the same shape.

    References:
        R. D. Cousins, J. T. Linnemann and J. Tucker, arXiv:physics/0702156, eqs. 8, 14 and 15.

    >>> float(on_off_p(10, 4.0, 4.0**2 / 16).round(5))  # 16 events in a sideband four times as large
    0.02322
    """
    n, b, v = np.broadcast_arrays(
        *(np.asarray(values, dtype=np.float64) for values in (observed, background, variance))
    )
    p = np.ones(n.shape)
    p[~(np.isfinite(b) & np.isfinite(v))] = np.nan
    above = n > b
    known = above & (v <= 1e-12 * b**2)
    p[known] = special.gammainc(n[known], b[known])
    fitted = above & ~known & np.isfinite(v)
    n, b, v = n[fitted], b[fitted], v[fitted]
    p[fitted] = special.betainc(n, b**2 / v + 1.0, 1.0 / (1.0 + b / v))
    return p


def weighted_p(observed: npt.ArrayLike, background: npt.ArrayLike, weight: npt.ArrayLike) -> Floats:
    """The same for a background that was counted with weights, of which there may have been no event.

    Args:
        observed: Events, any shape.
        background: Sum of the weights, of a shape that broadcasts with it.
        weight: Weight of an event, Σw²/Σw where there are some; 0 for a background that is known.

    >>> weighted_p([10, 2], [4.0, 0.0], 0.25).round(5)  # 16 events of weight ¼; none, each worth ¼
    array([0.02322, 0.04   ])
    """
    n, b, w = np.broadcast_arrays(
        *(np.asarray(values, dtype=np.float64) for values in (observed, background, weight))
    )
    p = np.ones(n.shape)
    above = n > b
    known, counted = above & (w <= 0), above & (w > 0)
    p[known] = special.gammainc(n[known], b[known])
    n, b, w = n[counted], b[counted], w[counted]
    p[counted] = special.betainc(n, b / w + 1.0, w / (1.0 + w))
    return p


def toy_p(n_exceeding: npt.ArrayLike, n_toys: int) -> Floats:
    """The p-value (k + 1)/(n + 1) of k among n pseudo-experiments that were as extreme: never zero."""
    return np.asarray((np.asarray(n_exceeding, dtype=np.float64) + 1.0) / (n_toys + 1.0))
