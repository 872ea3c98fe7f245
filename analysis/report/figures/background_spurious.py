"""The spurious signal of background functions against mass."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from oddjet.analysis.report.figures.style import (
    COLOURS,
    DATA,
    PlotLabel,
    draw_label,
    new_figure,
    styled,
)
from oddjet.analysis.statistics.background.spurious import SpuriousSignal

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["spurious_against_mass"]

MOST = 6
SHOWN = 4.0


@styled
def spurious_against_mass(
    tests: Sequence[SpuriousSignal], *, label: PlotLabel | None = None
) -> Figure:
    """Draw N_spur/σ with the band of σ_MC, and the limits that decide.

    Args:
        tests: One entry a function; the best six are drawn.
        label: Text above the axes.
    """
    figure = new_figure()
    axes = figure.subplots()
    best = sorted(tests, key=lambda each: each.worst.excess)[:MOST]
    largest = 1.0
    for number, test in enumerate(best):
        points = [each for each in test.points if not each.failure]
        mass = np.array([each.mass for each in points])
        ratio = np.array([each.ratio for each in points])
        band = np.array([each.sigma_mc / each.sigma for each in points])
        verdict = "accepted" if test.accepted else "not accepted"
        colour = COLOURS[number % len(COLOURS)]
        axes.plot(
            mass,
            ratio,
            color=colour,
            ls="-" if test.accepted else "--",
            label=f"{test.function}: {verdict}",
        )
        axes.fill_between(mass, ratio - band, ratio + band, color=colour, alpha=0.15, lw=0)
        largest = max(largest, float(np.max(np.abs(ratio) + band, initial=0.0)))
    limit = best[0].limit if best else 0.0
    for side in (-limit, limit):
        axes.axhline(side, color=DATA, lw=1.0, ls=":")
    axes.axhline(0, color=DATA, lw=0.8)
    reach = min(largest, SHOWN)
    axes.set_ylim(-1.1 * reach, 1.9 * reach)
    axes.set_xlabel("Mass of the signal [GeV]")
    axes.set_ylabel("N_spur / σ (band: σ_MC)")
    axes.legend(loc="upper right", ncols=2, fontsize=9.5)
    draw_label(axes, label or PlotLabel())
    return figure
