"""Loss by epoch."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from oddjet.analysis.report.figures import draw
from oddjet.analysis.report.figures.style import PlotLabel, styled
from oddjet.typing import Floats

__all__ = ["LossCurve", "loss_curves"]


@dataclasses.dataclass(frozen=True)
class LossCurve:
    """The losses of one training.

    Attributes:
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
    """
    figure, axes = draw.new_axes()
    values: list[Floats] = []
    exponent = draw.power_of_ten(
        np.concatenate([np.zeros(0), *(curve.training for curve in curves)])
    )
    for number, curve in enumerate(curves):
        values += _draw_curve(axes, curve, draw.colour_of(number), 10.0**-exponent)
    everything = np.concatenate(values) if values else np.array([1.0])
    finite = everything[np.isfinite(everything)]
    if finite.size and finite.min() > 0 and finite.max() > 8 * finite.min():
        axes.set_yscale("log")
    draw.whole_numbers(axes)
    axes.plot([], [], "--", color="#555555", lw=1.3, label="training")
    if any(curve.validation is not None for curve in curves):
        axes.plot([], [], "-", color="#555555", label="validation")
    if any(curve.best_epoch is not None for curve in curves):
        axes.plot([], [], "o", color="#555555", mfc="white", mew=1.6, label="kept")
    name = loss_name if exponent == 0 else f"{loss_name} / $10^{{{exponent}}}$"
    draw.finish(axes, "Epoch", name, label, ncols=2, loc="upper right")
    return figure


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
        draw.kept(axes, curve.best_epoch, main[curve.best_epoch - 1], colour)
    return drawn
