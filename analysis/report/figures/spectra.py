"""Spectra and the cut flow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from oddjet.analysis.report.figures import draw
from oddjet.analysis.report.figures.style import Histogram, PlotLabel, styled

__all__ = ["cut_flow_bars", "spectrum"]


@styled
def spectrum(
    histograms: Sequence[Histogram],
    *,
    axis_label: str = "Jet $p_T$ [GeV]",
    label: PlotLabel | None = None,
) -> Figure:
    """Draw one distribution of several samples, by default the jet pt."""
    figure, axes = draw.new_axes()
    log = any((histogram.counts > 0).any() for histogram in histograms)
    for number, histogram in enumerate(histograms):
        width = np.diff(histogram.edges)
        values, errors = histogram.counts / width, np.sqrt(histogram.variances) / width
        # A step to zero would run off a logarithmic axis.
        shown = np.where(values > 0, values, np.nan) if log else values
        draw.steps(axes, histogram, shown, errors, color=draw.colour_of(number))
        if log:
            axes.set_yscale("log", nonpositive="mask")
    draw.finish(axes, axis_label, "Jets / GeV" if "GeV" in axis_label else "Jets / unit", label)
    return figure


@styled
def cut_flow_bars(
    steps: Mapping[str, Sequence[tuple[str, float]]],
    *,
    label: PlotLabel | None = None,
) -> Figure:
    """Draw what is left after each step, as a fraction of the first, one bar a dataset.

    `steps` are dataset → name and what is left (events, jets or Σw), in order.
    """
    names = [name for name, _ in next(iter(steps.values()), ())]
    figure, axes = draw.new_axes(7.2, max(2.6, 1.1 + 0.34 * len(names) * max(1, 0.6 * len(steps))))
    height = 0.8 / max(len(steps), 1)
    for number, (dataset, flow) in enumerate(steps.items()):
        first = flow[0][1] if flow and flow[0][1] else 1.0
        fractions = [value / first for _, value in flow]
        places = np.arange(len(flow)) + (number + 0.5) * height - 0.4
        look: dict[str, Any] = {
            "height": height * 0.9,
            "color": draw.colour_of(number),
            "label": dataset,
        }
        axes.barh(places, fractions, **look)
        for place, fraction in zip(places, fractions, strict=True):
            text = f"{100 * fraction:.3g} %"
            axes.text(fraction + 0.01, place, text, va="center", fontsize=9.5)
    axes.set_yticks(np.arange(len(names)), names)
    axes.minorticks_off()
    axes.tick_params(axis="y", length=0)
    axes.invert_yaxis()
    axes.set(xlim=(0, 1.16), xlabel="Fraction left")
    if len(steps) > 1:
        axes.legend(loc="lower right")
    draw.title(axes, label)
    return figure
