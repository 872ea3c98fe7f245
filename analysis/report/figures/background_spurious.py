"""The spurious signal of background functions against mass."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from oddjet.analysis.report.figures import draw
from oddjet.analysis.report.figures.style import DATA, PlotLabel, styled
from oddjet.analysis.statistics.background.spurious import LIMIT, SpuriousSignal

__all__ = ["spurious_against_mass"]

MOST = 6
SHOWN = 4.0


@styled
def spurious_against_mass(
    tests: Sequence[SpuriousSignal], *, label: PlotLabel | None = None
) -> Figure:
    """Draw N_spur/σ with the band of σ_MC, and the limits that decide."""
    figure, axes = draw.new_axes()
    best = sorted(tests, key=lambda test: test.worst.bound)[:MOST]
    largest = 1.0
    for number, test in enumerate(best):
        points = [point for point in test.points if not point.failure]
        mass = np.array([point.mass for point in points])
        ratio = np.array([point.ratio for point in points])
        band = np.array([point.sigma_mc / point.sigma for point in points])
        draw.line(
            axes,
            mass,
            ratio,
            (ratio - band, ratio + band),
            alpha=0.15,
            style="-" if test.accepted else "--",
            color=draw.colour_of(number),
            label=f"{test.function}: {'accepted' if test.accepted else 'not accepted'}",
        )
        largest = max(largest, float(np.max(np.abs(ratio) + band, initial=0.0)))
    for side in (-LIMIT, LIMIT):
        axes.axhline(side, color=DATA, lw=1.0, ls=":")
    axes.axhline(0, color=DATA, lw=0.8)
    reach = min(largest, SHOWN)
    axes.set_ylim(-1.1 * reach, 1.9 * reach)
    names = ("Mass of the signal [GeV]", "N_spur / σ (band: σ_MC)")
    draw.finish(axes, *names, label, loc="upper right", ncols=2, fontsize=9.5)
    return figure
