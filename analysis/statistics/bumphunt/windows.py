"""The windows of a scan, every run of adjacent bins that may be looked at; and what was found in them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from oddjet.analysis.statistics.spectrum import Window
from oddjet.errors import ConfigError, FitError
from oddjet.typing import Bools, Floats, Ints

__all__ = ["WindowTable", "Windows", "make_windows", "ranges"]


@dataclasses.dataclass(frozen=True)
class Windows:
    """Windows of adjacent bins, ordered by width, then by mass.

    Attributes:
        edges: Bin edges, n_bins + 1 of them [GeV].
        firsts: First bin of each window, shape (n_windows,).
        stops: One past its last bin, shape (n_windows,).
    """

    edges: Floats
    firsts: Ints
    stops: Ints

    @property
    def n_windows(self) -> int:
        """Number of windows."""
        return int(self.firsts.size)

    @property
    def low(self) -> Floats:
        """Lower ends [GeV], shape (n_windows,)."""
        return self.edges[self.firsts]

    @property
    def high(self) -> Floats:
        """Upper ends [GeV], shape (n_windows,)."""
        return self.edges[self.stops]

    @property
    def widths(self) -> Ints:
        """Widths in bins, shape (n_windows,)."""
        return self.stops - self.firsts

    @property
    def mask(self) -> Bools:
        """Bins that lie in each window, shape (n_windows, n_bins)."""
        bins = np.arange(self.edges.size - 1)
        return np.asarray((bins >= self.firsts[:, None]) & (bins < self.stops[:, None]))

    @property
    def covered(self) -> Bools:
        """Bins that lie in some window, shape (n_bins,)."""
        steps = np.zeros(self.edges.size, dtype=np.int64)
        np.add.at(steps, self.firsts, 1)
        np.add.at(steps, self.stops, -1)
        return np.asarray(np.cumsum(steps)[:-1] > 0)

    @property
    def unreached(self) -> tuple[Window, ...]:
        """Ranges that no window reaches [GeV]."""
        return ranges(self.edges, ~self.covered)

    def select(self, keep: Bools) -> Windows:
        """Take the windows of a mask (n_windows,).

        Raises:
            FitError: None is left.
        """
        if not keep.any():
            msg = "no window is left: the background is zero wherever one could be, or none has a bin on either side"
            raise FitError(msg)
        return Windows(self.edges, self.firsts[keep], self.stops[keep])

    def sums(self, spectra: npt.ArrayLike) -> Floats:
        """Add up the bins of every window: (..., n_bins) → (..., n_windows)."""
        spectra = np.asarray(spectra, dtype=np.float64)
        running = np.concatenate(
            [np.zeros((*spectra.shape[:-1], 1)), np.cumsum(spectra, axis=-1)], axis=-1
        )
        return np.asarray(running[..., self.stops] - running[..., self.firsts])


def ranges(edges: Floats, bins: Bools) -> tuple[Window, ...]:
    """Runs of adjacent bins as ranges of mass [GeV].

    >>> ranges(np.array([0.0, 1.0, 2.0, 3.0]), np.array([True, True, False]))
    ((0.0, 2.0),)
    """
    steps = np.diff(np.concatenate([[0], np.asarray(bins, dtype=np.int64), [0]]))
    ends = zip(edges[steps == 1], edges[steps == -1], strict=True)
    return tuple((float(low), float(high)) for low, high in ends)


def make_windows(
    edges: npt.ArrayLike,
    widths: tuple[int, int],
    *,
    hidden: Bools | None = None,
    sidebands: bool = False,
    only: Sequence[Window] | None = None,
) -> Windows:
    """List the windows.

    Args:
        edges: Bin edges, n_bins + 1 of them [GeV].
        widths: Narrowest and widest window [bins].
        hidden: Bins that may not be looked at, shape (n_bins,); no window holds one.
        sidebands: Whether a window needs a bin on either side, for a fit beside it.
        only: These windows alone, whatever their widths [GeV]; they begin and end at edges.

    Raises:
        ConfigError: The widths are not 1 ≤ narrowest ≤ widest, or a window does not begin and end at edges.
        FitError: No window fits.
    """
    edges = np.asarray(edges, dtype=np.float64)
    n_bins = edges.size - 1
    if not 1 <= widths[0] <= widths[1]:
        msg = f"expected widths 1 ≤ narrowest ≤ widest in bins, received {widths}"
        raise ConfigError(msg)
    margin = 1 if sidebands else 0
    blocked = np.zeros(n_bins) if hidden is None else np.asarray(hidden, dtype=np.float64)
    inside = np.concatenate([[0.0], np.cumsum(blocked)])
    firsts, stops = [], []
    if only is not None:
        first, stop = _at_edges(edges, only)
        fits = (inside[stop] == inside[first]) & (first >= margin) & (stop <= n_bins - margin)
        return Windows(edges, first, stop).select(fits)
    for width in range(widths[0], min(widths[1], n_bins) + 1):
        first = np.arange(margin, n_bins - width + 1 - margin)
        first = first[inside[first + width] == inside[first]]
        firsts.append(first)
        stops.append(first + width)
    first = np.concatenate(firsts) if firsts else np.zeros(0, dtype=np.int64)
    if first.size == 0:
        msg = (
            f"no window fits: the narrowest is {widths[0]} bins, and of {n_bins} bins "
            f"{int(n_bins - blocked.sum())} may be looked at: use narrower windows or finer bins"
        )
        raise FitError(msg)
    return Windows(edges, first.astype(np.int64), np.concatenate(stops).astype(np.int64))


def _at_edges(edges: Floats, windows: Sequence[Window]) -> tuple[Ints, Ints]:
    """First bin, and one past the last, of windows that begin and end at edges."""
    ends = np.array(windows, dtype=np.float64).reshape(-1, 2)
    places = np.abs(edges[:, None] - ends.ravel()).argmin(axis=0).reshape(-1, 2)
    slack = 1e-6 * float(np.diff(edges).min())
    off = (np.abs(edges[places] - ends) > slack).any(axis=1) | (places[:, 0] >= places[:, 1])
    if off.any():
        low, high = ends[off][0]
        msg = f"windows: {low:g}–{high:g} GeV does not begin and end at edges of bins, the lower first"
        raise ConfigError(msg)
    return places[:, 0].astype(np.int64), places[:, 1].astype(np.int64)


@dataclasses.dataclass(frozen=True)
class WindowTable:
    """Every window that was tested in one spectrum, one entry a window.

    Attributes:
        low: Lower end [GeV].
        high: Upper end [GeV].
        width: Width [bins].
        observed: Events.
        expected: Background events, from the fit beside the window; NaN where none is valid.
        expected_error: Their uncertainty, 0 for a background that is given.
        local_p: With this uncertainty; 1 where there is no excess, NaN without a fit.
        local_p_fixed_background: Without it.
        local_p_toys: Share of the pseudo-experiments that did as well here.
        goodness_of_fit_p: Of the fit beside the window, or of signal and background: tail of the
            deviance under χ², which is rough for bins of few events; NaN without a fit.
        goodness_of_fit_p_toys: Share of the pseudo-experiments that were fitted as badly.
        function: The function that was chosen, empty for a given background.
    """

    low: Floats
    high: Floats
    width: Ints
    observed: Floats
    expected: Floats
    expected_error: Floats
    local_p: Floats
    local_p_fixed_background: Floats
    local_p_toys: Floats
    goodness_of_fit_p: Floats
    goodness_of_fit_p_toys: Floats
    function: tuple[str, ...]

    @property
    def n_windows(self) -> int:
        """Number of windows."""
        return int(self.low.size)

    @property
    def n_failed(self) -> int:
        """Windows without a valid fit: they have no p-value."""
        return int(np.count_nonzero(np.isnan(self.local_p)))

    @property
    def best(self) -> int:
        """The window with the smallest local p; the first where none has an excess."""
        return int(np.argmin(np.where(np.isnan(self.local_p), 2.0, self.local_p)))

    def to_dict(self) -> dict[str, Any]:
        """All columns, ready for JSON."""
        columns = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {name: np.asarray(values).tolist() for name, values in columns.items()}
