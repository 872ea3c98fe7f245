"""Validation loss against the size of the latent space, with the elbow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from oddjet.analysis.report.figures.style import (
    BACKGROUND,
    SIGNAL,
    PlotLabel,
    draw_label,
    new_figure,
    styled,
)
from oddjet.analysis.studies.latent_scan import LatentScan

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["latent_scan"]


@styled
def latent_scan(
    sizes: Sequence[int],
    losses: Sequence[Sequence[float]],
    *,
    loss_name: str = "Validation loss",
    label: PlotLabel | None = None,
) -> Figure:
    """Draw the mean loss of each latent size, a band of its trainings' spread, and the elbow.

    The band is ± one standard deviation of the trainings of a size, not the error of their mean.
    The elbow is the point farthest below the chord, which is drawn too (`oddjet.analysis.studies.latent_scan`).

    Args:
        sizes: Rising, n of them, at least one.
        losses: For each size, the loss of each training; as many for all.
        loss_name: Name of the loss, on its axis.
        label: Text above the axes.

    Raises:
        ConfigError: If the sizes do not rise, or a loss is not finite.
    """
    scan = LatentScan(tuple(sizes), tuple(tuple(each) for each in losses))
    found = scan.elbow
    figure = new_figure()
    axes = figure.subplots()
    power = _power(float(np.max(np.abs(scan.losses))))
    mean, spread, each = (
        values / 10.0**power for values in (scan.mean, scan.spread, np.asarray(scan.losses))
    )
    axes.fill_between(
        sizes, mean - spread, mean + spread, color=BACKGROUND, alpha=0.22, lw=0, label="spread"
    )
    axes.plot(np.repeat(sizes, each.shape[1]), each.ravel(), ".", color=BACKGROUND, alpha=0.6, ms=5)
    axes.plot(sizes, mean, "o-", color=BACKGROUND, ms=6, label=f"mean of {each.shape[1]}")
    if found is not None:
        height = mean[list(sizes).index(found)]
        ends = [0, -1]
        axes.plot(np.asarray(sizes)[ends], mean[ends], "--", color="#777777", lw=1.1, label="chord")
        axes.plot(
            [found], [height], "o", color=SIGNAL, mfc="white", mew=2, ms=11, label=f"elbow: {found}"
        )
    axes.set_xticks(list(sizes))
    axes.minorticks_off()
    axes.set_xlabel("Latent size")
    axes.set_ylabel(loss_name if power == 0 else f"{loss_name} / $10^{{{power}}}$")
    axes.legend(loc="upper right")
    draw_label(axes, label or PlotLabel())
    return figure


def _power(largest: float) -> int:
    """The power of ten to take out of the axis: 0 for losses of ordinary size."""
    power = int(np.floor(np.log10(largest))) if largest > 0 else 0
    return power if power < -2 or power > 4 else 0
