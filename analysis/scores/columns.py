"""Which columns of a scores table an analysis means: the scores of its detectors, and those it cuts on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from oddjet.analysis.config import DecorrelationConfig, DetectorConfig
from oddjet.ml.decorrelation import method_name
from oddjet.ml.score_names import ScoreName, labelled

if TYPE_CHECKING:
    from oddjet.ml.folds import FoldedDetector

__all__ = ["ScoreName", "main_scores", "scores_of"]


def scores_of(detectors: Mapping[str, FoldedDetector]) -> list[ScoreName]:
    """Name every score of trained detectors: the raw scores of all first, then the decorrelated."""
    names = [
        name
        for label, model in detectors.items()
        for name in ScoreName.from_label(
            label, model.raw_score_names, [method_name(method) for method in model.methods]
        )
    ]
    return sorted(names, key=lambda name: bool(name.method))


def main_scores(
    detectors: Sequence[DetectorConfig],
    decorrelation: DecorrelationConfig | None,
    raw_scores: Mapping[str, Sequence[str]],
) -> list[ScoreName]:
    """Name the score of each detector that is cut on, decorrelated where that is asked for."""
    method = decorrelation.cut_method if decorrelation else ""
    return [
        ScoreName(labelled(detector.key, detector.cut or raw_scores[detector.key][0]), method)
        for detector in detectors
    ]
