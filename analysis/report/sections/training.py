"""The section of the trainings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np

from oddjet.analysis.report.figures.style import PlotLabel
from oddjet.analysis.report.figures.training import LossCurve, loss_curves
from oddjet.analysis.report.page import Cell, Picture, Section, Table

__all__ = ["training_section"]


def training_section(
    trainings: Mapping[str, Sequence[LossCurve]],
    *,
    loss_name: str = "Loss",
    paragraphs: Sequence[str] = (),
    label: PlotLabel | None = None,
) -> Section:
    """Show the losses of every detector that was trained in epochs."""
    rows: list[tuple[Cell, ...]] = []
    pictures = []
    for detector, curves in trainings.items():
        rows += [_row(detector, curve) for curve in curves]
        pictures.append(
            Picture(
                partial(loss_curves, curves, loss_name=loss_name, label=label),
                f"Loss by epoch of {detector}: training (dashed) and validation (solid), one "
                "colour a fold. The circle marks the epoch whose weights are used.",
                hint="solid and dashed fall together and level off; a solid line that turns up "
                "while the dashed one falls is overtraining.",
                alt=f"Loss curves of {detector}",
            )
        )
    headers = ("Detector", "Training", "Epochs", "Used epoch", "Last loss", "Best validation loss")
    caption = "One row a training. Each fold is scored by a model that never saw it."
    return Section(
        title="Training",
        anchor="training",
        paragraphs=tuple(paragraphs),
        tables=(Table(headers, tuple(rows), caption),) if rows else (),
        pictures=tuple(pictures),
        numbers={
            detector: [
                {
                    "training": curve.label,
                    "best_epoch": curve.best_epoch,
                    "loss": list(curve.training),
                    "val_loss": None if curve.validation is None else list(curve.validation),
                }
                for curve in curves
            ]
            for detector, curves in trainings.items()
        },
    )


def _row(detector: str, curve: LossCurve) -> tuple[Cell, ...]:
    validation = None if curve.validation is None else np.asarray(curve.validation)
    best = None if validation is None or validation.size == 0 else float(np.nanmin(validation))
    last = float(curve.training[-1]) if len(curve.training) else None
    return (detector, curve.label, len(curve.training), curve.best_epoch, last, best)
