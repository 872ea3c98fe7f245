"""Spectra and the cut flow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from oddjet.analysis.report.figures.style import (
    COLOURS,
    Histogram,
    PlotLabel,
    draw_label,
    draw_steps,
    new_figure,
    styled,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["cut_flow_bars", "spectrum"]


@styled
def spectrum(
    histograms: Sequence[Histogram],
    *,
    axis_label: str = "Jet $p_T$ [GeV]",
    normalise: bool = False,
    log: bool = True,
    label: PlotLabel | None = None,
) -> Figure:
    """Draw one distribution of several samples, by default the jet pt.

    Args:
        histograms: One a sample.
        axis_label: Quantity with its unit.
        normalise: Draw each with area 1 instead of jets per unit.
        log: Logarithmic vertical axis.
        label: Text above the axes.
    """
    figure = new_figure()
    axes = figure.subplots()
    log = log and any((each.counts > 0).any() for each in histograms)
    for number, each in enumerate(histograms):
        width = np.diff(each.edges)
        values, errors = each.counts / width, np.sqrt(each.variances) / width
        if normalise:
            values, errors = each.density()
        # A step to zero would run off a logarithmic axis.
        shown = np.where(values > 0, values, np.nan) if log else values
        draw_steps(axes, each, shown, errors, color=COLOURS[number % len(COLOURS)])
        if log:
            axes.set_yscale("log", nonpositive="mask")
    unit = " / GeV" if "GeV" in axis_label else " / unit"
    axes.set_xlabel(axis_label)
    axes.set_ylabel(("Fraction of jets" if normalise else "Jets") + unit)
    axes.legend()
    draw_label(axes, label or PlotLabel())
    return figure


@styled
def cut_flow_bars(
    steps: Mapping[str, Sequence[tuple[str, float]]],
    *,
    label: PlotLabel | None = None,
) -> Figure:
    """Draw the fraction that is left after each step, one bar a dataset.

    Args:
        steps: For each dataset the steps in order: name and what is left (events, jets or Σw);
            fractions are of the first step.
        label: Text above the axes.
    """
    names = [name for name, _ in next(iter(steps.values()), ())]
    figure = new_figure(7.2, max(2.6, 1.1 + 0.34 * len(names) * max(1, 0.6 * len(steps))))
    axes = figure.subplots()
    height = 0.8 / max(len(steps), 1)
    for number, (dataset, flow) in enumerate(steps.items()):
        first = flow[0][1] if flow and flow[0][1] else 1.0
        fractions = [value / first for _, value in flow]
        places = np.arange(len(flow)) + (number + 0.5) * height - 0.4
        colour = COLOURS[number % len(COLOURS)]
        axes.barh(places, fractions, height=height * 0.9, color=colour, label=dataset)
        for place, fraction in zip(places, fractions, strict=True):
            text = f"{100 * fraction:.3g} %"
            axes.text(fraction + 0.01, place, text, va="center", fontsize=9.5)
    axes.set_yticks(np.arange(len(names)), names)
    axes.minorticks_off()
    axes.tick_params(axis="y", length=0)
    axes.invert_yaxis()
    axes.set_xlim(0, 1.16)
    axes.set_xlabel("Fraction left")
    if len(steps) > 1:
        axes.legend(loc="lower right")
    draw_label(axes, label or PlotLabel())
    return figure
