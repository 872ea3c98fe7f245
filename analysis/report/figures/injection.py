"""Significance against injected signal, before and after cuts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from oddjet.analysis.injection.summary import PointSummary
from oddjet.analysis.report.figures import draw
from oddjet.analysis.report.figures.style import MARKERS, PlotLabel, legend_text, styled
from oddjet.typing import Floats

__all__ = ["injected_significance", "injected_yield"]

FRACTION = "Injected signal / background before the cut [%]"


@styled
def injected_significance(
    points: Sequence[PointSummary], *, label: PlotLabel | None = None
) -> Figure:
    """Draw the significance in the signal window against the injected fraction, a line a cut."""
    figure, axes = draw.new_axes()
    for number, (name, line) in enumerate(_by_cut(points).items()):
        places, marker = _places(line, number), MARKERS[number % len(MARKERS)]
        means = [np.mean(point.significance) for point in line]
        axes.plot(places, means, "-", color=draw.colour_of(number), label=legend_text(name))
        _draw_seeds(axes, places, [p.significance for p in line], marker, draw.colour_of(number))
    for sigma in (3, 5):
        axes.axhline(sigma, color="#aaaaaa", ls=":", lw=0.9, zorder=0)
    draw.finish(axes, FRACTION, "Significance in the signal window [σ]", label, loc="upper left")
    axes.set_ylim(bottom=-0.2)
    axes.margins(y=0.25)
    return figure


@styled
def injected_yield(points: Sequence[PointSummary], *, label: PlotLabel | None = None) -> Figure:
    """Draw the pull of the fitted yield against the injected fraction."""
    figure, axes = draw.new_axes(7.2, 4.2)
    for number, (name, line) in enumerate(_by_cut(points).items()):
        colour, marker = draw.colour_of(number), MARKERS[number % len(MARKERS)]
        axes.plot([], [], marker, color=colour, mfc="none", label=legend_text(name))
        _draw_seeds(axes, _places(line, number), [p.pull for p in line], marker, colour)
    axes.axhspan(-1, 1, color="#dddddd", alpha=0.5, lw=0, zorder=0)
    axes.axhline(0, color="#888888", lw=0.9, zorder=0)
    draw.finish(
        axes, FRACTION, "(Fitted yield − injected) / error", label, loc="upper left", ncols=2
    )
    axes.margins(y=0.35)
    return figure


def _places(line: Sequence[PointSummary], number: int) -> Floats:
    """Fractions [%], moved a little for the n-th line, so that seeds of all lines are seen."""
    x = 100 * np.array([point.fraction for point in line])
    return np.asarray(x + 0.012 * (number - 1.5) * max(float(x.max()), 1e-9))


def _draw_seeds(
    axes: Axes, places: Floats, values: Sequence[Sequence[float]], marker: str, colour: str
) -> None:
    for place, seeds in zip(places, values, strict=True):
        axes.plot([place] * len(seeds), seeds, marker, color=colour, ms=5, mfc="none")


def _by_cut(points: Sequence[PointSummary]) -> dict[str, list[PointSummary]]:
    lines: dict[str, list[PointSummary]] = {}
    for point in points:
        cut = point.background_efficiency
        name = "no cut" if cut == 1 else f"{100 * cut:g} % background"
        lines.setdefault(name, []).append(point)
    return lines
