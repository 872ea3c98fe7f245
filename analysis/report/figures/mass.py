"""Jet mass before and after a cut on the anomaly score."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from oddjet.analysis.report.figures import draw
from oddjet.analysis.report.figures.style import DATA, Histogram, PlotLabel, styled

__all__ = ["mass_before_after"]


@styled
def mass_before_after(
    before: Histogram,
    after: Sequence[Histogram],
    *,
    axis_label: str = "Jet soft-drop mass [GeV]",
    window: tuple[float, float] | None = None,
    blind: bool = False,
    label: PlotLabel | None = None,
) -> Figure:
    """Draw the shape of the mass at each working point, and its ratio to that before the cut.

    A ratio that is not flat means that the cut sculpts the mass.

    The signal window [GeV] is shaded; hatched if it is `blind`, its contents NaN.
    """
    figure = draw.new_figure(7.2, 6.2)
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=[2.6, 1])
    reference, reference_errors = before.density()
    draw.steps(top, before, reference, reference_errors, color=DATA)
    bottom.axhline(1, color=DATA, lw=1.2)
    largest = 1.0
    positive = np.where(reference > 0, reference, np.nan)
    for number, passing in enumerate(after):
        values, errors = passing.density()
        draw.steps(top, passing, values, errors, color=draw.colour_of(number))
        ratio = values / positive
        draw.steps(bottom, passing, ratio, errors / positive, color=draw.colour_of(number))
        filled = ratio[np.isfinite(ratio)]
        largest = max(largest, float(np.quantile(filled, 0.95)) if filled.size else 1.0)
    for axes in (top, bottom):
        if window is not None and blind:
            draw.hatch(axes, window, "blinded" if axes is top else None)
        elif window is not None:
            draw.shade(axes, window, "signal window" if axes is top else None)
    top.set_ylabel("Fraction of jets / GeV")
    top.set_ylim(bottom=0)
    top.margins(y=0.12)
    top.set_xlim(before.edges[0], before.edges[-1])
    bottom.set(ylim=(0, min(max(2.0, 1.25 * largest), 8.0)), ylabel="After / before")
    bottom.set_xlabel(axis_label)
    top.legend()
    draw.title(top, label)
    figure.align_ylabels()
    return figure
