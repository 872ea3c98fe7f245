"""Matching of jets to generated jets."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from oddjet.processors.events.nearest import find_nearest
from oddjet.processors.events.objects import Objects

__all__ = ["match_generated"]


def match_generated(jets: Objects, generated: Objects, *, delta_r: float) -> npt.NDArray[np.int64]:
    """Match jets to the nearest generated jet of the same event closer than `delta_r`.

    Gives the place among all generated jets, −1 without (n_jets); several jets may share one.
    """
    index, distance = find_nearest(jets, generated)
    return np.where(distance < delta_r, index, -1)
