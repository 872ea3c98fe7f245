"""Numbers against a number, each with its interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from oddjet.analysis.report.figures import draw
from oddjet.analysis.report.figures.style import MARKERS, PlotLabel, legend_text, styled
from oddjet.ml.evaluation.bootstrap import Interval

__all__ = ["curves"]


@styled
def curves(
    x: Sequence[float],
    lines: Mapping[str, Sequence[Interval]],
    *,
    axis_label: str,
    value_label: str,
    log: bool = False,
    label: PlotLabel | None = None,
) -> Figure:
    """Draw n numbers a line over rising x (n,), with bands for their intervals.

    Infinite ends are cut off at the axes.
    """
    figure, axes = draw.new_axes()
    for number, (name, values) in enumerate(lines.items()):
        style, colour = f"{MARKERS[number % len(MARKERS)]}-", draw.colour_of(number)
        draw.intervals(axes, x, values, style=style, color=colour, ms=5.5, label=legend_text(name))
    if log:
        draw.log_ticks(axes, x, "{x:g}")
    axes.margins(y=0.25)
    draw.finish(axes, axis_label, value_label, label)
    return figure
