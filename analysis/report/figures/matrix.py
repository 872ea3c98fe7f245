"""Matrices of numbers, such as coefficients of correlation, as coloured fields."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from oddjet.analysis.report.figures import draw
from oddjet.analysis.report.figures.style import PlotLabel, legend_text, styled

__all__ = ["coefficient_matrix"]


@styled
def coefficient_matrix(
    values: npt.NDArray[np.float64],
    *,
    rows: Sequence[str],
    columns: Sequence[str],
    value_label: str,
    limits: tuple[float, float] = (-1.0, 1.0),
    column_label: str = "",
    label: PlotLabel | None = None,
) -> Figure:
    """Draw a matrix (rows, columns) with its numbers, NaN where there is none.

    Colours part at the middle of the limits.
    """
    width = 2.6 + 0.085 * max(map(len, rows), default=0) + 1.25 * max(len(columns), 2)
    figure, axes = draw.new_axes(width, 1.6 + 0.42 * max(len(rows), 2))
    drawn = axes.imshow(
        np.ma.masked_invalid(values),
        cmap="RdBu_r",
        vmin=limits[0],
        vmax=limits[1],
        aspect="auto",
        interpolation="nearest",
    )
    middle, half = sum(limits) / 2, (limits[1] - limits[0]) / 2
    for (row, column), value in np.ndenumerate(values):
        strong = np.isfinite(value) and abs(value - middle) > 0.6 * half
        text = f"{value:.2f}".replace("-", "−") if np.isfinite(value) else "–"
        look: dict[str, Any] = {
            "ha": "center",
            "va": "center",
            "color": "white" if strong else "black",
        }
        axes.text(column, row, text, fontsize=11, **look)
    axes.set_xticks(range(len(columns)), [_name(column) for column in columns])
    axes.set_yticks(range(len(rows)), [legend_text(row) for row in rows])
    axes.minorticks_off()
    axes.tick_params(length=0)
    axes.set_xlabel(column_label, loc="center")
    figure.colorbar(drawn, ax=axes, label=value_label, pad=0.02)
    draw.title(axes, label)
    return figure


def _name(text: str) -> str:
    """Names of our own may be formulas; others are plain."""
    return text if text.startswith("$") and text.endswith("$") else legend_text(text)
