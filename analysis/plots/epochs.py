"""Reconstruction by epoch: mean scores, and one jet with what becomes of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from oddjet.analysis.plots.style import (
    COLOURS,
    PlotLabel,
    draw_label,
    legend_text,
    new_figure,
    styled,
    whole_numbers,
)
from oddjet.ml.bootstrap import Interval

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Reconstruction", "mean_scores_by_epoch", "reconstructions"]

Floats = npt.NDArray[np.floating]

MOST_EPOCHS = 6
"""More are too small to see: some are left out, the first and the last not."""


@dataclasses.dataclass(frozen=True, eq=False)
class Reconstruction:
    """One jet and what a network made of it.

    Attributes:
        image: Shape (n_eta, n_phi, 1).
        outputs: Epoch → reconstruction of the same shape.
        half_width: Half the side of the image in Δη and Δφ.
    """

    image: Floats
    outputs: Mapping[int, Floats]
    half_width: float


@styled
def mean_scores_by_epoch(
    epochs: Sequence[int],
    means: Mapping[str, Sequence[Interval]],
    *,
    score: str,
    label: PlotLabel | None = None,
) -> Figure:
    """Draw the mean score of each sample against epoch.

    Args:
        epochs: Epochs in increasing order.
        means: Sample → mean at each epoch, with its interval.
        score: Name of the score.
        label: Text above the axes.
    """
    figure = new_figure(7.2, 4.4)
    axes = figure.subplots()
    for number, (name, intervals) in enumerate(means.items()):
        colour = COLOURS[number % len(COLOURS)]
        values = np.array([[each.value, each.low, each.high] for each in intervals])
        axes.plot(epochs, values[:, 0], "o-", color=colour, ms=5, label=legend_text(name))
        axes.fill_between(epochs, values[:, 1], values[:, 2], color=colour, alpha=0.2, lw=0)
    everything = np.array([each.value for row in means.values() for each in row])
    if everything.size and everything.min() > 0 and everything.max() > 4 * everything.min():
        axes.set_yscale("log")
    whole_numbers(axes)
    axes.set_xlabel("Epoch")
    axes.set_ylabel(f"Mean {score}")
    axes.legend()
    draw_label(axes, label or PlotLabel())
    return figure


@styled
def reconstructions(found: Reconstruction, *, label: PlotLabel | None = None) -> Figure:
    """Draw a jet, its reconstructions, and the difference and its square, column by epoch.

    Args:
        found: The jet.
        label: Text above the first panel.
    """
    from matplotlib.colors import LogNorm, SymLogNorm  # noqa: PLC0415

    epochs = sorted(found.outputs)
    if len(epochs) > MOST_EPOCHS:
        places = np.linspace(0, len(epochs) - 1, MOST_EPOCHS).round().astype(int)
        epochs = [epochs[place] for place in places]
    image = np.asarray(found.image, dtype=np.float64).reshape(found.image.shape[:2])
    brightest = max(float(image.max(initial=0.0)), 1e-12)
    norms = (
        LogNorm(vmin=1e-3 * brightest, vmax=brightest, clip=True),
        SymLogNorm(linthresh=1e-2 * brightest, vmin=-brightest, vmax=brightest),
        LogNorm(vmin=1e-6 * brightest**2, vmax=brightest**2, clip=True),
    )
    maps = ("magma", "RdBu_r", "magma")
    count = len(epochs)
    figure = new_figure(1.75 * (count + 1) + 1.6, 5.9)
    grid = figure.subplots(3, count + 1, sharex=True, sharey=True, squeeze=False)
    side = found.half_width
    extent = (-side, side, -side, side)

    def draw(row: int, column: int, values: Floats) -> object:
        return grid[row, column].imshow(
            values.T, origin="lower", extent=extent, cmap=maps[row], norm=norms[row]
        )

    draw(0, 0, image)
    grid[0, 0].set_title("input", fontsize=11, pad=18)
    for row in (1, 2):
        grid[row, 0].set_visible(False)
    for column, epoch in enumerate(epochs, start=1):
        output = np.asarray(found.outputs[epoch], dtype=np.float64).reshape(image.shape)
        difference = output - image
        drawn = [draw(row, column, v) for row, v in enumerate((output, difference, difference**2))]
        grid[0, column].set_title(f"epoch {epoch}", fontsize=11)
        if column == count:
            names = ("Pixel", "Output − input", "Its square")
            for row, (one, name) in enumerate(zip(drawn, names, strict=True)):
                figure.colorbar(one, ax=list(grid[row]), label=name, pad=0.01)  # type: ignore[arg-type]
    for axes in grid.flat:
        axes.minorticks_off()
        axes.tick_params(labelsize=9)
    for row in range(3):
        grid[row, 0 if row == 0 else 1].set_ylabel("Δφ", fontsize=11)
    for axes in grid[2, 1:]:
        axes.set_xlabel("Δη", fontsize=11)
    grid[0, 0].set_xlabel("Δη", fontsize=11)
    draw_label(grid[0, 0], label or PlotLabel())
    return figure
