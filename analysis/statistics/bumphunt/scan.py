"""The scan: every window of every spectrum, and how often background alone does as well anywhere.

The BumpHunter statistic is the smallest local p of all windows of all spectra. Its distribution comes
from pseudo-experiments, which are fitted again in the same way as the data, window by window.

References:
    G. Choudalakis, arXiv:1101.0390, sections 2 and 3 (BumpHunter).
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

from oddjet.analysis.statistics.background.binned import Window, check_counts
from oddjet.analysis.statistics.background.many import BatchModel
from oddjet.analysis.statistics.background.signal import gaussian_fractions
from oddjet.analysis.statistics.bumphunt.joint import JointTable
from oddjet.analysis.statistics.bumphunt.pvalues import toy_p
from oddjet.analysis.statistics.bumphunt.result import BumpHunt, ChannelScan
from oddjet.analysis.statistics.bumphunt.statistic import (
    FittedBeside,
    GivenBackground,
    SignalFitted,
    Statistic,
)
from oddjet.analysis.statistics.bumphunt.windows import Windows, make_windows
from oddjet.errors import ConfigError, FitError
from oddjet.typing import Floats

__all__ = ["scan", "scan_jointly", "scan_signals"]


FITS_AT_ONCE = 50_000
"""Windows of spectra that are fitted in one block: memory stays small, and blocks run side by side."""
SLACK = 1.0 + 1e-9
"""A toy with the very same content must count as exceeding, whatever the last bit of its p."""

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class _Toys:
    """What pseudo-experiments gave: smallest p (n_toys, n_spectra), exceeding (n_spectra, n_windows)."""

    smallest: Floats
    exceeding: Floats
    n_failed: int


def scan_jointly(
    table: JointTable,
    *,
    n_toys: int,
    seed: int,
    widths: tuple[int, int] = (2, 8),
    function: str = "auto",
    workers: int = 1,
) -> BumpHunt:
    """Scan spectra that share jets; each window is tested against a fit of everything beside it.

    The function is chosen again beside every window of every spectrum, in the data and in the
    pseudo-experiments. A window beside which no function can be fitted has no p-value there, in
    either; how many these were is in the result.

    Args:
        table: Jets by mass and by which spectra they are in.
        n_toys: Background-only pseudo-experiments.
        seed: Their seed; the result does not depend on `workers`.
        widths: Narrowest and widest window [bins].
        function: ``auto``, a family (``dijet``, ``exppoly``) or one function (``dijet3``).
        workers: Threads.

    Raises:
        FitError: No window fits into the range, or a spectrum cannot be fitted beside any.
        ConfigError: The widths, the function or the number of toys are invalid.
    """
    _check_toys(n_toys)
    windows = make_windows(table.edges, widths, sidebands=True)
    model, expected, starts = _null(table, function)
    statistic = FittedBeside(model, windows, starts)
    return _finish(
        table, statistic, expected, n_toys=n_toys, seed=seed, widths=widths, workers=workers,
        background="fit beside each window", function=function,
    )  # fmt: skip


def scan_signals(
    table: JointTable,
    masses: Sequence[float],
    *,
    width: float | None = None,
    templates: npt.ArrayLike | None = None,
    n_toys: int,
    seed: int,
    function: str = "auto",
    workers: int = 1,
) -> BumpHunt:
    """Scan for a signal of given shape: at each mass it is fitted together with the background.

    Args:
        table: Jets by mass and by which spectra they are in.
        masses: Masses of the signal [GeV].
        width: Its standard deviation, for a Gaussian [GeV].
        templates: Instead of a Gaussian, the fraction of each signal in each bin, shape
            (n_masses, n_bins).
        n_toys: Background-only pseudo-experiments.
        seed: Their seed.
        function: As in `scan_jointly`.
        workers: Threads.

    Raises:
        FitError: A mass is outside the range, or a spectrum cannot be fitted.
        ConfigError: Neither or both of width and templates are given, or shapes do not fit.
    """
    _check_toys(n_toys)
    shapes = _templates(table.edges, masses, width, templates)
    windows = _cores(table.edges, shapes)
    model, expected, starts = _null(table, function)
    statistic = SignalFitted(model, windows, shapes, starts)
    spans = windows.widths
    return _finish(
        table, statistic, expected, n_toys=n_toys, seed=seed,
        widths=(int(spans.min()), int(spans.max())), workers=workers,
        background="signal plus background", function=function,
    )  # fmt: skip


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
    workers: int = 1,
) -> BumpHunt:
    """Scan one histogram against a background that is given and taken as known.

    Where the background was fitted to the same histogram, use `scan_jointly`: here the p-values leave
    out the fit. They are too large if it saw the bump, for it follows it, and too small if it did not.

    Args:
        counts: Numbers of events (data or pseudo-data), shape (n_bins,).
        edges: Bin edges, n_bins + 1 of them [GeV].
        background: Expected events > 0, shape (n_bins,).
        n_toys: Background-only pseudo-experiments.
        seed: Their seed.
        widths: Narrowest and widest window [bins].
        blind_window: Window whose contents are not looked at [GeV]; no tested window touches it.
        label: What is scanned, for tables and plots.
        workers: Threads.

    Raises:
        FitError: The histogram or background is not fit for it, or no window remains.
        ConfigError: The widths or the number of toys are invalid.
    """
    _check_toys(n_toys)
    data = check_counts(counts, edges, blind_window=blind_window)
    expected = _check_background(background, data.edges)
    windows = make_windows(data.edges, widths, hidden=data.hidden)
    seen = np.where(data.hidden, 0.0, data.counts)
    table = JointTable((label,), data.edges, np.ones((1, 1), np.bool_), seen[None])
    return _finish(
        table, GivenBackground(windows, expected[None]), expected[None], n_toys=n_toys, seed=seed,
        widths=widths, workers=workers, background="given", function="", blind_window=blind_window,
    )  # fmt: skip


def _finish(
    table: JointTable,
    statistic: Statistic,
    expected: Floats,
    *,
    n_toys: int,
    seed: int,
    widths: tuple[int, int],
    workers: int,
    background: str,
    function: str,
    blind_window: Window | None = None,
) -> BumpHunt:
    """Test the data, draw and test the pseudo-experiments, and compare."""
    seen = statistic.local_p(table.spectra[None])[0]
    for label, row in zip(table.labels, seen, strict=True):
        if np.isnan(row).all():
            msg = (
                f"'{label}': no function of '{function}' can be fitted beside any window: too few "
                "events or bins; loosen the cut, or use fewer parameters or a wider range"
            )
            raise FitError(msg)
    smallest = np.nanmin(seen, axis=1)
    toys = _draw(table, statistic, expected, seen, n_toys=n_toys, seed=seed, workers=workers)
    local = toy_p(toys.exceeding, n_toys)
    channels = tuple(
        ChannelScan(label, found, int(np.sum(toys.smallest[:, i] <= smallest[i] * SLACK)), n_toys)
        for i, (label, found) in enumerate(
            zip(table.labels, statistic.tables(table.spectra, local), strict=True)
        )
    )
    all_smallest = toys.smallest.min(axis=1)
    n_exceeding = int(np.sum(all_smallest <= smallest.min() * SLACK))
    _log.info("bump hunt: local p %.3g, %d of %d toys", smallest.min(), n_exceeding, n_toys)
    return BumpHunt(
        channels=channels,
        n_exceeding=n_exceeding,
        n_toys=n_toys,
        seed=seed,
        widths=widths,
        background=background,
        function=function,
        toy_min_p=all_smallest,
        n_toy_windows_without_fit=toys.n_failed,
        blind_window=blind_window,
    )


def _draw(
    table: JointTable,
    statistic: Statistic,
    expected: Floats,
    seen: Floats,
    *,
    n_toys: int,
    seed: int,
    workers: int,
) -> _Toys:
    """Draw and test pseudo-experiments in blocks, each with a seed of its own."""
    size = max(1, min(n_toys, FITS_AT_ONCE // max(1, seen.size)))
    sizes = [min(size, n_toys - start) for start in range(0, n_toys, size)]
    seeds = np.random.SeedSequence(seed).spawn(len(sizes))

    def block(index: int) -> _Toys:
        rng = np.random.default_rng(seeds[index])
        p = statistic.local_p(table.draw(expected, sizes[index], rng))
        missing = np.isnan(p)
        p = np.where(missing, 1.0, p)
        as_extreme = (p <= seen * SLACK).sum(axis=0).astype(np.float64)
        return _Toys(p.min(axis=2), as_extreme, int(missing.sum()))

    with ThreadPoolExecutor(workers) as pool:
        blocks = list(pool.map(block, range(len(sizes))))
    return _Toys(
        np.concatenate([each.smallest for each in blocks]),
        np.sum([each.exceeding for each in blocks], axis=0),
        sum(each.n_failed for each in blocks),
    )


def _null(table: JointTable, function: str) -> tuple[BatchModel, Floats, Floats]:
    """The functions, what each pattern is expected to hold, and where fits of spectra begin."""
    model = BatchModel.make(function, table.edges, table.counts.sum(axis=0))
    expected = table.expected(model)
    spectra = table.members @ expected
    starts = np.stack([model.start(spectrum) for spectrum in spectra])
    return model, expected, model.fit_whole(spectra, starts)[0]


def _templates(
    edges: Floats, masses: Sequence[float], width: float | None, templates: npt.ArrayLike | None
) -> Floats:
    if (width is None) == (templates is None) or not len(masses):
        msg = "expected masses, and either a width or templates of the signal"
        raise ConfigError(msg)
    if templates is None:
        assert width is not None
        return np.stack([gaussian_fractions(edges, mass=m, width=width) for m in masses])
    shapes = np.asarray(templates, dtype=np.float64)
    good = shapes.shape == (len(masses), edges.size - 1) and bool(np.all(shapes >= 0))
    if not (good and bool(np.all(shapes.sum(axis=1) > 0))):
        msg = (
            f"expected templates ≥ 0 of shape ({len(masses)}, {edges.size - 1}), none empty, "
            f"received shape {shapes.shape}"
        )
        raise ConfigError(msg)
    return shapes


def _cores(edges: Floats, shapes: Floats) -> Windows:
    """The shortest run of bins around the peak of each signal that holds two thirds of it."""
    firsts, stops = [], []
    for shape in shapes:
        first = int(np.argmax(shape))
        stop = first + 1
        while shape[first:stop].sum() < shape.sum() * 2 / 3:
            left = shape[first - 1] if first > 0 else -1.0
            right = shape[stop] if stop < shape.size else -1.0
            first, stop = (first - 1, stop) if left >= right else (first, stop + 1)
        firsts.append(first)
        stops.append(stop)
    return Windows(edges, np.array(firsts, dtype=np.int64), np.array(stops, dtype=np.int64))


def _check_toys(n_toys: int) -> None:
    if n_toys < 1:
        msg = f"expected at least one pseudo-experiment, received n_toys={n_toys}"
        raise ConfigError(msg)


def _check_background(background: npt.ArrayLike, edges: Floats) -> Floats:
    expected = np.asarray(background, dtype=np.float64)
    if expected.shape != (edges.size - 1,):
        msg = f"expected a background of shape ({edges.size - 1},), received {expected.shape}"
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
