"""Survival from a ladder of quantiles, a ladder of its own for each jet."""

from __future__ import annotations

import numpy as np

from oddjet.typing import Floats

__all__ = ["SURVIVALS", "interpolate_survival"]


SURVIVALS = np.array([0.95, 0.8, 0.65, 0.5, 0.35, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005])
"""Fractions of background above the rungs, from the lowest rung up."""

TAIL_FROM = 0.1
LEAST_STEP = 1e-6


def interpolate_survival(values: Floats, rungs: Floats, survivals: Floats = SURVIVALS) -> Floats:
    """Give −ln of the survival of each value on its own ladder.

    Between two rungs it is interpolated; beyond the ends it goes on with the mean slope of the
    rungs from `TAIL_FROM` up, or from the median down, since the last two are too near each other
    to tell a slope. EfficiencySteps that cross are sorted, which never makes quantiles worse.

    Args:
        values: Shape (n,).
        rungs: Value that a fraction `survivals[j]` lies above, shape (n, L).
        survivals: Descending, shape (L,).

    Returns:
        Shape (n,), strictly rising with each value; negative below the lowest rungs.

    References:
        Chernozhukov, Fernández-Val and Galichon, arXiv:0704.3649, on rearrangement.
    """
    heights = -np.log(survivals)
    n_rungs = len(heights)
    ladder = np.sort(rungs, axis=1) + LEAST_STEP * np.arange(n_rungs)
    below = np.clip(np.sum(ladder <= values[:, None], axis=1) - 1, 0, n_rungs - 2)
    rows = np.arange(len(values))
    left, right = ladder[rows, below], ladder[rows, below + 1]
    inside = np.clip((values - left) / (right - left), 0.0, 1.0)
    between = heights[below] + inside * (heights[below + 1] - heights[below])
    tail = int(np.searchsorted(-survivals, -TAIL_FROM))
    tail = min(tail, n_rungs - 2)
    median = max(int(np.searchsorted(-survivals, -0.5)), 1)
    up = (heights[-1] - heights[tail]) / (ladder[:, -1] - ladder[:, tail])
    down = (heights[median] - heights[0]) / (ladder[:, median] - ladder[:, 0])
    above = np.maximum(values - ladder[:, -1], 0.0) * up
    under = np.minimum(values - ladder[:, 0], 0.0) * down
    return np.asarray(between + above + under)
