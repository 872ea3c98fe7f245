"""The scan: every window of every spectrum, and how often background alone does as well anywhere.

The BumpHunter statistic of a spectrum is the smallest local p of its windows, and that of a scan of
many is the smallest rank of these (`bumphunt.ranks`). Distributions come from pseudo-experiments, which
are tested in the same way as the data, window by window.

References:
    G. Choudalakis, arXiv:1101.0390, sections 2 and 3 (BumpHunter).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
import numpy.typing as npt

from oddjet.analysis.statistics.background.many import BatchModel
from oddjet.analysis.statistics.background.signal import gaussian_fractions
from oddjet.analysis.statistics.bumphunt.joint import JointTable
from oddjet.analysis.statistics.bumphunt.misfit import misfits, with_misfits
from oddjet.analysis.statistics.bumphunt.result import BumpHunt
from oddjet.analysis.statistics.bumphunt.settings import ScanSettings
from oddjet.analysis.statistics.bumphunt.statistic import (
    FittedBeside,
    GivenBackground,
    SignalFitted,
)
from oddjet.analysis.statistics.bumphunt.toys import compare
from oddjet.analysis.statistics.bumphunt.windows import Windows, make_windows, ranges
from oddjet.analysis.statistics.spectrum import Histogram, Spectrum, overlaps
from oddjet.errors import ConfigError, FitError
from oddjet.typing import Bools, Floats

__all__ = ["cores", "scan", "scan_jointly", "scan_signals", "scan_table", "signal_ladder"]

AROUND = 3
"""Bins on either side whose events of a given background say how heavy its events may be as well."""
FEW = 25
"""Effective events around a bin below which all events of the background say it too."""
NOT_KNOWN = (
    "how much signal the function fakes on a spectrum of this shape and size is not known, and in no p-value, for there is no "
    "simulated background: `oddjet study background` measures it"
)


def scan_table(
    table: JointTable,
    settings: ScanSettings,
    *,
    simulated: Mapping[str, Spectrum] | None = None,
    workers: int = 1,
) -> BumpHunt:
    """Scan windows, or fit signals where the settings have a width: see the two functions below.

    Args:
        table: Jets by mass and by which spectra they are in.
        settings: Windows, function, pseudo-experiments.
        simulated: Simulated background by label of a spectrum, that of all jets among them: what the function
            does not follow of it is in all p-values, see `misfit`.
        workers: Threads; the result does not depend on them.
    """
    test = scan_jointly if settings.signal_width is None else scan_signals
    if not simulated:
        return dataclasses.replace(test(table, settings, workers=workers), spurious=(NOT_KNOWN,))
    try:
        left = misfits(table, settings.function, simulated)
    except FitError as error:
        notes: tuple[str, ...] = (f"the spurious signal is not known, and in no p-value: {error}",)
        return dataclasses.replace(test(table, settings, workers=workers), spurious=notes)
    result = test(with_misfits(table, left, settings.seed), settings, workers=workers)
    windows = make_windows(table.edges, result.widths, sidebands=True)
    model = BatchModel.make(settings.function, table.edges, table.counts.sum(axis=0))
    notes = tuple(misfit.note(windows, model) for misfit in left)
    return dataclasses.replace(result, spurious=notes)


def scan_jointly(table: JointTable, settings: ScanSettings, *, workers: int = 1) -> BumpHunt:
    """Scan spectra that share jets; each window is tested against a fit of everything beside it.

    The function is chosen again beside every window of every spectrum, in the data and in the
    pseudo-experiments. A window beside which no function can be fitted has no p-value there, in
    either; how many these were is in the result.

    Args:
        table: Jets by mass and by which spectra they are in.
        settings: Windows, function, pseudo-experiments.
        workers: Threads; the result does not depend on them.

    Raises:
        FitError: No window fits into the range, or a spectrum cannot be fitted beside any.
        ConfigError: The widths, the function or the number of toys are invalid.
    """
    windows = make_windows(table.edges, settings.widths, sidebands=True, only=settings.windows)
    model, expected, starts = _null(table, settings.function)
    statistic = FittedBeside(model, windows, starts).with_calibration(table.members @ expected)
    return _by_function(table, statistic, expected, settings, ("fit beside each window", workers))


def scan_signals(
    table: JointTable,
    settings: ScanSettings,
    *,
    masses: Sequence[float] | None = None,
    workers: int = 1,
) -> BumpHunt:
    """Scan for a Gaussian signal: at each mass it is fitted together with the background.

    Args:
        table: Jets by mass and by which spectra they are in.
        settings: Width of a Gaussian signal, function, pseudo-experiments.
        masses: Masses of the signal [GeV]; the bin edges by default, but for those that are less than
            its width from an end: a signal that is cut off at its core looks like background.
        workers: Threads.

    Raises:
        FitError: A mass is outside the range, or a spectrum cannot be fitted.
        ConfigError: There is no width, or no mass.
    """
    windows, shapes = signal_ladder(table.edges, settings, masses)
    model, expected, starts = _null(table, settings.function)
    statistic = SignalFitted(model, windows, starts, templates=shapes)
    statistic = statistic.with_calibration(table.members @ expected)
    spans = (int(windows.widths.min()), int(windows.widths.max()))
    settings = settings.model_copy(update={"widths": spans})
    return _by_function(table, statistic, expected, settings, ("signal plus background", workers))


def _by_function(
    table: JointTable,
    statistic: FittedBeside | SignalFitted,
    expected: Floats,
    settings: ScanSettings,
    how: tuple[str, int],
) -> BumpHunt:
    """Compare with pseudo-experiments of what functions expect; `how` is the background's name, and threads."""
    return compare(
        table.labels,
        table.spectra,
        statistic,
        partial(table.draw, expected),
        settings,
        background=how[0],
        workers=how[1],
    )


def scan(
    histogram: Histogram,
    background: Spectrum | npt.ArrayLike,
    settings: ScanSettings,
    *,
    workers: int = 1,
) -> BumpHunt:
    """Scan one histogram against a background that is given.

    Its statistical error counts, as an on/off experiment: contents b with Σw² v are taken as b²/v events of
    weight v/b, and pseudo-experiments draw them again. Inside, an empty bin has none of the typical weight.

    Where the background was fitted to the same histogram, use `scan_jointly`: here the p-values leave
    out the fit. They are too large if it saw the bump, for it follows it, and too small if it did not.

    Args:
        histogram: Numbers of events (data or pseudo-data): a `Spectrum`, or any UHI histogram. No
            tested window touches its blind window.
        background: Expected events ≥ 0: a spectrum with variances, or numbers of shape (n_bins,) that are
            known exactly, as is a spectrum without variances. Bins of zero at the ends are not scanned, nor
            are windows of zero in all where nothing is known of their error.
        settings: Windows and pseudo-experiments.
        workers: Threads.

    Raises:
        FitError: The histogram or background is not fit for it, or no window remains.
        ConfigError: The widths or the number of toys are invalid.
    """
    data = Spectrum.from_histogram(histogram).checked(is_data=True)
    edges, hidden = data.edges, data.hidden
    contents, squares = _parts_of(background)
    expected = np.where(hidden, 0.0, _check_background(contents, data))
    first, last = np.flatnonzero(expected)[[0, -1]]
    closed = hidden.copy()
    closed[:first] = closed[last + 1 :] = True
    weight = _weights(expected, None if squares is None else np.where(hidden, 0.0, squares), closed)
    windows = make_windows(edges, settings.widths, hidden=closed, only=settings.windows)
    windows = windows.select(windows.sums(expected + weight) > 0)
    seen = np.where(hidden, 0.0, data.counts)
    table = JointTable((data.name,), edges, np.ones((1, 1), np.bool_), seen[None])
    statistic = GivenBackground.make(windows, expected, weight, seen)
    settings = settings.model_copy(update={"function": ""})
    draw = partial(table.draw, statistic.null[None, None])
    result = compare(
        table.labels, table.spectra, statistic, draw, settings, background="given", workers=workers
    )
    empty = ranges(edges, (expected == 0) & ((weight == 0) | closed) & ~hidden)
    return dataclasses.replace(
        result,
        blind_window=data.blind_window,
        unscanned=ranges(edges, ~windows.covered & ~hidden) if settings.windows is None else (),
        without_background=tuple((w, float(seen[overlaps(edges, w)].sum())) for w in empty),
    )


def _parts_of(background: Spectrum | npt.ArrayLike) -> tuple[npt.ArrayLike, Floats | None]:
    """Contents and Σw² of a background; None for one that is known exactly."""
    if isinstance(background, Spectrum):
        return background.counts, background.variances
    return background, None


def _weights(expected: Floats, squares: Floats | None, closed: Bools) -> Floats:
    """Weight of the events of a background, shape (n_bins,): Σw²/Σw, at least that of the bins around; the typical one in empty bins.

    Where rare events of large weight are among many of small weight, a bin in which none of them occurred by chance
    would claim to know its contents too well.
    """
    if squares is None:
        return np.zeros(expected.size)
    filled = expected > 0
    own = np.divide(squares, expected, out=np.zeros(expected.size), where=filled)
    typical = float(squares[filled].sum() / expected[filled].sum())
    squares_around, around = (
        _sum_around(np.where(filled, values, 0.0)) for values in (squares, expected)
    )
    nearby = np.divide(
        squares_around, around, out=np.full(expected.size, typical), where=around > 0
    )
    few = around < FEW * nearby
    own = np.maximum(own, np.where(few, np.maximum(nearby, typical), nearby))
    return np.where(filled, own, np.where(closed, 0.0, typical))


def _sum_around(values: Floats) -> Floats:
    return np.convolve(values, np.ones(2 * AROUND + 1))[AROUND:-AROUND]


def _null(table: JointTable, function: str) -> tuple[BatchModel, Floats, Floats]:
    """The functions, what each pattern is expected to hold by replica, and where fits of spectra begin."""
    model = BatchModel.make(function, table.edges, table.counts.sum(axis=0))
    expected = table.require_known().expected(model)
    spectra = table.members @ expected
    starts = np.stack([model.start(spectrum) for spectrum in spectra])
    starts = model.fit_whole(spectra, starts).parameters
    if table.given is not None:
        model = dataclasses.replace(model, given=table.members @ table.given.mean(axis=0))
    return model, table.with_given(table.replicated(expected)), starts


def signal_ladder(
    edges: Floats, settings: ScanSettings, masses: Sequence[float] | None = None
) -> tuple[Windows, Floats]:
    """Give Gaussian signals their cores and their fractions in the bins: see `scan_signals`.

    Returns:
        A window a signal, and fractions of the shape (n_signals, n_bins).

    Raises:
        FitError: A mass is outside the range.
        ConfigError: There is no width, or no mass.
    """
    width = settings.signal_width
    if width is not None and masses is None:
        masses = edges[(edges >= edges[0] + width) & (edges <= edges[-1] - width)].tolist()
    if width is None or masses is None or not len(masses):
        msg = (
            f"a signal is fitted at every bin edge that is its width or more from both ends of {edges[0]:g}–{edges[-1]:g} "
            f"GeV: expected masses and a width below {0.5 * (edges[-1] - edges[0]):g} GeV, received a width of {width} and "
            "no such mass: make signal_width smaller"
        )
        raise ConfigError(msg)
    shapes = np.stack([gaussian_fractions(edges, mass=mass, width=width) for mass in masses])
    windows = cores(edges, shapes)
    if settings.windows is None:
        return windows, shapes
    wanted = make_windows(edges, settings.widths, only=settings.windows)
    ends = list(zip(wanted.firsts.tolist(), wanted.stops.tolist(), strict=True))
    kept = np.array([(f, s) in ends for f, s in zip(windows.firsts, windows.stops, strict=True)])
    return windows.select(kept), shapes[kept]


def cores(edges: Floats, shapes: Floats) -> Windows:
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


def _check_background(background: npt.ArrayLike, data: Spectrum) -> Floats:
    edges, expected = data.edges, np.asarray(background, dtype=np.float64)
    if expected.shape != (edges.size - 1,):
        msg = f"expected a background of shape ({edges.size - 1},), received {expected.shape}"
        raise FitError(msg)
    bad = ~(np.isfinite(expected) & (expected >= 0))
    if bad.any():
        first = int(np.flatnonzero(bad)[0])
        msg = (
            f"the background must be finite and not negative; {int(bad.sum())} bins are not, the "
            f"first is [{edges[first]:g}, {edges[first + 1]:g}) GeV with {expected[first]:g}: fix it"
        )
        raise FitError(msg)
    if not expected[~data.hidden].any():
        msg = "the background expects no events in any bin that may be looked at: give another one"
        raise FitError(msg)
    return expected
