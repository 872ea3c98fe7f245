"""The hunt in a mass histogram of any origin: ROOT or UHI JSON, with or without a background."""

from __future__ import annotations

import dataclasses

from oddjet.analysis.hunt.hunt import hunt_histogram
from oddjet.analysis.statistics.background import DEFAULT
from oddjet.analysis.statistics.bumphunt import BumpHunt
from oddjet.analysis.statistics.exchange import MassHistogram, check_same_edges, read_histogram

__all__ = ["FileHunt", "FileHuntSettings", "hunt_file"]


@dataclasses.dataclass(frozen=True)
class FileHuntSettings:
    """How a histogram is scanned.

    Attributes:
        range: Lowest and highest mass used [GeV]; all bins where None.
        function: Background function, as in `HuntConfig`.
        widths: Narrowest and widest window [bins].
        signal_width: Standard deviation of a Gaussian signal that is fitted at every bin edge instead
            of testing windows [GeV].
        n_toys: Background-only pseudo-experiments.
        seed: Their seed.
        workers: Threads.
    """

    range: tuple[float, float] | None = None
    function: str = DEFAULT
    widths: tuple[int, int] = (2, 8)
    signal_width: float | None = None
    n_toys: int = 1000
    seed: int = 1
    workers: int = 1


@dataclasses.dataclass(frozen=True)
class FileHunt:
    """A scan of a histogram from a file.

    Attributes:
        bump_hunt: The scan.
        spectrum: The histogram, as it was used.
    """

    bump_hunt: BumpHunt
    spectrum: MassHistogram


def hunt_file(
    source: str,
    settings: FileHuntSettings,
    *,
    background: str | None = None,
) -> FileHunt:
    """Hunt in a mass histogram from a file, of any origin.

    Args:
        source: ``FILE[:HISTOGRAM]``, ROOT or UHI JSON; see `oddjet.analysis.statistics.exchange.read_histogram`.
        settings: How to scan.
        background: Expected background, of the same form, taken as known; by default a function is
            fitted beside every window.

    Raises:
        InputError: A file or histogram cannot be read.
        FitError: The contents are not numbers of events, or cannot be fitted.
    """
    spectrum = read_histogram(source)
    if settings.range is not None:
        spectrum = spectrum.within(*settings.range)
    data = spectrum.checked(is_data=True)
    expected = None
    if background is not None:
        given = read_histogram(background)
        given = given if settings.range is None else given.within(*settings.range)
        expected = given.checked(is_data=False).counts
        check_same_edges(given.edges, spectrum.edges, f"the background {background}")
    found = hunt_histogram(
        data.counts,
        data.edges,
        background=expected,
        function=settings.function,
        widths=settings.widths,
        signal_width=settings.signal_width,
        n_toys=settings.n_toys,
        seed=settings.seed,
        workers=settings.workers,
        label=spectrum.name,
    )
    return FileHunt(found, spectrum)
