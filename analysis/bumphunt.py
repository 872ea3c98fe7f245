"""The bump hunt: the most improbable excess over a background, and how often chance makes one.

Every window of adjacent bins is tested: its local p is the Poisson probability of at least as
many events as are there, given the background. The BumpHunter statistic is −ln of the smallest
local p, and the global p is the fraction of background-only pseudo-experiments in which any
window anywhere did as well, (k + 1)/(n + 1), so never zero.

The background is taken as known: these are p-values with **fixed background**. They leave out the
uncertainty of the fit, so they are too small where that is comparable with the statistical one.

References:
    G. Choudalakis, arXiv:1101.0390, sections 2 and 3 (BumpHunter).
    pyBumpHunter, https://github.com/scikit-hep/pyBumpHunter.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import logging
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import special, stats

from oddjet.analysis.background.binned import Window, check_counts
from oddjet.errors import ConfigError, FitError

__all__ = ["BumpHunt", "WindowTable", "scan", "significance", "window_table"]

Array = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

BACKGROUND = "fixed background"

_log = logging.getLogger(__name__)


def significance(p_value: float) -> float:
    """One-sided Gaussian significance, never below 0: the z with P(Z ≥ z) = p.

    >>> round(significance(0.00135), 2)
    3.0
    """
    return max(float(stats.norm.isf(p_value)), 0.0)


@dataclasses.dataclass(frozen=True)
class WindowTable:
    """Every window that was tested, one entry a window.

    Attributes:
        low: Lower end [GeV].
        high: Upper end [GeV].
        width: Width in bins.
        observed: Events.
        expected: Background events.
        local_p: P(N ≥ observed | expected) for an excess; 1 where there is none.
    """

    low: Array
    high: Array
    width: Integers
    observed: Array
    expected: Array
    local_p: Array

    @property
    def n_windows(self) -> int:
        """Number of windows."""
        return int(self.low.size)

    def to_dict(self) -> dict[str, list[float]]:
        """All columns, ready for JSON."""
        return {each.name: getattr(self, each.name).tolist() for each in dataclasses.fields(self)}


@dataclasses.dataclass(frozen=True)
class BumpHunt:
    """The outcome of a scan with a fixed background.

    Attributes:
        window: The window with the smallest local p [GeV].
        observed: Events in it.
        expected: Background events in it.
        local_p_fixed_background: Its local p.
        global_p_fixed_background: (n_exceeding + 1) / (n_toys + 1).
        n_exceeding: Pseudo-experiments whose smallest local p was not larger.
        n_toys: Pseudo-experiments.
        seed: Their seed.
        widths: Narrowest and widest window [bins].
        table: Every window.
        toy_min_p: Smallest local p of each pseudo-experiment, shape (n_toys,).
        blind_window: Window that was not looked at [GeV], or None.
        label: What was scanned, for tables and plots.
    """

    window: Window
    observed: float
    expected: float
    local_p_fixed_background: float
    global_p_fixed_background: float
    n_exceeding: int
    n_toys: int
    seed: int
    widths: tuple[int, int]
    table: WindowTable
    toy_min_p: Array
    blind_window: Window | None = None
    label: str = ""

    @property
    def excess(self) -> float:
        """Events above the background in the window."""
        return self.observed - self.expected

    @property
    def has_excess(self) -> bool:
        """Whether any window at all holds more events than expected."""
        return self.local_p_fixed_background < 1.0

    @property
    def local_significance(self) -> float:
        """Gaussian significance of the local p."""
        return significance(self.local_p_fixed_background)

    @property
    def global_significance(self) -> float:
        """Gaussian significance of the global p; a lower bound where no toy exceeds."""
        return significance(self.global_p_fixed_background)

    @property
    def global_p_is_bound(self) -> bool:
        """Whether no pseudo-experiment did as well, so that the global p is an upper bound."""
        return self.n_exceeding == 0

    def to_dict(self) -> dict[str, Any]:
        """Every number, ready for JSON."""
        return {
            "label": self.label,
            "background": BACKGROUND,
            "window": list(self.window),
            "observed": self.observed,
            "expected": self.expected,
            "excess": self.excess,
            "has_excess": self.has_excess,
            "local_p_fixed_background": self.local_p_fixed_background,
            "local_significance_fixed_background": self.local_significance,
            "global_p_fixed_background": self.global_p_fixed_background,
            "global_significance_fixed_background": self.global_significance,
            "global_p_is_upper_bound": self.global_p_is_bound,
            "n_exceeding": self.n_exceeding,
            "n_toys": self.n_toys,
            "seed": self.seed,
            "widths": list(self.widths),
            "n_windows": self.table.n_windows,
            "blind_window": None if self.blind_window is None else list(self.blind_window),
            "windows": self.table.to_dict(),
        }


def _segments(hidden: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Runs of bins that may be looked at, as (first, one past the last)."""
    padded = np.concatenate([[True], hidden, [True]])
    starts = np.flatnonzero(padded[:-1] & ~padded[1:])
    stops = np.flatnonzero(~padded[:-1] & padded[1:])
    return [(int(start), int(stop)) for start, stop in zip(starts, stops, strict=True)]


def _check_background(background: npt.ArrayLike, n_bins: int, edges: Array) -> Array:
    expected = np.asarray(background, dtype=np.float64)
    if expected.shape != (n_bins,):
        msg = f"expected a background of shape ({n_bins},), received {expected.shape}"
        raise FitError(msg)
    bad = ~(np.isfinite(expected) & (expected > 0))
    if bad.any():
        first = int(np.flatnonzero(bad)[0])
        msg = (
            f"the background must be finite and positive in every bin; {int(bad.sum())} are not, "
            f"the first is [{edges[first]:g}, {edges[first + 1]:g}) GeV with {expected[first]:g}"
        )
        raise FitError(msg)
    return expected


def _check_widths(widths: tuple[int, int], segments: list[tuple[int, int]]) -> None:
    longest = max(stop - start for start, stop in segments)
    if not 1 <= widths[0] <= widths[1]:
        msg = f"expected widths 1 ≤ narrowest ≤ widest in bins, received {widths}"
        raise ConfigError(msg)
    if widths[0] > longest:
        msg = (
            f"no window fits: the narrowest is {widths[0]} bins and the longest run of bins that "
            f"may be looked at has {longest}: use narrower windows or finer bins"
        )
        raise FitError(msg)


def window_table(
    counts: npt.ArrayLike,
    edges: npt.ArrayLike,
    background: npt.ArrayLike,
    *,
    widths: tuple[int, int],
    blind_window: Window | None = None,
) -> WindowTable:
    """Local p of every window of adjacent bins.

    Args:
        counts: Numbers of events, shape (n_bins,).
        edges: Bin edges, n_bins + 1 of them [GeV].
        background: Expected events > 0, shape (n_bins,).
        widths: Narrowest and widest window [bins].
        blind_window: Window whose contents are not looked at [GeV]; no tested window touches it.

    Returns:
        Windows ordered by width, then by mass.

    Raises:
        FitError: The histogram or the background is not fit for it, or no window remains.
        ConfigError: The widths are not 1 ≤ narrowest ≤ widest.
    """
    data = check_counts(counts, edges, blind_window=blind_window)
    expected = _check_background(background, data.n_bins, data.edges)
    segments = _segments(data.hidden)
    _check_widths(widths, segments)
    firsts, spans = [], []
    for width in range(widths[0], widths[1] + 1):
        for start, stop in segments:
            first = np.arange(start, stop - width + 1)
            firsts.append(first)
            spans.append(np.full(first.size, width))
    first, span = np.concatenate(firsts), np.concatenate(spans)
    # Blinded bins count as zero in the running sums; no window contains one.
    sums = np.concatenate([[0.0], np.cumsum(np.where(data.hidden, 0.0, data.counts))])
    totals = np.concatenate([[0.0], np.cumsum(expected)])
    observed, predicted = sums[first + span] - sums[first], totals[first + span] - totals[first]
    # P(N ≥ n | b) is the regularised lower incomplete gamma function of (n, b).
    tail = special.gammainc(np.maximum(observed, 1.0), predicted)
    return WindowTable(
        low=data.edges[first],
        high=data.edges[first + span],
        width=span.astype(np.int64),
        observed=observed,
        expected=predicted,
        local_p=np.where(observed > predicted, tail, 1.0),
    )


def _pybumphunter(
    counts: Array, background: Array, *, widths: tuple[int, int], n_toys: int, seed: int
) -> tuple[float, Array]:
    """Smallest local p of the data and of each pseudo-experiment.

    One worker, because with several a worker's error is swallowed; the seed goes through numpy's
    global generator, whose state is put back afterwards.
    """
    from pyBumpHunter import BumpHunter1D  # noqa: PLC0415

    hunter = BumpHunter1D(
        mode="excess",
        width_min=widths[0],
        width_max=min(widths[1], counts.size),
        width_step=1,
        scan_step=1,
        npe=n_toys,
        nworker=1,
        seed=seed,
        use_sideband=False,
    )
    state = np.random.get_state()  # noqa: NPY002
    try:
        with contextlib.redirect_stdout(io.StringIO()), np.errstate(divide="ignore"):
            hunter.bump_scan(np.rint(counts).astype(np.int64), background, is_hist=True)
    finally:
        np.random.set_state(state)  # noqa: NPY002
    smallest = np.asarray(hunter.min_Pval_ar, dtype=np.float64)
    if smallest.shape != (n_toys + 1,) or not np.all((smallest >= 0) & (smallest <= 1)):
        msg = (
            f"pyBumpHunter gave {smallest.shape} smallest p-values between {smallest.min():g} and "
            f"{smallest.max():g}; expected {n_toys + 1} between 0 and 1"
        )
        raise FitError(msg)
    return float(smallest[0]), smallest[1:]


def scan(
    counts: npt.ArrayLike,
    edges: npt.ArrayLike,
    background: npt.ArrayLike,
    *,
    n_toys: int,
    seed: int,
    widths: tuple[int, int] = (2, 8),
    blind_window: Window | None = None,
    label: str = "",
) -> BumpHunt:
    """Scan a histogram for the most improbable excess over a fixed background.

    With `blind_window`, the bins left and right of it are scanned apart and every
    pseudo-experiment counts with its smaller p of the two sides, which is what one scan over
    both sides gives because the bins fluctuate independently.

    Args:
        counts: Numbers of events (data or pseudo-data), shape (n_bins,).
        edges: Bin edges, n_bins + 1 of them [GeV].
        background: Expected events > 0, shape (n_bins,), such as `BackgroundFit.expected`.
        n_toys: Background-only pseudo-experiments.
        seed: Their seed.
        widths: Narrowest and widest window [bins].
        blind_window: Window whose contents are not looked at [GeV].
        label: What is scanned, for tables and plots.

    Raises:
        FitError: The histogram or background is not fit for it, no window remains, or
            pyBumpHunter and the table of windows disagree.
        ConfigError: The widths or the number of toys cannot be meant.
    """
    if n_toys < 1:
        msg = f"expected at least one pseudo-experiment, received n_toys={n_toys}"
        raise ConfigError(msg)
    table = window_table(counts, edges, background, widths=widths, blind_window=blind_window)
    data = check_counts(counts, edges, blind_window=blind_window)
    expected = np.asarray(background, dtype=np.float64)
    segments = [each for each in _segments(data.hidden) if each[1] - each[0] >= widths[0]]
    seeds = np.random.SeedSequence(seed).generate_state(len(segments))
    smallest, toys = 1.0, np.ones(n_toys)
    for (start, stop), segment_seed in zip(segments, seeds, strict=True):
        ours, theirs = _pybumphunter(
            data.counts[start:stop],
            expected[start:stop],
            widths=widths,
            n_toys=n_toys,
            seed=int(segment_seed),
        )
        smallest, toys = min(smallest, ours), np.minimum(toys, theirs)
    best = int(np.argmin(table.local_p))
    local_p = float(table.local_p[best])
    if not np.isclose(smallest, local_p, rtol=1e-6, atol=1e-300):
        msg = f"pyBumpHunter's smallest local p {smallest:g} is not that of the table, {local_p:g}"
        raise FitError(msg)
    # A toy with the very same content must count as exceeding, whatever the last bit of its sum.
    n_exceeding = int(np.sum(toys <= smallest * (1.0 + 1e-9)))
    _log.info("bump hunt over %d windows: local p %.3g", table.n_windows, local_p)
    return BumpHunt(
        window=(float(table.low[best]), float(table.high[best])),
        observed=float(table.observed[best]),
        expected=float(table.expected[best]),
        local_p_fixed_background=local_p,
        global_p_fixed_background=(n_exceeding + 1) / (n_toys + 1),
        n_exceeding=n_exceeding,
        n_toys=n_toys,
        seed=seed,
        widths=widths,
        table=table,
        toy_min_p=toys,
        blind_window=blind_window,
        label=label,
    )
