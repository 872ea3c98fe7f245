"""Reconstruction by epoch: mean scores, and one jet with what becomes of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.colors import LogNorm, SymLogNorm
from matplotlib.figure import Figure

from oddjet.analysis.report.figures import draw
from oddjet.analysis.report.figures.style import PlotLabel, legend_text, styled
from oddjet.ml.evaluation.bootstrap import Interval
from oddjet.typing import Floats

__all__ = ["Reconstruction", "mean_scores_by_epoch", "reconstructions"]

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
    """Draw the mean score of each sample, one an epoch, against rising epochs."""
    figure, axes = draw.new_axes(7.2, 4.4)
    everything = np.array([interval.value for row in means.values() for interval in row])
    # Taken out of the axis here, for matplotlib would write the power over the label.
    exponent = draw.power_of_ten(everything)
    for number, (name, intervals) in enumerate(means.items()):
        look: dict[str, Any] = {"alpha": 0.2, "color": draw.colour_of(number), "ms": 5}
        unit = 10.0**-exponent
        draw.intervals(axes, epochs, intervals, unit=unit, label=legend_text(name), **look)
    if everything.size and everything.min() > 0 and everything.max() > 4 * everything.min():
        axes.set_yscale("log")
    draw.whole_numbers(axes)
    power = f" / $10^{{{exponent}}}$" if exponent else ""
    draw.finish(axes, "Epoch", f"Mean {score}{power}", label)
    return figure


@styled
def reconstructions(jet: Reconstruction, *, label: PlotLabel | None = None) -> Figure:
    """Draw a jet, its reconstructions, and the difference and its square, column by epoch."""
    epochs = sorted(jet.outputs)
    if len(epochs) > MOST_EPOCHS:
        places = np.linspace(0, len(epochs) - 1, MOST_EPOCHS).round().astype(int)
        epochs = [epochs[place] for place in places]
    image = np.asarray(jet.image, dtype=np.float64).reshape(jet.image.shape[:2])
    count = len(epochs)
    figure = draw.new_figure(1.9 * (count + 1) + 1.5, 6.0)
    grid = figure.subplots(3, count + 1, sharex=True, sharey=True, squeeze=False)
    looks = _looks(max(float(image.max(initial=0.0)), 1e-12))

    def panel(row: int, column: int, values: Floats, text: str = "") -> Any:
        axes, look = grid[row, column], looks[row]
        drawn = draw.image(axes, values, jet.half_width, cmap=look.colours, norm=look.norm)
        axes.text(0.05, 0.94, text, transform=axes.transAxes, color=look.ink, va="top", fontsize=11)
        return drawn

    panel(0, 0, image, "input")
    for column, epoch in enumerate(epochs, start=1):
        output = np.asarray(jet.outputs[epoch], dtype=np.float64).reshape(image.shape)
        values = (output, output - image, (output - image) ** 2)
        for row, pixels in enumerate(values):
            drawn = panel(row, column, pixels, f"epoch {epoch}" if row == 0 else "")
            if column == count:
                look = looks[row]
                figure.colorbar(
                    drawn, ax=list(grid[row]), label=look.name, ticks=look.ticks, pad=0.01
                ).ax.minorticks_off()
    for axes in grid.flat:
        axes.minorticks_off()
        axes.tick_params(labelsize=9)
    for row, column in ((0, 0), (1, 1), (2, 1)):
        if column <= count:
            grid[row, column].tick_params(labelleft=True)
            grid[row, column].set_ylabel("Δφ", fontsize=11)
    for column in range(count + 1):
        bottom = grid[2 if column else 0, column]
        bottom.tick_params(labelbottom=True)
        bottom.set_xlabel("Δη", fontsize=11)
    for row in (1, 2):
        grid[row, 0].set_visible(False)
    draw.title(grid[0, 0], label)
    return figure


@dataclasses.dataclass(frozen=True)
class _Look:
    """How one row of reconstructions is coloured."""

    name: str
    colours: str
    norm: Any
    ticks: list[float]
    ink: str


def _looks(brightest: float) -> tuple[_Look, _Look, _Look]:
    """Colours of pixels, of differences and of their squares, all tied to the brightest pixel."""
    top = 10.0 ** np.floor(np.log10(brightest))
    steps = [top * 10.0**-i for i in range(7)]
    linear = 0.01 * brightest
    signed = [-steps[0], -steps[1], 0.0, steps[1], steps[0]]
    return (
        _Look(
            "Pixel",
            "magma",
            LogNorm(vmin=1e-3 * brightest, vmax=brightest, clip=True),
            steps[:3],
            "white",
        ),
        _Look(
            "Output − input",
            "RdBu_r",
            SymLogNorm(linthresh=linear, vmin=-brightest, vmax=brightest),
            signed,
            "black",
        ),
        _Look(
            "Its square",
            "magma",
            LogNorm(vmin=1e-6 * brightest**2, vmax=brightest**2, clip=True),
            [step**2 for step in steps[:3]],
            "white",
        ),
    )
