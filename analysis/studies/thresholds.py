"""Thresholds: where to cut on a score, and what is left of signal and background there.

References:
    D. Khanal, Anomalous Jet Detection using Unsupervised Learning (2023), sections 6.1 and 6.3,
    figures 8 (distributions and kernel density estimates), 10 and 13 (thresholds).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np

from oddjet.analysis.report.figures.scores import ScoreSample
from oddjet.analysis.report.figures.style import legend_text
from oddjet.analysis.report.figures.thresholds import scores_with_thresholds
from oddjet.analysis.studies.jets import StudyJets, select_score
from oddjet.analysis.studies.study import (
    Cell,
    Figures,
    PlotLabel,
    Setting,
    StudyResult,
    interval_text,
)
from oddjet.errors import TooFewJetsError
from oddjet.ml.evaluation.thresholds import (
    BACKGROUND_EFFICIENCIES,
    Cut,
    background_thresholds,
    efficiencies_at,
    labelled_thresholds,
)
from oddjet.typing import Bools, Floats

__all__ = ["CutScore", "Thresholds", "threshold_study"]


@dataclasses.dataclass(frozen=True, eq=False)
class CutScore:
    """One score and its thresholds.

    Attributes:
        cuts: Signal → what each threshold does.
        samples: The distributions of the jets that the cuts are applied to.
    """

    detector: str
    score: str
    cuts: dict[str, tuple[Cut, ...]]
    samples: tuple[ScoreSample, ...] = dataclasses.field(metadata={"shown_only": True})


@dataclasses.dataclass(frozen=True, eq=False)
class Thresholds(StudyResult):
    """Thresholds on scores, and the efficiencies there.

    Attributes:
        scores: One entry a detector and score.
    """

    study: ClassVar[str] = "thresholds"

    scores: tuple[CutScore, ...]

    def records(self) -> list[dict[str, Cell]]:
        """Give one line a signal and threshold."""
        return [
            {
                "detector": score.detector,
                "score": score.score,
                "signal": signal,
                "threshold": cut.threshold.rule,
                "value": f"{cut.threshold.value:.4g}",
                "signal left": interval_text(cut.signal),
                "background left": interval_text(cut.background, digits=4),
                "needs signal": "yes" if cut.threshold.needs_signal else "no",
            }
            for score in self.scores
            for signal, cuts in score.cuts.items()
            for cut in cuts
        ]

    def figures(self, *, label: PlotLabel | None = None) -> Figures:
        """Draw each score with its thresholds, one figure a signal."""
        figures = {}
        for score in self.scores:
            for signal, cuts in score.cuts.items():
                shown = {legend_text(self.background), legend_text(signal)}
                figures[f"thresholds_{score.detector}_{score.score}_{signal}"] = (
                    scores_with_thresholds(
                        [sample for sample in score.samples if sample.label in shown],
                        cuts,
                        name=f"{score.detector} {score.score}",
                        label=label,
                    )
                )
        return figures


def threshold_study(
    jets: StudyJets,
    setting: Setting,
    *,
    efficiencies: Sequence[float] = BACKGROUND_EFFICIENCIES,
) -> Thresholds:
    """Train on the background, find thresholds on half of the test jets, and apply them to the rest.

    `efficiencies` are those wanted of the background, each in (0, 1).

    Raises:
        TooFewJetsError: If a sample has too few jets.
        InputError: If an efficiency is not in (0, 1), or weights are negative.
        DetectorError: If the detector is unknown or the training diverges.
    """
    halves = {name: jets.halves(name) for name in jets.names}
    for name, parts in halves.items():
        if not all(part.any() for part in parts):
            msg = f"study thresholds: too few test jets of '{name}' to halve. Give more jets."
            raise TooFewJetsError(msg)
    cut_scores = []
    for detector, model in setting.train_on_background(jets):
        scores = jets.scores(model)
        for score in model.score_names:
            values = select_score(scores, score)
            cuts = {s: _cuts(jets, values, halves, s, efficiencies) for s in jets.signals}
            samples = tuple(
                ScoreSample(
                    legend_text(name),
                    values[name][second],
                    jets.weights(name)[second],
                    is_signal=name in jets.signals,
                )
                for name, (_, second) in halves.items()
            )
            cut_scores.append(CutScore(detector.key, score, cuts, samples))
    return Thresholds(**setting.common_fields(jets), scores=tuple(cut_scores))


def _cuts(
    jets: StudyJets,
    values: Mapping[str, Floats],
    halves: Mapping[str, tuple[Bools, Bools]],
    signal: str,
    efficiencies: Sequence[float],
) -> tuple[Cut, ...]:
    """Find thresholds on the first half of the test jets and apply them to the second."""
    scores, is_signal, weights = jets.pair(values, signal)
    names = (jets.background_name, signal)
    first = np.concatenate([halves[name][0] for name in names])
    finding = (scores[first], is_signal[first], weights[first])
    ordinary = first & ~is_signal
    thresholds = [
        *background_thresholds(scores[ordinary], weights[ordinary], efficiencies=efficiencies),
        *labelled_thresholds(*finding),
    ]
    events = jets.events(signal)[~first]
    cuts = efficiencies_at(
        thresholds, scores[~first], is_signal[~first], weights[~first], events=events
    )
    return tuple(cuts)
