"""The area under the ROC curve against the share of signal in the training."""

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
from oddjet.typing import Floats

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["ContaminationLine", "contamination_curve"]


@dataclasses.dataclass(frozen=True)
class ContaminationLine:
    """One score after trainings with more and less signal inside.

    Attributes:
        label: Name in the legend.
        ratios: Signal over background, rising, shape (n,).
        areas: For each ratio the areas of its trainings; the line goes through their means.
        low: Lower ends of the intervals, shape (n,).
        high: Upper ends, shape (n,).
    """

    label: str
    ratios: Floats
    areas: Sequence[Sequence[float]]
    low: Floats
    high: Floats


@styled
def contamination_curve(
    lines: Sequence[ContaminationLine],
    *,
    axis_label: str,
    label: PlotLabel | None = None,
) -> Figure:
    """Draw the areas with their intervals; the axis is logarithmic, with a place for 0.

    Args:
        lines: One a score.
        axis_label: What is divided by what.
        label: Text above the axes.
    """
    figure = new_figure()
    axes = figure.subplots()
    for number, line in enumerate(lines):
        colour = COLOURS[number % len(COLOURS)]
        means = [float(np.mean(areas)) for areas in line.areas]
        axes.plot(line.ratios, means, "o-", color=colour, ms=6, label=legend_text(line.label))
        for end in (line.low, line.high):
            axes.plot(line.ratios, end, ":", color=colour, lw=0.8)
        axes.fill_between(
            line.ratios, line.low, line.high, color=colour, alpha=0.25 / max(len(lines), 2), lw=0
        )
        for ratio, areas in zip(line.ratios, line.areas, strict=True):
            if len(areas) > 1:
                axes.plot([ratio] * len(areas), areas, "_", color=colour, ms=9, mew=1.4)
    _ratio_axis(axes, np.unique(np.concatenate([np.zeros(0), *(line.ratios for line in lines)])))
    axes.set_xlabel(axis_label)
    axes.set_ylabel("AUC")
    axes.margins(y=0.12)
    axes.legend(loc="best")
    draw_label(axes, label or PlotLabel())
    return figure


def _ratio_axis(axes: Axes, ratios: Floats) -> None:
    """A tick at every ratio, on a scale that is logarithmic above the smallest of them."""
    from matplotlib.ticker import NullLocator  # noqa: PLC0415

    positive = ratios[ratios > 0]
    if positive.size:
        axes.set_xscale("symlog", linthresh=float(positive.min()), linscale=0.6)
        axes.set_xlim(left=-0.25 * positive.min() if (ratios == 0).any() else 0.8 * positive.min())
        axes.set_xlim(right=1.3 * positive.max())
    axes.set_xticks(ratios, [f"{ratio:g}" for ratio in ratios])
    axes.xaxis.set_minor_locator(NullLocator())
