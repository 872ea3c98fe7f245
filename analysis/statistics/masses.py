"""Ranges of mass: which bins a window covers, and whether bins are the same."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np

from oddjet.errors import FitError
from oddjet.typing import Bools, Floats

__all__ = [
    "Window",
    "check_edges",
    "check_same_edges",
    "check_window",
    "hull",
    "overlaps",
    "slack_of",
    "whole_bins",
]

SAME_EDGES = 1e-6
"""How far apart edges of equal bins may be [narrowest bin]."""
SLACK = 1e-9
"""An edge written as 0.1 × 7 must not drag its neighbour in [range]."""

Window: TypeAlias = tuple[float, float]
"""Lower and upper end of a range of masses, [low, high) [GeV]."""


def slack_of(edges: Floats) -> float:
    """How far a mass may be from an edge and still count as on it [GeV]."""
    return SLACK * float(edges[-1] - edges[0])


def overlaps(edges: Floats, window: Window) -> Bools:
    """Which bins share some width with a window [low, high).

    Args:
        edges: Bin edges, n_bins + 1 of them [GeV].
        window: Lower and upper end [GeV].

    Returns:
        Mask of shape (n_bins,).

    >>> overlaps(np.array([0.0, 1.0, 2.0, 3.0]), (1.0, 1.5))
    array([False,  True, False])
    """
    low, high = window
    slack = slack_of(edges)
    return np.asarray((edges[1:] > low + slack) & (edges[:-1] < high - slack))


def check_window(edges: Floats, window: Window, *, name: str = "window") -> Bools:
    """Mask (n_bins,) of the bins under a window [GeV] that must lie inside the range.

    Raises:
        FitError: The window is empty, not finite, or reaches outside the range.
    """
    low, high = window
    slack = slack_of(edges)
    if not (np.isfinite(low) and np.isfinite(high) and low < high):
        msg = f"expected a {name} low < high in GeV, received [{low:g}, {high:g})"
        raise FitError(msg)
    if low < edges[0] - slack or high > edges[-1] + slack:
        msg = (
            f"the {name} [{low:g}, {high:g}) GeV reaches outside the histogram's range "
            f"[{edges[0]:g}, {edges[-1]:g}) GeV: widen the mass axis or move the {name}"
        )
        raise FitError(msg)
    return overlaps(edges, window)


def whole_bins(edges: Floats, window: Window) -> Window:
    """Widen a window to the whole bins that it overlaps, as blinding does [GeV].

    Raises:
        FitError: As `check_window`.

    >>> whole_bins(np.array([0.0, 1.0, 2.0, 3.0]), (1.2, 1.5))
    (1.0, 2.0)
    """
    first, last = np.flatnonzero(check_window(edges, window))[[0, -1]]
    return float(edges[first]), float(edges[last + 1])


def hull(first: Window | None, second: Window | None) -> Window | None:
    """The shortest range that covers two windows [GeV]; None where there is none.

    >>> hull((60.0, 100.0), (90.0, 120.0))
    (60.0, 120.0)
    """
    if first is None or second is None:
        return first or second
    return min(first[0], second[0]), max(first[1], second[1])


def check_same_edges(edges: Floats, wanted: Floats, name: str) -> None:
    """Check that a background or template, called `name`, has the wanted edges [GeV].

    Raises:
        FitError: It has others.
    """
    width = float(np.diff(wanted).min())
    if edges.shape == wanted.shape and np.allclose(edges, wanted, rtol=0, atol=SAME_EDGES * width):
        return
    msg = (
        f"{name} has {edges.size - 1} bins in [{edges[0]:g}, {edges[-1]:g}] GeV, the spectrum "
        f"{wanted.size - 1} in [{wanted[0]:g}, {wanted[-1]:g}] GeV: give both the same bins"
    )
    raise FitError(msg)


def check_edges(edges: Floats, n_bins: int) -> None:
    """Check that edges [GeV] are n_bins + 1 finite, increasing numbers.

    Raises:
        FitError: They are not.
    """
    if edges.ndim != 1 or edges.size != n_bins + 1 or n_bins < 1:
        msg = f"expected {n_bins + 1} bin edges for {n_bins} bins, received shape {edges.shape}"
        raise FitError(msg)
    if not np.all(np.isfinite(edges)) or np.any(np.diff(edges) <= 0):
        msg = f"bin edges must be finite and increasing, received {edges.tolist()}"
        raise FitError(msg)
