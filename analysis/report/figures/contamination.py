"""The area under the ROC curve against the share of signal in the training."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from oddjet.analysis.report.figures import draw
from oddjet.analysis.report.figures.style import PlotLabel, legend_text, styled
from oddjet.ml.evaluation.bootstrap import Interval
from oddjet.typing import Floats

__all__ = ["ContaminationLine", "contamination_curve"]


@dataclasses.dataclass(frozen=True)
class ContaminationLine:
    """One score after trainings with more and less signal inside.

    Attributes:
        ratios: Signal over background, rising, shape (n,).
        areas: For each ratio the areas of its trainings; the line and the band go through the
            means of their values and ends.
    """

    label: str
    ratios: Floats
    areas: Sequence[Sequence[Interval]]


@styled
def contamination_curve(
    lines: Sequence[ContaminationLine],
    *,
    axis_label: str,
    label: PlotLabel | None = None,
) -> Figure:
    """Draw the areas with their intervals; the axis is logarithmic, with a place for 0."""
    figure, axes = draw.new_axes()
    for number, line in enumerate(lines):
        colour, name = draw.colour_of(number), legend_text(line.label)
        means, low, high = np.transpose(
            [np.mean([(a.value, a.low, a.high) for a in areas], axis=0) for areas in line.areas]
        )
        look: dict[str, Any] = {"alpha": 0.25 / max(len(lines), 2), "color": colour, "ms": 6}
        draw.line(axes, line.ratios, means, (low, high), label=name, **look)
        for end in (low, high):
            axes.plot(line.ratios, end, ":", color=colour, lw=0.8)
        for ratio, areas in zip(line.ratios, line.areas, strict=True):
            if len(areas) > 1:
                values = [area.value for area in areas]
                axes.plot([ratio] * len(areas), values, "_", color=colour, ms=9, mew=1.4)
    _ratio_axis(axes, np.unique(np.concatenate([np.zeros(0), *(line.ratios for line in lines)])))
    axes.margins(y=0.12)
    draw.finish(axes, axis_label, "AUC", label)
    return figure


def _ratio_axis(axes: Axes, ratios: Floats) -> None:
    """A tick at every ratio, on a scale that is logarithmic above the smallest of them."""
    positive = ratios[ratios > 0]
    if positive.size:
        axes.set_xscale("symlog", linthresh=float(positive.min()), linscale=0.6)
        axes.set_xlim(left=-0.25 * positive.min() if (ratios == 0).any() else 0.8 * positive.min())
        axes.set_xlim(right=1.3 * positive.max())
    axes.set_xticks(ratios, [f"{ratio:g}" for ratio in ratios])
    axes.xaxis.set_minor_locator(NullLocator())
