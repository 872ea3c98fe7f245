"""Inverse tagging: train on one kind of jets and find the other, both ways round.

A detector that finds tops among QCD jets because tops are more complicated, and not because it has
learned QCD, does not find QCD jets among tops.

References:
    T. Golling et al., The Mass-ive Issue: Anomaly Detection in Jet Physics (2020), section 4 and
    figure 5.
    T. Buss et al., What's Anomalous in LHC Jets? (2022), arXiv:2202.00686, section 1.
"""

from __future__ import annotations

import dataclasses
import itertools
from typing import ClassVar

from oddjet.analysis.report.figures.dots import Dots, dot_rows
from oddjet.analysis.studies.jets import StudyJets, shuffled
from oddjet.analysis.studies.study import (
    Cell,
    Figures,
    PlotLabel,
    Setting,
    StudyResult,
    evaluation_cells,
)
from oddjet.ml.evaluation.roc import Evaluation

__all__ = ["InverseTagging", "Tagging", "inverse_tagging_study"]


@dataclasses.dataclass(frozen=True)
class Tagging:
    """One score of one training.

    Attributes:
        trained_on: The sample it took for ordinary.
        anomaly: The sample to find.
        evaluation: AUC and rejection with `anomaly` as signal and `trained_on` as background.
    """

    detector: str
    trained_on: str
    anomaly: str
    evaluation: Evaluation


@dataclasses.dataclass(frozen=True, eq=False)
class InverseTagging(StudyResult):
    """What detectors find when they are trained on the background, and on the signals.

    Attributes:
        n_training: Jets in each training.
        taggings: One entry a detector, training, anomaly and score.
    """

    study: ClassVar[str] = "inverse"

    n_training: int
    taggings: tuple[Tagging, ...]

    def records(self) -> list[dict[str, Cell]]:
        """Give one line a tagging."""
        return [
            {
                "detector": tagging.detector,
                "score": tagging.evaluation.score,
                "trained on": tagging.trained_on,
                "anomaly": tagging.anomaly,
                **evaluation_cells(tagging.evaluation),
            }
            for tagging in self.taggings
        ]

    def figures(self, *, label: PlotLabel | None = None) -> Figures:
        """Draw the areas of either direction side by side, one figure a signal."""
        return {
            f"inverse_{signal}": dot_rows(
                [self._dots(self.background, signal), self._dots(signal, self.background)],
                axis_label="AUC",
                reference=0.5,
                label=label,
            )
            for signal in self.signals
        }

    def _dots(self, trained_on: str, anomaly: str) -> Dots:
        return Dots(
            f"trained on {trained_on}, finds {anomaly}",
            {
                f"{tagging.detector} {tagging.evaluation.score}": tagging.evaluation.auc
                for tagging in self.taggings
                if (tagging.trained_on, tagging.anomaly) == (trained_on, anomaly)
            },
        )


def inverse_tagging_study(
    jets: StudyJets, setting: Setting, *, n_training: int | None = None
) -> InverseTagging:
    """Train on the background and find each signal; train on each signal and find the background.

    All trainings have the same number of jets, so that only what they are trained on differs.

    That is `n_training`, by default as many as the smallest sample has.

    Raises:
        ConfigError: If a detector is supervised.
        TooFewJetsError: If a sample has too few jets.
    """
    setting.require_unsupervised(study="inverse")
    n = jets.training_size(n_training)
    taggings = []
    for detector, trained_on in itertools.product(setting.detectors, jets.names):
        training = shuffled(jets.training(trained_on), n, seed=setting.seed)
        scores = jets.scores(setting.train(detector, training, what=trained_on))
        is_direct = trained_on == jets.background_name
        taggings += [
            Tagging(detector.key, trained_on, anomaly, evaluation)
            for anomaly in (jets.signals if is_direct else (jets.background_name,))
            for evaluation in jets.evaluate(scores, anomaly, against=trained_on, seed=setting.seed)
        ]
    return InverseTagging(**setting.common_fields(jets), n_training=n, taggings=tuple(taggings))
