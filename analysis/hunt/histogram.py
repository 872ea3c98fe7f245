"""The hunt in a mass histogram of any origin: ROOT or UHI JSON, with or without a background."""

from __future__ import annotations

import dataclasses
from typing import Any

from oddjet.analysis.hunt.hunt import hunt_histogram
from oddjet.analysis.statistics.background.fit import BackgroundFit, fit_sidebands
from oddjet.analysis.statistics.bumphunt.result import BumpHunt
from oddjet.analysis.statistics.bumphunt.settings import ScanSettings
from oddjet.analysis.statistics.exchange.histogram_files import read_histogram
from oddjet.analysis.statistics.spectrum import (
    Histogram,
    Spectrum,
    Window,
    check_same_edges,
)
from oddjet.shown import Shown

__all__ = ["FileHunt", "hunt_file", "hunt_spectrum"]


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
        """What speaks against the p-values: see `BumpHunt.flags`."""
        return self.bump_hunt.flags

    @property
    def notes(self) -> tuple[str, ...]:
        """What was not scanned or not used, a sentence each."""
        own = [self.spectrum.flow_note, self.spectrum.errors_note]
        if self.background is not None and self.background.variances is None:
            own.append(
                "the statistical error of the given background is not known (no Σw²), and counts as zero"
            )
        return (*(note for note in own if note), *self.bump_hunt.notes)

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
        background: Expected background, of the same form; its Σw² counts as its error. By default a
            function is fitted beside every window.
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
        background: Expected background in the same bins; its Σw² counts as its error.
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
    fit = window and fit_sidebands(spectrum, window=window, function=settings.function)
    result = hunt_histogram(spectrum, settings, background=given, workers=workers)
    return FileHunt(result, spectrum, fit or None, given)


def _within(histogram: Histogram, settings: ScanSettings) -> Spectrum:
    spectrum = Spectrum.from_histogram(histogram)
    return spectrum if settings.range is None else spectrum.within(*settings.range)
