"""The hunt in a mass histogram of any origin: ROOT or UHI JSON, with or without a background."""

from __future__ import annotations

import dataclasses

from oddjet.analysis.hunt.hunt import hunt_histogram
from oddjet.analysis.statistics.bumphunt.result import BumpHunt
from oddjet.analysis.statistics.bumphunt.settings import ScanSettings
from oddjet.analysis.statistics.exchange.histogram_files import read_histogram
from oddjet.analysis.statistics.spectrum import Spectrum, check_same_edges

__all__ = ["FileHunt", "hunt_file"]


@dataclasses.dataclass(frozen=True)
class FileHunt:
    """A scan of a histogram from a file.

    Attributes:
        bump_hunt: The scan.
        spectrum: The histogram, as it was used.
    """

    bump_hunt: BumpHunt
    spectrum: Spectrum


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
    spectrum = read_histogram(source)
    if settings.range is not None:
        spectrum = spectrum.within(*settings.range)
    expected = None
    if background is not None:
        given = read_histogram(background)
        given = given if settings.range is None else given.within(*settings.range)
        expected = given.checked(is_data=False).counts
        check_same_edges(given.edges, spectrum.edges, f"the background {background}")
    result = hunt_histogram(spectrum, settings, background=expected, workers=workers)
    return FileHunt(result, spectrum)
