"""The p-values of the bump hunt."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from scipy import stats

from oddjet.analysis.bumphunt import BumpHunt
from oddjet.analysis.plots.style import (
    BACKGROUND,
    SIGNAL,
    PlotLabel,
    draw_label,
    hatch_window,
    new_figure,
    shade_window,
    styled,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["p_value_scan", "toy_statistics"]


def _sigma_lines(axes: Axes, smallest: float) -> None:
    """Dotted lines at whole Gaussian significances, named at the right."""
    for sigma in range(1, 38):
        p_value = float(stats.norm.sf(sigma))
        if p_value < smallest:
            break
        axes.axhline(p_value, color="#aaaaaa", ls=":", lw=0.9, zorder=0)
        axes.annotate(
            f"{sigma}σ",
            xy=(1, p_value),
            xycoords=("axes fraction", "data"),
            xytext=(5, 0),
            textcoords="offset points",
            va="center",
            fontsize=10,
            color="#555555",
        )


@styled
def p_value_scan(
    hunt: BumpHunt,
    *,
    axis_label: str = "Jet soft-drop mass [GeV]",
    label: PlotLabel | None = None,
) -> Figure:
    """Draw the local p of every window as a bar from its lower to its upper end.

    Args:
        hunt: The scan.
        axis_label: The mass with its unit.
        label: Text above the axes.
    """
    from matplotlib.collections import LineCollection  # noqa: PLC0415

    figure = new_figure(7.2, 5.2)
    axes = figure.subplots()
    table = hunt.table
    shown = np.maximum(table.local_p, 1e-300)
    bars = [
        [(low, p), (high, p)] for low, high, p in zip(table.low, table.high, shown, strict=True)
    ]
    axes.add_collection(LineCollection(bars, colors=BACKGROUND, lw=1.1, alpha=0.65))
    best = max(hunt.local_p_fixed_background, 1e-300)
    if hunt.has_excess:
        axes.plot(hunt.window, [best, best], color=SIGNAL, lw=3, solid_capstyle="butt")
        shade_window(axes, hunt.window)
    axes.plot([], [], color=BACKGROUND, lw=1.1, label=f"{table.n_windows} windows")
    if hunt.has_excess:
        name = f"most improbable: {hunt.window[0]:g}–{hunt.window[1]:g} GeV"
        axes.plot([], [], color=SIGNAL, lw=3, label=name)
    if hunt.blind_window is not None:
        hatch_window(axes, hunt.blind_window, "blinded")
    floor = max(min(best / 8, 1e-3) ** 1.45, 1e-305)
    axes.set_yscale("log")
    axes.set_ylim(floor, 3)
    axes.set_xlim(float(table.low.min()), float(table.high.max()))
    _sigma_lines(axes, floor)
    axes.set_xlabel(axis_label)
    axes.set_ylabel("Local p (fixed background)")
    axes.legend(loc="lower left")
    axes.text(
        0.97, 0.04, _summary(hunt), transform=axes.transAxes, ha="right", va="bottom", fontsize=10.5
    )
    draw_label(axes, label or PlotLabel())
    return figure


def _summary(hunt: BumpHunt) -> str:
    bound = "≤ " if hunt.global_p_is_bound else "= "
    more = "≥ " if hunt.global_p_is_bound else ""
    return (
        f"local p = {hunt.local_p_fixed_background:.2g} ({hunt.local_significance:.1f}σ)\n"
        f"global p {bound}{hunt.global_p_fixed_background:.2g} "
        f"({more}{hunt.global_significance:.1f}σ), {hunt.n_toys} toys"
    )


@styled
def toy_statistics(hunt: BumpHunt, *, label: PlotLabel | None = None) -> Figure:
    """Draw the BumpHunter statistic −ln p of the pseudo-experiments, and the observed one.

    Args:
        hunt: The scan.
        label: Text above the axes.
    """
    figure = new_figure(7.2, 4.4)
    axes = figure.subplots()
    toys = -np.log(np.maximum(hunt.toy_min_p, 1e-300))
    seen = -np.log(max(hunt.local_p_fixed_background, 1e-300))
    top = max(float(toys.max(initial=1.0)), seen) * 1.08
    edges: npt.NDArray[Any] = np.linspace(0, top, 61)
    above = hunt.toy_min_p <= hunt.local_p_fixed_background * (1.0 + 1e-9)
    counts = np.histogram(toys[~above], bins=edges)[0]
    axes.stairs(counts, edges, fill=True, color=BACKGROUND, alpha=0.75, label="background only")
    axes.stairs(
        np.histogram(toys[above], bins=edges)[0],
        edges,
        fill=True,
        color=SIGNAL,
        alpha=0.75,
        label=f"at least as extreme: {hunt.n_exceeding} of {hunt.n_toys}",
    )
    axes.axvline(seen, color=SIGNAL, lw=2.2, label="observed")
    axes.set_yscale("log")
    axes.set_ylim(0.5, toys.size / 4)
    axes.set_xlim(0, top)
    axes.set_xlabel("BumpHunter statistic: −ln (smallest local p)")
    axes.set_ylabel("Pseudo-experiments / bin")
    axes.legend(loc="upper right")
    draw_label(axes, label or PlotLabel())
    return figure
