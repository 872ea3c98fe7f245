"""The global p of background-only replicas against a uniform distribution."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from scipy import stats

from oddjet.analysis.injection.certificate.summary import LEVEL, Certificate
from oddjet.analysis.report.figures import draw
from oddjet.analysis.report.figures.style import PlotLabel, styled

__all__ = ["global_p_distribution"]


@styled
def global_p_distribution(certificate: Certificate, *, label: PlotLabel | None = None) -> Figure:
    """Draw how many replicas have at most a given global p, and the band that uniform ones would leave in 5 %."""
    figure, axes = draw.new_axes()
    p = np.sort(certificate.global_p)
    share = np.arange(1, p.size + 1) / p.size
    axes.step(
        [0.0, *p, 1.0], [0.0, *share, 1.0], where="post", color=draw.colour_of(0), label="replicas"
    )
    grid, width = np.linspace(0, 1, 200), float(stats.kstwo.isf(0.05, p.size))
    axes.plot(grid, grid, "--", color="#777777", label="uniform")
    axes.fill_between(
        grid,
        np.clip(grid - width, 0, 1),
        np.clip(grid + width, 0, 1),
        color="#dddddd",
        alpha=0.6,
        lw=0,
        zorder=0,
        label="95 % of uniform ones",
    )
    axes.axvline(LEVEL, color="#aaaaaa", ls=":", lw=0.9)
    axes.set(xlim=(0, 1), ylim=(0, 1))
    draw.finish(axes, "Global p", "Share of the replicas at or below", label, loc="lower right")
    return figure
