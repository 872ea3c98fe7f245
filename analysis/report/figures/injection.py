"""Significance against injected signal, before and after cuts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from oddjet.analysis.injection.summary import PointSummary
from oddjet.analysis.report.figures.style import (
    COLOURS,
    PlotLabel,
    draw_label,
    legend_text,
    new_figure,
    styled,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["injected_significance", "injected_yield"]

MARKERS = "osD^vP"


@styled
def injected_significance(
    points: Sequence[PointSummary], *, label: PlotLabel | None = None
) -> Figure:
    """Draw the significance in the signal window against the injected fraction, a line a cut.

    Args:
        points: Those of one score.
        label: Text above the axes.
    """
    figure = new_figure()
    axes = figure.subplots()
    for number, (name, line) in enumerate(_by_cut(points).items()):
        x = 100 * np.array([point.fraction for point in line])
        colour = COLOURS[number % len(COLOURS)]
        # Lines of different cuts are moved apart a little, so that their seeds can be told apart.
        shift = 0.012 * (number - 1.5) * max(float(x.max()), 1e-9)
        means = [np.mean(point.significance) for point in line]
        axes.plot(x + shift, means, "-", color=colour, label=legend_text(name))
        for place, point in zip(x + shift, line, strict=True):
            axes.plot(
                [place] * len(point.significance),
                point.significance,
                MARKERS[number % len(MARKERS)],
                color=colour,
                ms=5,
                mfc="none",
            )
    for sigma in (3, 5):
        axes.axhline(sigma, color="#aaaaaa", ls=":", lw=0.9, zorder=0)
    axes.set_xlabel("Injected signal / background before the cut [%]")
    axes.set_ylabel("Significance in the signal window [σ]")
    axes.legend(loc="upper left")
    axes.set_ylim(bottom=-0.2)
    axes.margins(y=0.25)
    draw_label(axes, label or PlotLabel())
    return figure


@styled
def injected_yield(points: Sequence[PointSummary], *, label: PlotLabel | None = None) -> Figure:
    """Draw the pull of the fitted yield against the injected fraction.

    Args:
        points: Those of one score.
        label: Text above the axes.
    """
    figure = new_figure(7.2, 4.2)
    axes = figure.subplots()
    for number, (name, line) in enumerate(_by_cut(points).items()):
        colour, marker = COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)]
        x = 100 * np.array([point.fraction for point in line])
        shift = 0.012 * (number - 1.5) * max(float(x.max()), 1e-9)
        axes.plot([], [], marker, color=colour, mfc="none", label=legend_text(name))
        for place, point in zip(x + shift, line, strict=True):
            pulls = list(point.pull)
            axes.plot([place] * len(pulls), pulls, marker, color=colour, ms=5, mfc="none")
    axes.axhspan(-1, 1, color="#dddddd", alpha=0.5, lw=0, zorder=0)
    axes.axhline(0, color="#888888", lw=0.9, zorder=0)
    axes.set_xlabel("Injected signal / background before the cut [%]")
    axes.set_ylabel("(Fitted yield − injected) / error")
    axes.legend(loc="upper left", ncols=2)
    axes.margins(y=0.35)
    draw_label(axes, label or PlotLabel())
    return figure


def _by_cut(points: Sequence[PointSummary]) -> dict[str, list[PointSummary]]:
    lines: dict[str, list[PointSummary]] = {}
    for point in points:
        cut = point.background_efficiency
        name = "no cut" if cut == 1 else f"{100 * cut:g} % background"
        lines.setdefault(name, []).append(point)
    return lines
