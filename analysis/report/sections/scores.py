"""The section of the score distributions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from oddjet.analysis.report.figures.scores import ScoreSample, score_distributions
from oddjet.analysis.report.figures.style import PlotLabel, efficiency_name, legend_text
from oddjet.analysis.report.page import Picture, Section
from oddjet.analysis.scores.quality import signal_jets
from oddjet.datasets.skims.manifest import DatasetSummary
from oddjet.ml.score_names import ScoreName
from oddjet.typing import Table

__all__ = ["scores_section"]


def scores_section(
    table: Table,
    columns: Sequence[str],
    datasets: Mapping[str, DatasetSummary],
    *,
    working_points: Sequence[float] = (),
    label: PlotLabel | None = None,
) -> Section:
    """Show every raw score for background and signal, its calibrated one beside it.

    Jets of data are not drawn: they may lie in a window that is blinded.
    """
    classes = _classes(table, datasets)
    marks = {efficiency_name(point): -float(np.log10(point)) for point in working_points}
    pictures = []
    numbers: dict[str, Any] = {}
    for column in columns if classes else ():
        raw = _samples(table, column, classes)
        calibrated = _samples(table, ScoreName(column).calibrated, classes)
        draw = partial(score_distributions, raw, calibrated, name=column, working_points=marks)
        pictures.append(
            Picture(
                partial(draw, label=label),
                f"{column}: as the detector gives it (left), and calibrated to −log10 of the "
                "background's survival in the calibration fold (right). Dotted: the working "
                "points. The outermost bins hold what lies beyond the axis.",
                hint="on the right the background falls as 10^−score by construction; a signal "
                "that reaches further right is found.",
                alt=f"Distributions of {column}",
            )
        )
        numbers[column] = {
            sample.label: {
                "n_jets": int(sample.values.size),
                "median": float(np.median(sample.values)) if sample.values.size else None,
                "median_calibrated": float(np.median(same.values)) if same.values.size else None,
            }
            for sample, same in zip(raw, calibrated, strict=True)
        }
    return Section(
        title="Anomaly scores",
        anchor="scores",
        paragraphs=(
            (
                "Higher is more anomalous, always. Scores of different folds come from different "
                "trainings; they are compared only after each is calibrated on background that the "
                "model did not see."
            ),
        ),
        pictures=tuple(pictures),
        numbers=numbers,
    )


def _classes(
    table: Table, datasets: Mapping[str, DatasetSummary]
) -> list[tuple[str, npt.NDArray[np.bool_], bool]]:
    """Name, rows and whether it is signal, for each simulated dataset with jets."""
    names = np.asarray(table["dataset"])
    classes = []
    for name, dataset in datasets.items():
        rows = names == name
        text = dataset.label or name
        if dataset.kind in {"signal", "peaking"} and rows.any():
            chosen, which = signal_jets(np.asarray(table["label"])[rows])
            rows[rows] = chosen
            text = f"{text}, {which}"
        if dataset.kind != "data" and rows.any():
            classes.append((text, rows, dataset.kind == "signal"))
    return classes


def _samples(
    table: Table, column: str, classes: Sequence[tuple[str, npt.NDArray[np.bool_], bool]]
) -> list[ScoreSample]:
    values = np.asarray(table[column], dtype=np.float64)
    weights = np.asarray(table["weight"], dtype=np.float64)
    return [
        ScoreSample(legend_text(text), values[rows], weights[rows], is_signal)
        for text, rows, is_signal in classes
    ]
