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

__all__ = ["UNBLIND", "FileHunt", "hunt_file", "hunt_spectrum"]

UNBLIND = "To look at them, unblind the run that the file is of (`oddjet run … --unblind`), which fills it again"
"""How masses that are not in a file of a blinded run come into it."""


@dataclasses.dataclass(frozen=True)
class FileHunt(Shown):
    """A scan of one histogram.

    Attributes:
        bump_hunt: The scan; None where masses of the histogram are blinded, and no background is given.
        spectrum: The histogram, as it was used.
        fit: What is beside the window where a signal is expected; None without such a window.
        background: The background that was given, as it was used; None where one was fitted.
    """

    bump_hunt: BumpHunt | None
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
        return () if self.bump_hunt is None else self.bump_hunt.flags

    @property
    def problem(self) -> str:
        """Why nothing was scanned; empty where it was."""
        window = self.spectrum.blind_window
        if self.bump_hunt is not None or window is None:
            return ""
        return (
            f"{self.spectrum.name}: {window[0]:g}–{window[1]:g} GeV of the data are blinded and not in the file: "
            f"not scanned. {UNBLIND}"
        )

    @property
    def notes(self) -> tuple[str, ...]:
        """What was not scanned or not used, a sentence each."""
        own = [self.spectrum.flow_note, self.spectrum.errors_note]
        if self.background is not None and self.background.variances is None:
            own.append(
                "the statistical error of the given background is not known (no Σw²), and counts as zero"
            )
        scanned = () if self.bump_hunt is None else self.bump_hunt.notes
        return (*(note for note in own if note), *scanned)

    def to_dict(self) -> dict[str, Any]:
        """Every number, ready for JSON."""
        fit = {} if self.fit is None else {"fit": self.fit.to_dict()}
        own: dict[str, Any] = {
            name: list(getattr(self, name)) for name in ("caveats", "flags", "notes")
        }
        if self.bump_hunt is None:
            window = self.spectrum.blind_window
            return own | fit | {"problem": self.problem, "blind_window": window and list(window)}
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

    Masses that it says are blinded, as histograms of a run do whose data are, are neither shown nor scanned: a
    function is fitted beside them; against a given background what is outside is scanned.

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
    hidden = spectrum.blind_window
    window = window or (hidden if given is None else None)
    fit = window and fit_sidebands(spectrum, window=window, function=settings.function)
    if hidden is not None and given is None:
        return FileHunt(None, spectrum, fit or None)
    result = hunt_histogram(spectrum, settings, background=given, workers=workers)
    return FileHunt(result, spectrum, fit or None, given)


def _within(histogram: Histogram, settings: ScanSettings) -> Spectrum:
    spectrum = Spectrum.from_histogram(histogram)
    return spectrum if settings.range is None else spectrum.within(*settings.range)
