"""Where the spectra of the study come from: built in, histograms of files, scores tables."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from urllib.parse import quote

import numpy as np

from oddjet.analysis.statistics.exchange.histogram_files import histogram_names, read_histogram
from oddjet.analysis.statistics.spectrum import Spectrum
from oddjet.analysis.studies.background.truth import Truth, built_in, built_in_names
from oddjet.datasets.skims.manifest import read_manifest
from oddjet.errors import ConfigError
from oddjet.processors.histogram_files import HISTOGRAMS
from oddjet.processors.histograms import ALL, HUNTED, PEAKS

__all__ = ["read_truth"]


def read_truth(
    source: str,
    *,
    mass: float,
    width: float,
    mass_range: tuple[float, float] | None = None,
) -> Truth:
    """Read a spectrum, and smooth it.

    Args:
        source: Name of a built-in spectrum; folder of a scores table, of which the simulated background is taken; or
            ``FILE[:HISTOGRAM]``, see `oddjet.analysis.statistics.exchange.histogram_files.read_histogram`.
        mass: Mean of the signal [GeV]; built-in spectra have their own.
        width: Its standard deviation [GeV].
        mass_range: The masses that are used; all if None.

    Raises:
        ConfigError: A scores table has no simulated background, or a range is given for a built-in spectrum.
        InputError: There is no such source, or it cannot be read.
        FitError: The spectrum is blinded, or not fit for it.
    """
    if source in built_in_names():
        if mass_range is not None:
            msg = f"study background: the built-in spectrum '{source}' has its own masses: leave --range out, or give a file"
            raise ConfigError(msg)
        return built_in(source)
    folder = Path(source)
    spectrum = _of_scores(folder) if folder.is_dir() else read_histogram(source)
    if mass_range is not None:
        spectrum = spectrum.within(*mass_range)
    return Truth.of_spectrum(spectrum, mass=mass, width=width)


def _of_scores(folder: Path) -> Spectrum:
    """Add the simulated background of a scores table, without a cut."""
    names = [n for n, d in read_manifest(folder).datasets.items() if d.kind == "background"]
    path = folder / HISTOGRAMS
    scores = [name for name in histogram_names(path) if name not in {HUNTED, PEAKS}]
    if not names or not scores:
        msg = (
            f"{folder} has no simulated background to draw experiments from, and data may be blinded: give a histogram of "
            f"simulation, or one of unblinded data as FILE:HISTOGRAM?dataset=NAME"
        )
        raise ConfigError(msg)
    parts = [
        read_histogram(
            f"{path}:{scores[0]}?dataset={quote(name)}&variation=nominal&working_point={ALL}&pt=sum"
        )
        for name in names
    ]
    return dataclasses.replace(
        parts[0],
        counts=np.sum([part.counts for part in parts], axis=0),
        variances=np.sum([part.sumw2 for part in parts], axis=0),
        name=folder.parent.name if folder.name == "scores" else folder.name,
        is_data=False,
    )
