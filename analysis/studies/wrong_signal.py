"""The wrong signal: a supervised detector trained on one signal and tested on all.

What it finds of the signal it was trained on is a ceiling for any detector of those jets. What it
finds of the others is what a search that bet on that signal would have found had nature chosen
another: the reference that unsupervised detectors have to beat.

References:
    R. Seidita for the CMS Collaboration, Advanced anomaly detection algorithms to search for
    semivisible jets in the CMS experiment: a BDT trained on the wrong signal.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from oddjet.analysis.config import DetectorConfig
from oddjet.analysis.report.figures.matrix import coefficient_matrix
from oddjet.analysis.studies.jets import StudyJets, joined, shuffled
from oddjet.analysis.studies.study import (
    SIGNAL_EFFICIENCY,
    Cell,
    Setting,
    StudyResult,
    common_fields,
    evaluate_pair,
    interval_text,
    score_test_jets,
    train_model,
)
from oddjet.errors import ConfigError
from oddjet.ml.evaluation.roc import Evaluation

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from oddjet.analysis.report.figures.style import PlotLabel

__all__ = ["SupervisedTraining", "WrongSignal", "wrong_signal_study"]


@dataclasses.dataclass(frozen=True)
class SupervisedTraining:
    """One score of one training on one signal.

    Attributes:
        detector: Key of the detector.
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

    @property
    def headers(self) -> tuple[str, ...]:
        """Headings of the table."""
        return (
            *("detector", "score", "trained on", "tested on"),
            *("AUC", f"1/ε_b at ε_s = {SIGNAL_EFFICIENCY:g}"),
        )

    def rows(self) -> list[tuple[Cell, ...]]:
        """Give one line a training and signal."""
        return [
            (
                each.detector,
                each.evaluation.score,
                self.background if each.trained_on is None else each.trained_on,
                each.signal,
                interval_text(each.evaluation.auc),
                interval_text(each.evaluation.rejection[SIGNAL_EFFICIENCY], digits=1),
            )
            for each in self.trainings
        ]

    def figures(self, *, label: PlotLabel | None = None) -> dict[str, Figure]:
        """Draw the areas as a matrix of trainings and signals."""
        names = list(dict.fromkeys(each.name for each in self.trainings))
        areas = np.full((len(names), len(self.signals)), np.nan)
        for each in self.trainings:
            place = (names.index(each.name), self.signals.index(each.signal))
            areas[place] = each.evaluation.auc.value
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

    Args:
        jets: The jets.
        setting: Detectors and seed.
        n_training: Jets of each kind in the supervised trainings; by default as many as the
            smallest sample has.

    Raises:
        TooFewJetsError: If a sample has too few jets.
        ConfigError: If there is one signal only.
    """
    from oddjet.ml import detector_class  # noqa: PLC0415 (keeps the command line quick)

    if len(jets.signals) < 2:
        msg = (
            f"study wrong_signal: expected at least two signals, a right and a wrong one. "
            f"Received: {', '.join(jets.signals)}."
        )
        raise ConfigError(msg)
    if not any(detector_class(each.name).supervised for each in setting.detectors):
        detectors = (DetectorConfig(name="bdt"), *setting.detectors)
        setting = dataclasses.replace(setting, detectors=detectors)
    available = min(len(jets.training(name)) for name in jets.names)
    n = available if n_training is None else min(n_training, available)
    trainings: list[SupervisedTraining] = []
    for detector in setting.detectors:
        is_supervised = detector_class(detector.name).supervised
        background = shuffled(jets.training(jets.background_name), seed=setting.seed)
        for bet in jets.signals if is_supervised else (None,):
            some, what = background, jets.background_name
            if bet is not None:
                signal = shuffled(jets.training(bet), n, seed=setting.seed)
                some = shuffled(joined([background[:n]], [signal]), seed=setting.seed)
                what = f"{what} and labelled {bet}"
            scores = score_test_jets(train_model(detector, some, setting, what=what), jets)
            trainings += [
                SupervisedTraining(detector.key, bet, signal, found)
                for signal in jets.signals
                for found in evaluate_pair(jets, scores, signal, seed=setting.seed)
            ]
    return WrongSignal(**common_fields(jets, setting), n_training=n, trainings=tuple(trainings))
