"""The wrong signal: a supervised detector trained on one signal and tested on all.

What it finds of the signal it was trained on is a ceiling for any detector of those jets. What it
finds of the others is what a search for that signal would find if nature has another one: the
reference that unsupervised detectors have to beat.

References:
    R. Seidita for the CMS Collaboration, Advanced anomaly detection algorithms to search for
    semivisible jets in the CMS experiment: a BDT trained on the wrong signal.
"""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import numpy as np

from oddjet.analysis.config import DetectorConfig
from oddjet.analysis.report.figures.matrix import coefficient_matrix
from oddjet.analysis.studies.jets import StudyJets, joined, shuffled
from oddjet.analysis.studies.study import (
    Cell,
    Figures,
    PlotLabel,
    Setting,
    StudyResult,
    evaluation_cells,
    is_supervised,
)
from oddjet.errors import ConfigError
from oddjet.ml.evaluation.roc import Evaluation

__all__ = ["SupervisedTraining", "WrongSignal", "wrong_signal_study"]


@dataclasses.dataclass(frozen=True)
class SupervisedTraining:
    """One score of one training on one signal.

    Attributes:
        trained_on: The signal it was trained to find; None for an unsupervised detector.
        signal: The signal it was tested on.
        evaluation: AUC and rejection.
    """

    detector: str
    trained_on: str | None
    signal: str
    evaluation: Evaluation

    @property
    def name(self) -> str:
        """Detector, score and training in words."""
        trained_on = "background" if self.trained_on is None else self.trained_on
        return f"{self.detector} {self.evaluation.score}, trained on {trained_on}"


@dataclasses.dataclass(frozen=True, eq=False)
class WrongSignal(StudyResult):
    """What supervised detectors find of signals that they were not trained on.

    Attributes:
        n_training: Jets of each kind in the supervised trainings.
        trainings: One entry a detector, training, signal and score.
    """

    study: ClassVar[str] = "wrong_signal"

    n_training: int
    trainings: tuple[SupervisedTraining, ...]

    def records(self) -> list[dict[str, Cell]]:
        """Give one line a training and signal."""
        return [
            {
                "detector": training.detector,
                "score": training.evaluation.score,
                "trained on": training.trained_on or self.background,
                "tested on": training.signal,
                **evaluation_cells(training.evaluation),
            }
            for training in self.trainings
        ]

    def figures(self, *, label: PlotLabel | None = None) -> Figures:
        """Draw the areas as a matrix of trainings and signals."""
        names = list(dict.fromkeys(training.name for training in self.trainings))
        areas = np.full((len(names), len(self.signals)), np.nan)
        for training in self.trainings:
            place = (names.index(training.name), self.signals.index(training.signal))
            areas[place] = training.evaluation.auc.value
        figure = coefficient_matrix(
            areas,
            rows=names,
            columns=self.signals,
            value_label="AUC",
            limits=(0.0, 1.0),
            column_label="Tested on",
            label=label,
        )
        return {"wrong_signal": figure}


def wrong_signal_study(
    jets: StudyJets,
    setting: Setting,
    *,
    n_training: int | None = None,
) -> WrongSignal:
    """Train supervised detectors on each signal in turn and test them on all.

    Unsupervised detectors among those given are trained on the background once and tested beside;
    where none is supervised, boosted trees (`bdt`) are added.

    Supervised trainings have `n_training` jets of each kind, by default as many as the smallest
    sample has.

    Raises:
        TooFewJetsError: If a sample has too few jets.
        ConfigError: If there is one signal only.
    """
    if len(jets.signals) < 2:
        msg = (
            f"study wrong_signal: expected at least two signals, a right and a wrong one. "
            f"Received: {', '.join(jets.signals)}."
        )
        raise ConfigError(msg)
    if not any(is_supervised(detector) for detector in setting.detectors):
        detectors = (DetectorConfig(name="bdt"), *setting.detectors)
        setting = dataclasses.replace(setting, detectors=detectors)
    n = jets.training_size(n_training)
    background = shuffled(jets.training(jets.background_name), seed=setting.seed)
    trainings: list[SupervisedTraining] = []
    for detector in setting.detectors:
        for known in jets.signals if is_supervised(detector) else (None,):
            training, what = background, jets.background_name
            if known is not None:
                signal = shuffled(jets.training(known), n, seed=setting.seed)
                training = shuffled(joined([background[:n]], [signal]), seed=setting.seed)
                what = f"{what} and labelled {known}"
            scores = jets.scores(setting.train(detector, training, what=what))
            trainings += [
                SupervisedTraining(detector.key, known, signal, evaluation)
                for signal in jets.signals
                for evaluation in jets.evaluate(scores, signal, seed=setting.seed)
            ]
    return WrongSignal(**setting.common_fields(jets), n_training=n, trainings=tuple(trainings))
