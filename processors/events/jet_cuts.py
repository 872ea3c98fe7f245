"""Kinematic cuts on jets."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from oddjet.processors.events.objects import Objects
from oddjet.typing import Bools, Ints

__all__ = ["is_leading", "passes_eta", "passes_pt", "rank_by_pt"]


def passes_pt(jets: Objects, *, pt_min: float, pt_max: float | None = None) -> Bools:
    """Find which jets have pt_min < pt [< pt_max] in GeV: bool (n_jets)."""
    pt = jets["pt"]
    mask: Bools = pt > pt_min
    return mask if pt_max is None else mask & (pt < pt_max)


def passes_eta(jets: Objects, *, eta_max: float) -> Bools:
    """Find which jets have |η| < eta_max: bool (n_jets)."""
    mask: Bools = np.abs(jets["eta"]) < eta_max
    return mask


def is_leading(jets: Objects, mask: Bools) -> Bools:
    """Mark the hardest jet of `mask` in each event, the first of equals: bool (n_jets)."""
    leading = np.zeros(len(jets), bool)
    chosen = np.flatnonzero(mask)
    event = jets.event[chosen]
    order = np.lexsort((-jets["pt"][chosen].astype(np.float64), event))
    first = np.flatnonzero(np.diff(event[order], prepend=-1))
    leading[chosen[order[first]]] = True
    return leading


def rank_by_pt(event: Ints, pt: npt.NDArray[Any]) -> Ints:
    """Place of each jet among those of its event, by falling pt."""
    order = np.lexsort((-pt.astype(np.float64), event))
    is_first = np.diff(event[order], prepend=-1) != 0
    count = np.arange(len(event))
    rank = np.empty(len(event), np.int64)
    rank[order] = count - np.maximum.accumulate(np.where(is_first, count, 0))
    return rank
