"""Noise filters: did the event pass all of these?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["passes_noise_filters"]


def passes_noise_filters(events: Any, *, filters: Sequence[str]) -> npt.NDArray[np.bool_]:
    """Find which events passed every filter, at least one Flag_… branch: bool (n_events)."""
    passed: npt.NDArray[np.bool_] = np.logical_and.reduce(
        [np.asarray(events[name], bool) for name in filters]
    )
    return passed
