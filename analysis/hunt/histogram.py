"""The hunt in a mass histogram of any origin: ROOT or UHI JSON, with or without a background."""

from __future__ import annotations

import dataclasses
from typing import Any

from oddjet.analysis.hunt.hunt import hunt_histogram
from oddjet.analysis.statistics.background.fit import BackgroundFit, fit_sidebands
from oddjet.analysis.statistics.bumphunt.pvalues import on_off_p
from oddjet.analysis.statistics.bumphunt.result import BumpHunt
from oddjet.analysis.statistics.bumphunt.settings import ScanSettings
from oddjet.analysis.statistics.exchange.histogram_files import read_histogram
from oddjet.analysis.statistics.spectrum import (
    Histogram,
    Spectrum,
    Window,
    check_same_edges,
    overlaps,
)
from oddjet.shown import Shown

__all__ = ["FileHunt", "hunt_file", "hunt_spectrum"]

SMALL_ERROR = 0.02
"""Variance of a given background in units of its Poisson variance that is not worth a word: 1 % of σ."""


@dataclasses.dataclass(frozen=True)
class FileHunt(Shown):
    """A scan of one histogram.

    Attributes:
        spectrum: The histogram, as it was used.
        fit: What is beside the window where a signal is expected; None without such a window.
        background: The background that was given, as it was used; None where one was fitted.
    """

    bump_hunt: BumpHunt
    spectrum: Spectrum
    fit: BackgroundFit | None = None
    background: Spectrum | None = None

    @property
    def caveats(self) -> tuple[str, ...]:
        """What was accepted of the files that the histogram and a given background were filled from."""
        given = () if self.background is None else self.background.caveats
        return tuple(dict.fromkeys((*self.spectrum.caveats, *given)))

    @property
    def flags(self) -> tuple[str, ...]:
        """What speaks against the p-values: see `BumpHunt.flags`; and that of a given background."""
        own = self._own_error()
        return (*self.bump_hunt.flags, own) if own else self.bump_hunt.flags

    @property
    def notes(self) -> tuple[str, ...]:
        """What was not scanned or not used, a sentence each."""
        own = (self.spectrum.flow_note, self.spectrum.errors_note)
        return (*(note for note in own if note), *self.bump_hunt.notes)

    def _own_error(self) -> str:
        """Say where the statistical error of a given background is not small."""
        given, best = self.background, self.bump_hunt.best
        if given is None or given.variances is None or not best.has_excess:
            return ""
        variance = float(given.variances[overlaps(given.edges, best.window)].sum())
        if not variance >= SMALL_ERROR * best.expected:
            return ""
        p = float(on_off_p(best.observed, best.expected, variance))
        return (
            f"the given background has a statistical error of its own, {best.expected:.4g} ± {variance**0.5:.2g} "
            f"in the window; p-values take it as known. With it the local p is {p:.2g}, not {best.local_p:.2g}"
        )

    def to_dict(self) -> dict[str, Any]:
        """Every number, ready for JSON."""
        fit = {} if self.fit is None else {"fit": self.fit.to_dict()}
        own = {name: list(getattr(self, name)) for name in ("caveats", "flags", "notes")}
        return self.bump_hunt.to_dict() | own | fit


def hunt_file(
    source: str,
    settings: ScanSettings,
    *,
    background: str | None = None,
    workers: int = 1,
) -> FileHunt:
    """Hunt in a mass histogram from a file, of any origin.

    Args:
        source: ``FILE[:HISTOGRAM]``, ROOT or UHI JSON; see `oddjet.analysis.statistics.exchange.histogram_files.read_histogram`.
        settings: How to scan.
        background: Expected background, of the same form, taken as known; by default a function is
            fitted beside every window.
        workers: Threads.

    Raises:
        InputError: A file or histogram cannot be read.
        FitError: The contents are not numbers of events, or cannot be fitted.
    """
    given = None if background is None else read_histogram(background)
    return hunt_spectrum(read_histogram(source), settings, background=given, workers=workers)


def hunt_spectrum(
    histogram: Histogram,
    settings: ScanSettings,
    *,
    background: Histogram | None = None,
    window: Window | None = None,
    workers: int = 1,
) -> FileHunt:
    """Hunt in a mass histogram, of any origin.

    Args:
        histogram: A `Spectrum`, or any UHI histogram of numbers of events.
        settings: How to scan.
        background: Expected background in the same bins, taken as known.
        window: Where a signal is expected [GeV]: what is beside it is fitted as well.
        workers: Threads.

    Raises:
        FitError: The contents are not numbers of events, or cannot be fitted.
    """
    spectrum = _within(histogram, settings)
    given = None
    if background is not None:
        given = _within(background, settings).checked(is_data=False, errors=False)
        check_same_edges(given.edges, spectrum.edges, f"the background {given.name}".rstrip())
    expected = None if given is None else given.counts
    fit = window and fit_sidebands(spectrum, window=window, function=settings.function)
    result = hunt_histogram(spectrum, settings, background=expected, workers=workers)
    return FileHunt(result, spectrum, fit or None, given)


def _within(histogram: Histogram, settings: ScanSettings) -> Spectrum:
    spectrum = Spectrum.from_histogram(histogram)
    return spectrum if settings.range is None else spectrum.within(*settings.range)
