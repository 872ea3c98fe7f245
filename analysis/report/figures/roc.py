"""ROC curves, and how they grow with training."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.figure import Figure

from oddjet.analysis.report.figures import draw
from oddjet.analysis.report.figures.style import PlotLabel, legend_text, styled
from oddjet.ml.evaluation.bootstrap import Interval
from oddjet.ml.evaluation.roc import Roc
from oddjet.typing import Floats

__all__ = ["RocLine", "auc_by_epoch", "roc_by_epoch", "roc_curves"]

MOST_POINTS = 2000


@dataclasses.dataclass(frozen=True)
class RocLine:
    """One ROC curve.

    Attributes:
        signal_efficiency: Shape (n_points,), increasing.
        background_efficiency: Shape (n_points,).
        auc: Area under the curve, None where it is not quoted.
    """

    label: str
    signal_efficiency: Floats
    background_efficiency: Floats
    auc: Interval | None = None

    @classmethod
    def from_roc(cls, name: str, roc: Roc, auc: Interval | None = None) -> RocLine:
        """Draw a curve with two thousand points at most; the strictest ones are all kept."""
        rows = np.arange(roc.fpr.size)
        if rows.size > MOST_POINTS:
            rows = np.unique(np.geomspace(1, rows.size, MOST_POINTS).astype(np.int64) - 1)
        return cls(legend_text(name), roc.tpr[rows], roc.fpr[rows], auc)

    @property
    def text(self) -> str:
        """Legend entry with the area."""
        return self.label if self.auc is None else f"{self.label}: AUC {self.auc.text()}"


def _panels(lines: Sequence[RocLine], colours: Sequence[Any], label: PlotLabel | None) -> Figure:
    figure = draw.new_figure(11.2, 4.8)
    left, right = figure.subplots(1, 2)
    best = 10.0
    for line, colour in zip(lines, colours, strict=True):
        left.plot(line.background_efficiency, line.signal_efficiency, color=colour, label=line.text)
        use = (line.background_efficiency > 0) & (line.signal_efficiency > 0.005)
        rejection = 1.0 / line.background_efficiency[use]
        right.plot(line.signal_efficiency[use], rejection, color=colour, label=line.text)
        best = max(best, float(rejection.max(initial=1.0)))
    diagonal = np.linspace(0.005, 1, 200)
    left.plot([0, 1], [0, 1], ":", color="#777777", lw=1.3)
    (chance,) = right.plot(diagonal, 1 / diagonal, ":", color="#777777", lw=1.3)
    right.legend([chance], ["no separation"], loc="upper right", fontsize=10)
    left.set(xlim=(0, 1), ylim=(0, 1.0))
    left.set_xlabel("Background efficiency (false positive rate)")
    left.set_ylabel("Signal efficiency (true positive rate)")
    right.set_yscale("log")
    right.set(xlim=(0, 1), ylim=(1, 3 * min(best, 1e5)))
    right.set_xlabel("Signal efficiency $\\epsilon_s$")
    right.set_ylabel("Background rejection $1/\\epsilon_b$")
    for axes in (left, right):
        draw.title(axes, label)
    return figure


@styled
def roc_curves(lines: Sequence[RocLine], *, label: PlotLabel | None = None) -> Figure:
    """Draw ROC curves twice: efficiencies against each other, and rejection against efficiency."""
    figure = _panels(lines, [draw.colour_of(place) for place in range(len(lines))], label)
    figure.axes[0].legend(loc="lower right", fontsize=10)
    return figure


@styled
def roc_by_epoch(
    epochs: Sequence[int], lines: Sequence[RocLine], *, label: PlotLabel | None = None
) -> Figure:
    """Draw the ROC curve of each saved epoch, dark to light as training goes on."""
    figure = _panels(lines, draw.sequence_colours(len(lines)), label)
    _epoch_bar(figure, figure.axes[1], epochs)
    return figure


def _epoch_bar(figure: Figure, axes: Axes, epochs: Sequence[int]) -> None:
    count = len(epochs)
    norm = BoundaryNorm(np.arange(count + 1) - 0.5, count)
    ramp = ListedColormap(draw.sequence_colours(count))
    every = max(1, count // 8)
    shown = list(range(0, count, every))
    bar = figure.colorbar(ScalarMappable(norm=norm, cmap=ramp), ax=axes, ticks=shown, pad=0.02)
    bar.ax.set_yticklabels([str(epochs[i]) for i in shown])
    bar.ax.minorticks_off()
    bar.set_label("Epoch")


@styled
def auc_by_epoch(
    epochs: Sequence[int],
    aucs: Mapping[str, Sequence[Interval]],
    *,
    best_epoch: int | None = None,
    label: PlotLabel | None = None,
) -> Figure:
    """Draw the areas of each score, one an epoch, against rising epochs."""
    figure, axes = draw.new_axes(7.2, 4.4)
    for number, (name, areas) in enumerate(aucs.items()):
        look: dict[str, Any] = {
            "alpha": 0.2,
            "color": draw.colour_of(number),
            "ms": 5,
            "label": name,
        }
        draw.intervals(axes, epochs, areas, **look)
    if best_epoch is not None:
        axes.axvline(best_epoch, color="#555555", ls=":", lw=1.3, label=f"kept: {best_epoch}")
    draw.whole_numbers(axes)
    draw.finish(axes, "Epoch", "AUC", label)
    return figure
