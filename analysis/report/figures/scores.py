"""Distributions of anomaly scores."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from oddjet.analysis.report.figures import draw
from oddjet.analysis.report.figures.style import Histogram, PlotLabel, styled
from oddjet.typing import Floats

__all__ = ["ScoreSample", "score_distributions"]

N_BINS = 50


@dataclasses.dataclass(frozen=True)
class ScoreSample:
    """Scores of one class of jets.

    Attributes:
        values: Scores, shape (n_jets,).
        weights: Weights, shape (n_jets,), or None for one each.
        is_signal: Decides the colour.
    """

    label: str
    values: Floats
    weights: Floats | None = None
    is_signal: bool = False


def _span(samples: Sequence[ScoreSample]) -> tuple[float, float, bool]:
    """The central 99.9 % of all scores, and whether they call for a logarithmic axis."""
    values = np.concatenate([sample.values for sample in samples])
    low, high = np.quantile(values, [0.0005, 0.9995]) if values.size else (0.0, 1.0)
    log = bool(values.size and values.min() > 0 and high > 8 * low > 0)
    if not high > low:
        low, high = low - 0.5, high + 0.5
    return float(low), float(high), log


def _draw(axes: Axes, samples: Sequence[ScoreSample], edges: Floats) -> None:
    colours = draw.class_colours([sample.is_signal for sample in samples])
    for sample, colour in zip(samples, colours, strict=True):
        weights = np.ones(sample.values.size) if sample.weights is None else sample.weights
        # Jets beyond the axis belong to the outermost bins, so that every curve has area 1.
        inside = np.clip(sample.values, edges[0], edges[-1])
        norm = weights.sum() if weights.size and weights.sum() != 0 else 1.0
        shape = Histogram.fill(sample.label, inside, edges, weights, norm=norm)
        draw.steps(axes, shape, shape.counts, np.sqrt(shape.variances), color=colour)


@styled
def score_distributions(
    raw: Sequence[ScoreSample],
    calibrated: Sequence[ScoreSample] = (),
    *,
    name: str,
    working_points: Mapping[str, float] | None = None,
    label: PlotLabel | None = None,
) -> Figure:
    """Draw a score for background and signal, each with area 1; raw, and calibrated beside it.

    Calibrated scores are −log10 of the background's survival; `working_points` are thresholds on
    them by name.
    """
    panels = 2 if calibrated else 1
    figure = draw.new_figure(5.6 * panels if panels == 2 else 7.2, 4.8)
    grid = np.atleast_1d(np.asarray(figure.subplots(1, panels), dtype=object))
    left = grid[0]
    low, high, log = _span(raw)
    _draw(left, raw, (np.geomspace if log else np.linspace)(low, high, N_BINS + 1))
    if log:
        left.set_xscale("log")
        # Over one or two decades the labels of the minor ticks would overlap.
        left.xaxis.set_minor_formatter(NullFormatter())
    left.set(xlabel=name, ylabel="Fraction of jets / bin")
    if calibrated:
        right = grid[1]
        low, high, _ = _span(calibrated)
        _draw(right, calibrated, np.linspace(low, high, N_BINS + 1))
        right.set_xlabel(f"Calibrated {name}: −log$_{{10}}$ (background survival)")
        right.set_ylabel("Fraction of jets / bin")
        for text, threshold in (working_points or {}).items():
            right.axvline(threshold, color="#555555", ls=":", lw=1.3)
            right.annotate(
                text,
                xy=(threshold, 0.03),
                xycoords=("data", "axes fraction"),
                xytext=(3, 0),
                textcoords="offset points",
                rotation=90,
                ha="left",
                va="bottom",
                fontsize=10,
                color="#333333",
            )
    for axes in grid:
        if any(sample.values.size for sample in raw):
            axes.set_yscale("log")
            low, high = axes.get_ylim()
            axes.set_ylim(max(low, 1e-6), high * 6)
        axes.legend(loc="upper right")
        draw.title(axes, label)
    return figure
