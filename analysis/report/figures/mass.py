"""Jet mass before and after a cut on the anomaly score."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from oddjet.analysis.report.figures.style import (
    COLOURS,
    DATA,
    Histogram,
    PlotLabel,
    draw_label,
    draw_steps,
    hatch_window,
    new_figure,
    shade_window,
    styled,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["mass_before_after", "stacked_mass"]

MASS = "Jet soft-drop mass [GeV]"


@styled
def mass_before_after(
    before: Histogram,
    after: Sequence[Histogram],
    *,
    axis_label: str = MASS,
    window: tuple[float, float] | None = None,
    blind: bool = False,
    label: PlotLabel | None = None,
) -> Figure:
    """Draw the shape of the mass at each working point, and its ratio to that before the cut.

    A ratio that is not flat means that the cut sculpts the mass.

    Args:
        before: All jets.
        after: Jets that pass, one a working point; the same bins.
        axis_label: The mass with its unit.
        window: Signal window [GeV].
        blind: The window's contents are NaN and must not be shown: it is hatched.
        label: Text above the axes.
    """
    figure = new_figure(7.2, 6.2)
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=[2.6, 1])
    reference, reference_errors = before.density()
    draw_steps(top, before, reference, reference_errors, color=DATA)
    bottom.axhline(1, color=DATA, lw=1.2)
    largest = 1.0
    for number, each in enumerate(after):
        colour = COLOURS[number % len(COLOURS)]
        values, errors = each.density()
        draw_steps(top, each, values, errors, color=colour)
        positive = reference > 0
        ratio = np.divide(values, reference, out=np.full_like(values, np.nan), where=positive)
        ratio_errors = np.divide(
            errors, reference, out=np.full_like(values, np.nan), where=positive
        )
        draw_steps(bottom, each, ratio, ratio_errors, color=colour)
        filled = ratio[np.isfinite(ratio)]
        largest = max(largest, float(np.quantile(filled, 0.95)) if filled.size else 1.0)
    for axes in (top, bottom):
        if window is not None and blind:
            hatch_window(axes, window, "blinded" if axes is top else None)
        elif window is not None:
            shade_window(axes, window, "signal window" if axes is top else None)
    top.set_ylabel("Fraction of jets / GeV")
    top.set_ylim(bottom=0)
    top.margins(y=0.12)
    top.set_xlim(before.edges[0], before.edges[-1])
    bottom.set_ylim(0, min(max(2.0, 1.25 * largest), 8.0))
    bottom.set_ylabel("After / before")
    bottom.set_xlabel(axis_label)
    top.legend()
    draw_label(top, label or PlotLabel())
    figure.align_ylabels()
    return figure


@styled
def stacked_mass(
    backgrounds: Sequence[Histogram],
    *,
    signals: Sequence[Histogram] = (),
    data: Histogram | None = None,
    axis_label: str = MASS,
    window: tuple[float, float] | None = None,
    blind: bool = False,
    log: bool = True,
    label: PlotLabel | None = None,
) -> Figure:
    """Draw data against the stack of simulated samples.

    Args:
        backgrounds: Simulation, stacked from below, scaled to the data's luminosity.
        signals: Drawn as lines on top of nothing.
        data: Points with √N errors.
        axis_label: The mass with its unit.
        window: Signal window [GeV].
        blind: The window's contents of data must not be shown: it is hatched.
        log: Logarithmic vertical axis.
        label: Text above the axes.
    """
    import mplhep  # noqa: PLC0415

    figure = new_figure()
    axes = figure.subplots()
    if backgrounds:
        mplhep.histplot(
            [each.counts for each in backgrounds],
            bins=backgrounds[0].edges,
            stack=True,
            histtype="fill",
            label=[each.label for each in backgrounds],
            color=[COLOURS[(0, 4, 7, 9)[i % 4]] for i in range(len(backgrounds))],
            alpha=0.75,
            ax=axes,
        )
    for number, each in enumerate(signals):
        colour = (COLOURS[1], COLOURS[3], COLOURS[6])[number % 3]
        draw_steps(axes, each, each.counts, np.sqrt(each.variances), color=colour)
    if data is not None:
        centres = 0.5 * (data.edges[:-1] + data.edges[1:])
        errors = np.sqrt(data.variances)
        axes.errorbar(centres, data.counts, errors, fmt="o", color=DATA, ms=4, label=data.label)
    if window is not None:
        (hatch_window if blind else shade_window)(
            axes, window, "blinded" if blind else "signal window"
        )
    edges = (backgrounds[0] if backgrounds else data or signals[0]).edges
    axes.set_xlim(edges[0], edges[-1])
    if log:
        axes.set_yscale("log")
        low, high = axes.get_ylim()
        axes.set_ylim(max(low, 0.3), high * 4)
    else:
        axes.set_ylim(bottom=0)
    axes.set_xlabel(axis_label)
    axes.set_ylabel(f"Jets / {edges[1] - edges[0]:g} GeV")
    axes.legend(ncols=2)
    draw_label(axes, label or PlotLabel())
    return figure
