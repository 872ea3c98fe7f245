"""Numbers against a number, each with its interval."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from oddjet.analysis.report.figures.style import (
    COLOURS,
    PlotLabel,
    draw_label,
    legend_text,
    new_figure,
    styled,
)
from oddjet.ml.evaluation.bootstrap import Interval
from oddjet.typing import Floats

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Curve", "curves"]

MARKERS = "osD^vP"


@dataclasses.dataclass(frozen=True)
class Curve:
    """A line.

    Attributes:
        label: Name in the legend.
        x: Shape (n,), rising.
        values: Shape (n,).
        low: Lower ends of the intervals, shape (n,).
        high: Upper ends, shape (n,).
    """

    label: str
    x: Floats
    values: Floats
    low: Floats
    high: Floats

    @classmethod
    def of_intervals(cls, label: str, x: Sequence[float], intervals: Sequence[Interval]) -> Curve:
        """Make a line of numbers with their intervals."""
        columns = ([getattr(each, name) for each in intervals] for name in ("value", "low", "high"))
        return cls(label, np.asarray(x, np.float64), *(np.asarray(c, np.float64) for c in columns))


@styled
def curves(
    lines: Sequence[Curve],
    *,
    axis_label: str,
    value_label: str,
    log: bool = False,
    label: PlotLabel | None = None,
) -> Figure:
    """Draw lines with bands for their intervals; infinite ends are cut off at the axes.

    Args:
        lines: What to draw.
        axis_label: What the numbers are drawn against.
        value_label: What the numbers are.
        log: Logarithmic horizontal axis.
        label: Text above the axes.
    """
    figure = new_figure()
    axes = figure.subplots()
    for number, line in enumerate(lines):
        colour = COLOURS[number % len(COLOURS)]
        marker = MARKERS[number % len(MARKERS)]
        text = legend_text(line.label)
        axes.plot(line.x, line.values, f"{marker}-", color=colour, ms=5.5, label=text)
        top = np.where(np.isfinite(line.high), line.high, line.values)
        axes.fill_between(line.x, line.low, top, color=colour, alpha=0.16, lw=0)
    if log:
        from matplotlib.ticker import FixedLocator, NullLocator, StrMethodFormatter  # noqa: PLC0415

        axes.set_xscale("log")
        axes.xaxis.set_major_locator(
            FixedLocator(sorted({float(x) for line in lines for x in line.x}))
        )
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.set_xlabel(axis_label)
    axes.set_ylabel(value_label)
    axes.legend(loc="best")
    axes.margins(y=0.25)
    draw_label(axes, label or PlotLabel())
    return figure
