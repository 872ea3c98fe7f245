"""Distributions of anomaly scores."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from oddjet.analysis.report.figures.style import (
    COLOURS,
    Histogram,
    PlotLabel,
    draw_label,
    draw_steps,
    new_figure,
    styled,
)
from oddjet.typing import Floats

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["ScoreSample", "score_distributions"]


@dataclasses.dataclass(frozen=True)
class ScoreSample:
    """Scores of one class of jets.

    Attributes:
        label: Name in the legend.
        values: Scores, shape (n_jets,).
        weights: Weights, shape (n_jets,), or None for one each.
        is_signal: Decides the colour.
    """

    label: str
    values: Floats
    weights: Floats | None = None
    is_signal: bool = False


def _edges(samples: Sequence[ScoreSample], n_bins: int, *, log: bool) -> Floats:
    """Bins over the central 99.9 % of all scores, equal in the logarithm where `log`."""
    values = np.concatenate([sample.values for sample in samples])
    low, high = np.quantile(values, [0.0005, 0.9995]) if values.size else (0.0, 1.0)
    if not high > low:
        low, high = low - 0.5, high + 0.5
    if log:
        return np.geomspace(low, high, n_bins + 1)
    return np.linspace(low, high, n_bins + 1)


def _wide(samples: Sequence[ScoreSample]) -> bool:
    values = np.concatenate([sample.values for sample in samples])
    if not values.size or values.min() <= 0:
        return False
    low, high = np.quantile(values, [0.0005, 0.9995])
    return bool(high > 8 * low > 0)


def _draw(axes: Axes, samples: Sequence[ScoreSample], edges: Floats) -> None:
    plain = [COLOURS[0], *COLOURS[3:]]
    strong = [COLOURS[1], COLOURS[2], COLOURS[6]]
    counters = {True: 0, False: 0}
    for sample in samples:
        palette = strong if sample.is_signal else plain
        colour = palette[counters[sample.is_signal] % len(palette)]
        counters[sample.is_signal] += 1
        weights = np.ones(sample.values.size) if sample.weights is None else sample.weights
        # Jets beyond the axis belong to the outermost bins, so that every curve has area 1.
        inside = np.clip(sample.values, edges[0], edges[-1])
        counts = np.histogram(inside, bins=edges, weights=weights)[0]
        squares = np.histogram(inside, bins=edges, weights=weights**2)[0]
        norm = weights.sum() if weights.size and weights.sum() != 0 else 1.0
        shape = Histogram(sample.label, edges, counts / norm, squares / norm**2)
        draw_steps(axes, shape, shape.counts, np.sqrt(shape.variances), color=colour)


@styled
def score_distributions(
    raw: Sequence[ScoreSample],
    calibrated: Sequence[ScoreSample] = (),
    *,
    name: str,
    working_points: Mapping[str, float] | None = None,
    n_bins: int = 50,
    label: PlotLabel | None = None,
) -> Figure:
    """Draw a score for background and signal, each with area 1; raw, and calibrated beside it.

    Args:
        raw: The raw scores of each class.
        calibrated: The calibrated scores (−log10 of the background's survival) of each class.
        name: Name of the score, on the axis.
        working_points: Thresholds on the calibrated score by their name.
        n_bins: Bins of each axis.
        label: Text above the axes.
    """
    panels = 2 if calibrated else 1
    figure = new_figure(5.6 * panels if panels == 2 else 7.2, 4.8)
    grid = np.atleast_1d(np.asarray(figure.subplots(1, panels), dtype=object))
    left = grid[0]
    from matplotlib.ticker import NullFormatter  # noqa: PLC0415

    log = _wide(raw)
    _draw(left, raw, _edges(raw, n_bins, log=log))
    if log:
        left.set_xscale("log")
        # Over one or two decades the labels of the minor ticks would overlap.
        left.xaxis.set_minor_formatter(NullFormatter())
    left.set_xlabel(name)
    left.set_ylabel("Fraction of jets / bin")
    if calibrated:
        right = grid[1]
        _draw(right, calibrated, _edges(calibrated, n_bins, log=False))
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
        draw_label(axes, label or PlotLabel())
    return figure
