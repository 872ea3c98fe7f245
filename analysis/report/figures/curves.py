"""Numbers against a number, each with its interval."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from oddjet.analysis.report.figures import draw
from oddjet.analysis.report.figures.style import (
    MARKERS,
    PlotLabel,
    colour_of,
    legend_text,
    new_axes,
    styled,
)
from oddjet.ml.evaluation.bootstrap import Interval
from oddjet.typing import Floats

__all__ = ["Curve", "curves"]


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
        columns = (
            [getattr(interval, name) for interval in intervals] for name in ("value", "low", "high")
        )
        return cls(label, *(np.asarray(column, np.float64) for column in (x, *columns)))


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
    figure, axes = new_axes()
    for number, line in enumerate(lines):
        style = f"{MARKERS[number % len(MARKERS)]}-"
        top = np.where(np.isfinite(line.high), line.high, line.values)
        look: dict[str, Any] = {
            "color": colour_of(number),
            "ms": 5.5,
            "label": legend_text(line.label),
        }
        draw.line(axes, line.x, line.values, (line.low, top), style=style, **look)
    if log:
        draw.log_ticks(axes, (float(x) for line in lines for x in line.x), "{x:g}")
    axes.margins(y=0.25)
    draw.finish(axes, axis_label, value_label, label)
    return figure
