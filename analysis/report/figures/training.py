"""Loss by epoch."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from oddjet.analysis.report.figures.style import (
    COLOURS,
    PlotLabel,
    draw_label,
    new_figure,
    styled,
    whole_numbers,
)
from oddjet.typing import Floats

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["LossCurve", "loss_curves", "power_of_ten"]


@dataclasses.dataclass(frozen=True)
class LossCurve:
    """The losses of one training.

    Attributes:
        label: Name in the legend, such as the fold.
        training: Training loss after each epoch, shape (n_epochs,).
        validation: Validation loss after each epoch, shape (n_epochs,), or None.
        best_epoch: Epoch whose weights were kept, counted from 1, or None.
    """

    label: str
    training: Sequence[float] | Floats
    validation: Sequence[float] | Floats | None = None
    best_epoch: int | None = None


@styled
def loss_curves(
    curves: Sequence[LossCurve],
    *,
    loss_name: str = "Loss",
    label: PlotLabel | None = None,
) -> Figure:
    """Draw training (dashed) and validation (solid) loss by epoch, one colour a training.

    The loss axis is logarithmic where the losses span more than a factor of eight.

    Args:
        curves: One a training.
        loss_name: Name of the loss, on its axis.
        label: Text above the axes.
    """
    figure = new_figure()
    axes = figure.subplots()
    values: list[Floats] = []
    exponent = power_of_ten(np.concatenate([np.zeros(0), *(each.training for each in curves)]))
    for number, curve in enumerate(curves):
        colour = COLOURS[number % len(COLOURS)]
        values += _draw_curve(axes, curve, colour, 10.0**-exponent)
    everything = np.concatenate(values) if values else np.array([1.0])
    finite = everything[np.isfinite(everything)]
    if finite.size and finite.min() > 0 and finite.max() > 8 * finite.min():
        axes.set_yscale("log")
    axes.set_xlabel("Epoch")
    axes.set_ylabel(loss_name if exponent == 0 else f"{loss_name} / $10^{{{exponent}}}$")
    whole_numbers(axes)
    axes.plot([], [], "--", color="#555555", lw=1.3, label="training")
    if any(curve.validation is not None for curve in curves):
        axes.plot([], [], "-", color="#555555", label="validation")
    if any(curve.best_epoch is not None for curve in curves):
        axes.plot([], [], "o", color="#555555", mfc="white", mew=1.6, label="kept")
    axes.legend(ncols=2, loc="upper right")
    draw_label(axes, label or PlotLabel())
    return figure


def power_of_ten(values: Floats) -> int:
    """Give the power of ten to take out of an axis: 0 for values of ordinary size.

    Args:
        values: What is drawn, of any shape; what is not finite does not count.
    """
    finite = np.abs(values[np.isfinite(values)])
    largest = float(finite.max(initial=0.0))
    power = int(np.floor(np.log10(largest))) if largest > 0 else 0
    return power if power < -2 or power > 4 else 0


def _draw_curve(axes: Axes, curve: LossCurve, colour: str, unit: float) -> list[Floats]:
    training = np.asarray(curve.training, dtype=np.float64) * unit
    epochs = np.arange(1, training.size + 1)
    axes.plot(epochs, training, "--", lw=1.3, color=colour, alpha=0.8)
    drawn = [training]
    main = training
    if curve.validation is not None:
        main = np.asarray(curve.validation, dtype=np.float64) * unit
        axes.plot(np.arange(1, main.size + 1), main, "-", color=colour)
        drawn.append(main)
    axes.plot([], [], "s", color=colour, label=curve.label)
    if curve.best_epoch is not None and 1 <= curve.best_epoch <= main.size:
        height = main[curve.best_epoch - 1]
        axes.plot([curve.best_epoch], [height], "o", color=colour, mfc="white", mew=1.6, ms=7)
    return drawn
