"""The p-values of the bump hunt."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from scipy import stats

from oddjet.analysis.report.figures import draw
from oddjet.analysis.report.figures.style import BACKGROUND, SIGNAL, PlotLabel, styled
from oddjet.analysis.statistics.bumphunt.ranks import SLACK
from oddjet.analysis.statistics.bumphunt.result import BumpHunt, ChannelScan

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
    channel: ChannelScan,
    hunt: BumpHunt,
    *,
    axis_label: str = "Jet soft-drop mass [GeV]",
    label: PlotLabel | None = None,
) -> Figure:
    """Draw the local p of every window as a bar from its lower to its upper end.

    The axis on the right says what a local p means after all windows of the spectrum.
    """
    figure, axes = draw.new_axes(7.6, 5.2)
    table = channel.table
    known = ~np.isnan(table.local_p)
    columns = (table.low[known], table.high[known], np.maximum(table.local_p[known], 1e-300))
    bars = [[(low, p), (high, p)] for low, high, p in zip(*columns, strict=True)]
    axes.add_collection(LineCollection(bars, colors=BACKGROUND, lw=1.1, alpha=0.65))
    best = max(channel.local_p, 1e-300)
    if channel.has_excess:
        axes.plot(channel.window, [best, best], color=SIGNAL, lw=3, solid_capstyle="butt")
        draw.shade(axes, channel.window)
    axes.plot([], [], color=BACKGROUND, lw=1.1, label=f"{len(bars)} windows")
    if channel.has_excess:
        name = f"most improbable: {channel.window[0]:g}–{channel.window[1]:g} GeV"
        axes.plot([], [], color=SIGNAL, lw=3, label=name)
    if hunt.blind_window is not None:
        draw.hatch(axes, hunt.blind_window, "blinded")
    floor = max(min(best / 8, 1e-3) ** 1.45, 1e-305)
    axes.set(yscale="log", ylim=(floor, 3), xlim=(float(table.low.min()), float(table.high.max())))
    _sigma_lines(axes, floor)
    _global_axis(axes, channel, floor)
    draw.finish(axes, axis_label, f"Local p ({hunt.background})", label, loc="lower left")
    axes.text(
        0.97,
        0.04,
        _summary(channel),
        transform=axes.transAxes,
        ha="right",
        va="bottom",
        fontsize=10.5,
        bbox={"facecolor": "white", "alpha": 0.85, "lw": 0},
    )
    return figure


def _global_axis(axes: Axes, channel: ChannelScan, floor: float) -> None:
    """A second scale on the right: the p over all windows that a local p is worth, where toys reach."""
    ordered = np.sort(channel.toy_min_p)
    ticks, names = [], []
    for global_p in (0.5, 0.1, 0.01, 0.001, 0.0001):
        rank = round(global_p * (channel.n_toys + 1)) - 1
        if 1 <= rank <= ordered.size and ordered[rank - 1] > floor:
            ticks.append(float(ordered[rank - 1]))
            names.append(f"{global_p:g}")
    right = axes.secondary_yaxis(1.09)
    right.set_yscale("log")
    right.set_yticks(ticks, names)
    right.minorticks_off()
    right.set_ylabel("p over the windows of this spectrum")


def _summary(channel: ChannelScan) -> str:
    bound = "≤ " if channel.n_exceeding == 0 else "= "
    return (
        f"local p = {channel.local_p:.2g} ({channel.local_significance:.1f}σ), "
        f"of toys here {'≤' if channel.local_p_toys <= 1 / channel.n_toys else '='} "
        f"{channel.local_p_toys:.2g}\n"
        f"over this spectrum: p {bound}{channel.spectrum_p:.2g}"
        + ("\nflagged: poor fit, or a local p that toys contradict" if channel.flags else "")
    )


@styled
def toy_statistics(hunt: BumpHunt, *, label: PlotLabel | None = None) -> Figure:
    """Draw the BumpHunter statistic −ln p of the spectrum of the best rank: toys, and the observed one."""
    figure, axes = draw.new_axes(7.2, 4.4)
    best = hunt.best
    toys = -np.log(np.maximum(best.toy_min_p, 1e-300))
    seen = -np.log(max(best.local_p, 1e-300))
    top = max(float(toys.max(initial=1.0)), seen) * 1.08
    edges: npt.NDArray[Any] = np.linspace(0, top, 61)
    above = best.toy_min_p <= best.local_p * SLACK
    extreme = f"at least as extreme: {best.n_exceeding} of {best.n_toys}"
    parts = ((~above, BACKGROUND, "background only"), (above, SIGNAL, extreme))
    for rows, colour, name in parts:
        counts = np.histogram(toys[rows], bins=edges)[0]
        axes.stairs(counts, edges, fill=True, color=colour, alpha=0.75, label=name)
    axes.axvline(seen, color=SIGNAL, lw=2.2, label="observed")
    axes.set(yscale="log", ylim=(0.5, toys.size / 4), xlim=(0, top))
    names = ("BumpHunter statistic: −ln (smallest local p)", "Pseudo-experiments / bin")
    draw.finish(axes, *names, label, loc="upper right")
    return figure
