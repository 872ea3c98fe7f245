"""Checked histograms: what may enter a fit or a scan, and which bins a window covers."""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

from oddjet.errors import FitError
from oddjet.typing import Bools, Floats

__all__ = ["BinnedCounts", "check_counts", "check_window", "overlaps"]

Window = tuple[float, float]


@dataclasses.dataclass(frozen=True)
class BinnedCounts:
    """Contents of bins that passed `check_counts`.

    Attributes:
        edges: Bin edges, n_bins + 1 of them [GeV].
        counts: Contents, shape (n_bins,), ≥ 0; NaN in the bins that are hidden.
        variances: Σw² a bin, shape (n_bins,); NaN in the bins that are hidden.
        hidden: Bins that are blinded, shape (n_bins,).
        is_data: Whether the contents are numbers of events (variance = content).
    """

    edges: Floats
    counts: Floats
    variances: Floats
    hidden: Bools
    is_data: bool

    @property
    def n_bins(self) -> int:
        """Number of bins."""
        return int(self.counts.size)

    @property
    def weight_scale(self) -> Floats:
        """Σw²/Σw a bin, shape (n_bins,): 1 for data; a typical weight for simulation.

        Empty bins take the ratio of the totals, because nothing is known of their own.
        """
        if self.is_data:
            return np.ones(self.n_bins)
        total, variance = np.nansum(self.counts), np.nansum(self.variances)
        typical = variance / total if total > 0 else 1.0
        filled = np.isfinite(self.counts) & (self.counts > 0) & (self.variances > 0)
        ratio = np.divide(self.variances, self.counts, out=np.ones(self.n_bins), where=filled)
        return np.where(filled, ratio, typical)


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
    # An edge written as 0.1 × 7 must not drag its neighbour in.
    slack = 1e-9 * (edges[-1] - edges[0])
    return np.asarray((edges[1:] > low + slack) & (edges[:-1] < high - slack))


def check_window(edges: Floats, window: Window, *, name: str = "window") -> Bools:
    """Mask of the bins under a window that must lie inside the range.

    Args:
        edges: Bin edges, n_bins + 1 of them [GeV].
        window: Lower and upper end [GeV].
        name: What the window is called in messages.

    Returns:
        Mask of shape (n_bins,).

    Raises:
        FitError: The window is empty, not finite, or reaches outside the range.
    """
    low, high = window
    slack = 1e-9 * (edges[-1] - edges[0])
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


def _check_edges(edges: Floats, n_bins: int) -> None:
    if edges.ndim != 1 or edges.size != n_bins + 1 or n_bins < 1:
        msg = f"expected {n_bins + 1} bin edges for {n_bins} bins, received shape {edges.shape}"
        raise FitError(msg)
    if not np.all(np.isfinite(edges)) or np.any(np.diff(edges) <= 0):
        msg = f"bin edges must be finite and increasing, received {edges.tolist()}"
        raise FitError(msg)


def _refuse(bad: Bools, values: Floats, edges: Floats, what: str, fix: str) -> None:
    if not bad.any():
        return
    first = int(np.flatnonzero(bad)[0])
    msg = (
        f"{int(bad.sum())} of {bad.size} bins have {what}; the first is "
        f"[{edges[first]:g}, {edges[first + 1]:g}) GeV with {values[first]:g}: {fix}"
    )
    raise FitError(msg)


def check_counts(
    counts: npt.ArrayLike,
    edges: npt.ArrayLike,
    *,
    variances: npt.ArrayLike | None = None,
    is_data: bool = True,
    blind_window: Window | None = None,
) -> BinnedCounts:
    """Check a histogram before anything is computed from it.

    Bins under `blind_window` are replaced by NaN first, so that nothing later can depend on them.

    Args:
        counts: Contents, shape (n_bins,).
        edges: Bin edges, n_bins + 1 of them [GeV].
        variances: Σw² a bin, shape (n_bins,); may be left out for data.
        is_data: Whether the contents are numbers of events.
        blind_window: Window whose contents are not looked at [GeV].

    Raises:
        FitError: Shapes do not fit; contents are negative, NaN or infinite; data are not whole
            numbers or their variances differ from their contents; simulation has no variances;
            a window lies outside the range; every bin is blinded.
    """
    contents = np.array(counts, dtype=np.float64)
    edges = np.asarray(edges, dtype=np.float64)
    if contents.ndim != 1:
        msg = f"expected counts of shape (n_bins,), received shape {contents.shape}"
        raise FitError(msg)
    _check_edges(edges, contents.size)
    hidden = np.zeros(contents.size, dtype=np.bool_)
    if blind_window is not None:
        hidden = check_window(edges, blind_window, name="blind window")
    if hidden.all():
        msg = f"all {hidden.size} bins are blinded by [{blind_window}) GeV: nothing is left to use"
        raise FitError(msg)
    contents[hidden] = np.nan
    seen = ~hidden
    _refuse(seen & ~np.isfinite(contents), contents, edges, "NaN or infinite contents", "fix them")
    _refuse(
        seen & (contents < 0),
        contents,
        edges,
        "negative contents",
        "the likelihood does not exist for them; use a sample without negative weights",
    )
    squares = _check_variances(contents, edges, variances, seen, is_data=is_data)
    return BinnedCounts(edges, contents, squares, hidden, is_data)


def _check_variances(
    counts: Floats, edges: Floats, variances: npt.ArrayLike | None, seen: Bools, *, is_data: bool
) -> Floats:
    if variances is None and not is_data:
        msg = "weighted simulation needs variances (Σw² a bin): fill with hist's Weight() storage"
        raise FitError(msg)
    squares = counts.copy() if variances is None else np.array(variances, dtype=np.float64)
    if squares.shape != counts.shape:
        msg = f"expected variances of shape {counts.shape}, received {squares.shape}"
        raise FitError(msg)
    squares[~seen] = np.nan
    bad = seen & ~(np.isfinite(squares) & (squares >= 0))
    _refuse(bad, squares, edges, "variances that are negative, NaN or infinite", "fix the weights")
    if is_data:
        off = seen & ~np.isclose(squares, counts, rtol=1e-6, atol=1e-9)
        fix = (
            "Σw² ≠ Σw in what is called data. Weighted simulation is fitted with is_data=False, "
            "or drawn as pseudo-data first"
        )
        _refuse(off, squares, edges, "a variance that differs from the content", fix)
        broken = seen & ~np.isclose(counts, np.round(counts), rtol=0, atol=1e-6)
        _refuse(broken, counts, edges, "fractional contents in what is called data", fix)
    elif np.any(seen & (counts > 0) & (squares == 0)):
        _refuse(
            seen & (counts > 0) & (squares == 0),
            squares,
            edges,
            "content but no variance",
            "fill with hist's Weight() storage",
        )
    return squares
