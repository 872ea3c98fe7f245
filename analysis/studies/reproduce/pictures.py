"""Pictures that several documents need, made of the results of trials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from oddjet.analysis.report.figures.jets import average_images
from oddjet.analysis.report.figures.roc import RocLine, roc_curves
from oddjet.analysis.report.figures.scores import ScoreSample
from oddjet.analysis.report.figures.style import Histogram, PlotLabel
from oddjet.analysis.report.page import Picture
from oddjet.analysis.studies.reproduce.document import Results, drawing
from oddjet.analysis.studies.reproduce.trial import TrialResult
from oddjet.datasets.jets import Jets
from oddjet.ml.evaluation.roc import Interval, auc, roc_curve
from oddjet.ml.representations.jet_image import JetImage

__all__ = [
    "LABEL",
    "area_interval",
    "average_pictures",
    "histogram",
    "roc_line",
    "roc_picture",
    "score_samples",
]

LABEL = PlotLabel("simulation", "13 TeV")
IMAGE_JETS = 5_000

Curve = tuple[str, TrialResult, str, str]
"""Name in the legend, trial, signal, score."""


def area_interval(result: TrialResult, signal: str, score: str) -> Interval:
    """Area under the curve of the test jets, with the interval that pictures show."""
    values, is_signal, events = result.scored(signal, "test", score)
    return auc(values, is_signal, events=events, replicas=100)


def roc_line(name: str, result: TrialResult, signal: str, score: str) -> RocLine:
    """Make a curve with its area, of the test jets."""
    curve = roc_curve(*result.pair(signal, "test", score))
    return RocLine.from_roc(name, curve, area_interval(result, signal, score))


def roc_picture(name: str, caption: str, curves: Sequence[Curve]) -> Picture:
    """Draw ROC curves."""
    lines = [roc_line(*curve) for curve in curves]
    return drawing(name, roc_curves(lines, label=LABEL), caption)


def average_pictures(
    name: str,
    caption: str,
    results: Results,
    samples: Mapping[str, tuple[TrialResult, str]],
    image: JetImage,
) -> Picture:
    """Draw the average image of samples, name → trial and dataset."""
    means = {}
    for sample, (result, dataset) in samples.items():
        jets: Jets = results.jets(result, dataset, IMAGE_JETS)
        means[sample] = image(jets).mean(axis=0, dtype=np.float64)
    figure = average_images(means, half_width=image.half_width, label=LABEL)
    return drawing(name, figure, caption)


def score_samples(result: TrialResult, names: Mapping[str, str], score: str) -> list[ScoreSample]:
    """Give a score of several datasets, dataset → name in the legend, for a plot."""
    return [
        ScoreSample(
            name, result.tables[dataset, "test"][score], None, dataset != result.trial.background
        )
        for dataset, name in names.items()
    ]


def histogram(label: str, values: np.ndarray, edges: np.ndarray) -> Histogram:
    """Count values (n,) between edges (n_bins + 1,)."""
    counts = np.histogram(values, edges)[0].astype(np.float64)
    return Histogram(label, edges, counts, counts)
