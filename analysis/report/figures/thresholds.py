"""A score with its kernel density estimates and thresholds.

References:
    D. Khanal, Anomalous Jet Detection using Unsupervised Learning (2023), figures 8 and 13.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.stats import gaussian_kde

from oddjet.analysis.report.figures import draw
from oddjet.analysis.report.figures.scores import ScoreSample
from oddjet.analysis.report.figures.style import BACKGROUND, COLOURS, SIGNAL, PlotLabel, styled
from oddjet.ml.evaluation.thresholds import Cut

__all__ = ["scores_with_thresholds"]


MOST_BINS = 50
CUT_COLOURS = ("#111111", COLOURS[3], COLOURS[2], COLOURS[5], COLOURS[8], COLOURS[6], COLOURS[9])


@styled
def scores_with_thresholds(
    samples: Sequence[ScoreSample],
    cuts: Sequence[Cut],
    *,
    name: str,
    label: PlotLabel | None = None,
) -> Figure:
    """Draw histograms of a score, its kernel density estimates, and thresholds.

    Where the scores are positive and span more than a factor of eight, the axis is logarithmic and
    densities are per unit of log10 of the score. Cuts that needed signal to be found are dashed.
    """
    figure, axes = draw.new_axes(9.6, 5.0)
    values = np.concatenate([np.zeros(0), *(sample.values for sample in samples)])
    low, high = np.quantile(values, [0.001, 0.999]) if values.size else (0.0, 1.0)
    log = bool(values.size and values.min() > 0 and high > 8 * low)
    if not high > low:
        low, high = low - 0.5, high + 0.5
    smallest = min((sample.values.size for sample in samples), default=0)
    n_bins = int(np.clip(np.sqrt(smallest), 8, MOST_BINS))
    for sample in samples:
        _draw(axes, sample, float(low), float(high), n_bins, log=log)
    for number, cut in enumerate(cuts):
        value = cut.threshold.value
        left = f"{_percent(cut.signal.value)} / {_percent(cut.background.value)}"
        axes.axvline(
            np.log10(value) if log and value > 0 else value,
            color=CUT_COLOURS[number % len(CUT_COLOURS)],
            ls="--" if cut.threshold.needs_signal else "-",
            lw=1.5,
            label=f"{cut.threshold.rule}: {left}",
        )
    axes.set_ylim(bottom=0)
    axes.margins(x=0.02)
    axes.set(xlabel=f"log$_{{10}}$ ({name})" if log else name, ylabel="Density")
    if axes.get_legend_handles_labels()[0]:
        figure.legend(
            loc="outside right upper",
            fontsize=9.5,
            title="threshold: signal / background left",
            title_fontsize=9.5,
            alignment="left",
        )
    draw.title(axes, label)
    return figure


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.3g} %"


def _draw(
    axes: Axes, sample: ScoreSample, low: float, high: float, n_bins: int, *, log: bool
) -> None:
    colour = SIGNAL if sample.is_signal else BACKGROUND
    weights = np.ones(sample.values.size) if sample.weights is None else sample.weights
    values = sample.values
    if log:
        values, low, high = np.log10(values), float(np.log10(low)), float(np.log10(high))
    total = float(weights.sum())
    if not values.size or total <= 0:
        return
    edges = np.linspace(low, high, n_bins + 1)
    heights = np.histogram(values, edges, weights=weights)[0] / total / np.diff(edges)
    axes.stairs(heights, edges, fill=True, color=colour, alpha=0.25, label=sample.label)
    if np.ptp(values[weights > 0]) > 0:
        density = gaussian_kde(values, weights=weights)
        grid = np.linspace(low, high, 400)
        axes.plot(grid, density(grid), color=colour, lw=1.8)
