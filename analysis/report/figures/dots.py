"""Numbers with intervals side by side: one line each, several kinds a line."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from oddjet.analysis.report.figures import draw
from oddjet.analysis.report.figures.style import MARKERS, PlotLabel, legend_text, styled
from oddjet.ml.evaluation.bootstrap import Interval

__all__ = ["Dots", "dot_rows"]


@dataclasses.dataclass(frozen=True)
class Dots:
    """One kind of number.

    Attributes:
        values: Line → number; None, or no entry, where there is none.
    """

    label: str
    values: Mapping[str, Interval | None]


@styled
def dot_rows(
    kinds: Sequence[Dots],
    *,
    axis_label: str,
    reference: float | None = None,
    label: PlotLabel | None = None,
) -> Figure:
    """Draw kinds of numbers with their intervals, one line for each name, in order.

    `reference` is where a dotted line is drawn.
    """
    lines = list(dict.fromkeys(name for kind in kinds for name in kind.values))
    width = 4.6 + 0.09 * max((len(name) for name in lines), default=0)
    height = 1.7 + 0.26 * len(kinds) + 0.36 * max(len(lines), 1)
    figure, axes = draw.new_axes(max(7.2, width), height)
    if reference is not None:
        axes.axvline(reference, color="#777777", ls=":", lw=1.3)
    for number, kind in enumerate(kinds):
        shift = 0.5 * ((number + 0.5) / max(len(kinds), 1) - 0.5)
        dots = [
            (lines.index(name) + shift, interval)
            for name, interval in kind.values.items()
            if interval is not None and np.isfinite(interval.value)
        ]
        axes.errorbar(
            [interval.value for _, interval in dots],
            [place for place, _ in dots],
            xerr=np.array(
                [[i.value - i.low for _, i in dots], [i.high - i.value for _, i in dots]]
            ).clip(min=0),
            fmt=MARKERS[number % len(MARKERS)],
            color=draw.colour_of(number),
            ms=6,
            lw=1.4,
            capsize=2,
            label=legend_text(kind.label),
        )
    for line in range(1, len(lines)):
        axes.axhline(line - 0.5, color="#dddddd", lw=0.7, zorder=0)
    axes.set_yticks(range(len(lines)), [legend_text(name) for name in lines])
    axes.tick_params(axis="y", length=0)
    axes.minorticks_off()
    axes.set(ylim=(max(len(lines), 1) - 0.5, -0.5), xlabel=axis_label)
    if kinds:
        # Below the axes, where there are no dots.
        figure.legend(loc="outside lower center", ncols=1 if len(kinds) < 4 else 2, fontsize=10)
    draw.title(axes, label)
    return figure
