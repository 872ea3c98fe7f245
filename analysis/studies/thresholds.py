"""Thresholds: where to cut on a score, and what is left of signal and background there.

References:
    D. Khanal, Anomalous Jet Detection using Unsupervised Learning (2023), sections 6.1 and 6.3,
    figures 8 (distributions and kernel density estimates), 10 and 13 (thresholds).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from oddjet.analysis.report.figures.scores import ScoreSample
from oddjet.analysis.report.figures.style import legend_text
from oddjet.analysis.report.figures.thresholds import Mark, scores_with_thresholds
from oddjet.analysis.studies.jets import StudyJets
from oddjet.analysis.studies.study import (
    Cell,
    Setting,
    StudyResult,
    common_fields,
    interval_text,
    score_test_jets,
    select_score,
    train_model,
    training_jets,
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

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from oddjet.analysis.report.figures.style import PlotLabel

__all__ = ["CutScore", "Thresholds", "cut_scores"]


@dataclasses.dataclass(frozen=True, eq=False)
class CutScore:
    """One score and its thresholds.

    Attributes:
        detector: Key of the detector.
        score: Its name.
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

    @property
    def headers(self) -> tuple[str, ...]:
        """Headings of the table."""
        return (
            *(
                "detector",
                "score",
                "signal",
                "threshold",
                "value",
                "signal left",
                "background left",
            ),
            "needs signal",
        )

    def rows(self) -> list[tuple[Cell, ...]]:
        """Give one line a signal and threshold."""
        return [
            (
                each.detector,
                each.score,
                signal,
                cut.threshold.rule,
                f"{cut.threshold.value:.4g}",
                interval_text(cut.signal),
                interval_text(cut.background, digits=4),
                "yes" if cut.threshold.needs_signal else "no",
            )
            for each in self.scores
            for signal, cuts in each.cuts.items()
            for cut in cuts
        ]

    def figures(self, *, label: PlotLabel | None = None) -> dict[str, Figure]:
        """Draw each score with its thresholds, one figure a signal."""
        return {
            f"thresholds_{each.detector}_{each.score}_{signal}": scores_with_thresholds(
                [
                    sample
                    for sample in each.samples
                    if sample.label in map(legend_text, (self.background, signal))
                ],
                [
                    Mark(
                        cut.threshold.rule,
                        cut.threshold.value,
                        cut.signal.value,
                        cut.background.value,
                        needs_signal=cut.threshold.needs_signal,
                    )
                    for cut in cuts
                ],
                name=f"{each.detector} {each.score}",
                label=label,
            )
            for each in self.scores
            for signal, cuts in each.cuts.items()
        }


def cut_scores(
    jets: StudyJets,
    setting: Setting,
    *,
    efficiencies: Sequence[float] = BACKGROUND_EFFICIENCIES,
) -> Thresholds:
    """Train on the background, find thresholds on half of the test jets, and apply them to the rest.

    Args:
        jets: The jets.
        setting: Detectors and seed.
        efficiencies: Wanted background efficiencies, each in (0, 1).

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
    found = []
    for detector in setting.detectors:
        some = training_jets(jets, detector, seed=setting.seed)
        model = train_model(detector, some, setting, what=jets.background_name)
        scores = score_test_jets(model, jets)
        for score in model.score_names:
            values = select_score(scores, score)
            found.append(
                CutScore(
                    detector.key,
                    score,
                    {
                        signal: _cuts(jets, values, halves, signal, efficiencies)
                        for signal in jets.signals
                    },
                    tuple(
                        ScoreSample(
                            legend_text(name),
                            values[name][halves[name][1]],
                            jets.weights(name)[halves[name][1]],
                            is_signal=name in jets.signals,
                        )
                        for name in jets.names
                    ),
                )
            )
    return Thresholds(**common_fields(jets, setting), scores=tuple(found))


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
    cuts = efficiencies_at(thresholds, scores[~first], is_signal[~first], weights[~first])
    return tuple(cuts)
