"""Survival from conditional quantiles, of which each jet has its own."""

from __future__ import annotations

import numpy as np

from oddjet.typing import Floats

__all__ = ["SURVIVALS", "interpolate_survival", "values_of_survival"]


SURVIVALS = np.array([0.95, 0.8, 0.65, 0.5, 0.35, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005])
"""Fractions of background above the quantiles, from the lowest quantile up."""

TAIL_FROM = 0.1
LEAST_STEP = 1e-6


def interpolate_survival(
    values: Floats, quantiles: Floats, survivals: Floats = SURVIVALS
) -> Floats:
    """Give −ln of the survival of values (n,) among quantiles (n, L) of descending survivals (L,).

    Between two quantiles it is interpolated; beyond the ends it goes on with the mean slope of the
    quantiles from `TAIL_FROM` up, or from the median down, since the last two are too near each other
    to have a slope. Quantiles that cross are sorted, which never makes them worse.

    The result (n,) rises strictly with each value; it is negative below the lowest quantiles.

    References:
        Chernozhukov, Fernández-Val and Galichon, arXiv:0704.3649, on rearrangement.
    """
    heights, rising, up, down = _ladder(quantiles, survivals)
    below = np.clip(np.sum(rising <= values[:, None], axis=1) - 1, 0, len(heights) - 2)
    rows = np.arange(len(values))
    left, right = rising[rows, below], rising[rows, below + 1]
    inside = np.clip((values - left) / (right - left), 0.0, 1.0)
    between = heights[below] + inside * (heights[below + 1] - heights[below])
    above = np.maximum(values - rising[:, -1], 0.0) * up
    under = np.minimum(values - rising[:, 0], 0.0) * down
    return np.asarray(between + above + under)


def values_of_survival(logs: Floats, quantiles: Floats, survivals: Floats = SURVIVALS) -> Floats:
    """Give the values (n,) whose −ln of the survival among quantiles (n, L) is given: the inverse of the above."""
    heights, rising, up, down = _ladder(quantiles, survivals)
    below = np.clip(np.searchsorted(heights, logs, side="right") - 1, 0, len(heights) - 2)
    rows = np.arange(len(logs))
    left, right = rising[rows, below], rising[rows, below + 1]
    inside = np.clip((logs - heights[below]) / (heights[below + 1] - heights[below]), 0.0, 1.0)
    above = np.maximum(logs - heights[-1], 0.0) / up
    under = np.minimum(logs - heights[0], 0.0) / down
    return np.asarray(left + inside * (right - left) + above + under)


def _ladder(quantiles: Floats, survivals: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """Heights (L,), rising quantiles (n, L), and the slopes (n,) beyond the highest and the lowest."""
    heights = -np.log(survivals)
    n_quantiles = len(heights)
    rising = np.sort(quantiles, axis=1) + LEAST_STEP * np.arange(n_quantiles)
    tail = int(np.searchsorted(-survivals, -TAIL_FROM))
    tail = min(tail, n_quantiles - 2)
    median = max(int(np.searchsorted(-survivals, -0.5)), 1)
    up = (heights[-1] - heights[tail]) / (rising[:, -1] - rising[:, tail])
    down = (heights[median] - heights[0]) / (rising[:, median] - rising[:, 0])
    return heights, rising, up, down
