"""Limits on what a hunt did not find: at its tightest working point, over a few masses."""

from __future__ import annotations

import numpy as np

from oddjet.analysis.exchange import MassHistogram
from oddjet.analysis.hunt import Hunt
from oddjet.analysis.limits.spectrum import (
    LimitSettings,
    SignalModel,
    SpectrumLimit,
    limit_spectrum,
)
from oddjet.errors import FitError

__all__ = ["limit_hunt"]

N_MASSES = 5
WINDOW_WIDTHS = 6.0
"""The signal window holds ± 3 standard deviations of the signal."""


def limit_hunt(
    hunt: Hunt, window: tuple[float, float], *, function: str
) -> tuple[tuple[SpectrumLimit, ...], tuple[str, ...]]:
    """Set limits at the tightest cut on the main score.

    The signal is a Gaussian of the signal window's width, a sixth of it, at the window's centre and,
    unless the window is blinded, at a few masses around it.

    Args:
        hunt: The hunt.
        window: The signal window [GeV].
        function: Background function.

    Returns:
        The limits, and why there is none at some masses.
    """
    point = hunt.tightest
    spectrum = MassHistogram(point.name, point.edges, point.counts, None)
    settings = LimitSettings(function=function, unblind=not hunt.blinded)
    width = (window[1] - window[0]) / WINDOW_WIDTHS
    results: list[SpectrumLimit] = []
    problems: list[str] = []
    for mass in _masses(point.edges, window, blinded=hunt.blinded):
        try:
            results += limit_spectrum(spectrum, [SignalModel(mass, width)], settings=settings)
        except FitError as error:
            problems.append(f"{mass:g} GeV: {error}")
    return tuple(results), tuple(problems)


def _masses(
    edges: np.ndarray[tuple[int], np.dtype[np.float64]],
    window: tuple[float, float],
    *,
    blinded: bool,
) -> list[float]:
    """The window's centre, and masses half a window apart whose windows leave sidebands."""
    centre, half = 0.5 * (window[0] + window[1]), 0.5 * (window[1] - window[0])
    if blinded:
        return [centre]
    steps = np.arange(-(N_MASSES // 2), N_MASSES // 2 + 1)
    masses = centre + half * steps
    margin = half + 2 * float(np.diff(edges).max())
    inside = (masses >= edges[0] + margin) & (masses <= edges[-1] - margin)
    return [float(mass) for mass in masses[inside]]
