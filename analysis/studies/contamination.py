"""Contamination: what a detector still finds when its training jets contained signal.

References:
    D. Khanal, Anomalous Jet Detection using Unsupervised Learning (2023), section 6.3 and figure 11.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Sequence
from typing import ClassVar

import numpy as np

from oddjet.analysis.config import DetectorConfig
from oddjet.analysis.report.figures.contamination import ContaminationLine, contamination_curve
from oddjet.analysis.report.figures.roc import RocLine, roc_curves
from oddjet.analysis.studies.jets import StudyJets, joined, select_score, shuffled
from oddjet.analysis.studies.study import (
    Cell,
    Curve,
    Figures,
    PlotLabel,
    Setting,
    StudyResult,
    evaluation_cells,
    titled,
)
from oddjet.errors import ConfigError
from oddjet.ml.evaluation.roc import Evaluation, roc_curve

__all__ = ["RATIOS", "Contaminated", "Contamination", "contamination_study"]

RATIOS = (1.0, 0.25, 0.1, 0.05, 0.0)
"""Signal jets over background jets in the training (the document's w/Q), and none for comparison."""


@dataclasses.dataclass(frozen=True)
class Contaminated:
    """One score of one training with signal inside.

    Attributes:
        signal: The signal, in the training and to find.
        ratio: Signal jets over background jets in the training.
        seed: Of the training and of the choice of its jets.
        evaluation: AUC and rejection on the test jets.
    """

    detector: str
    signal: str
    ratio: float
    seed: int
    n_background: int
    n_signal: int
    evaluation: Evaluation
    curve: Curve


@dataclasses.dataclass(frozen=True, eq=False)
class Contamination(StudyResult):
    """What detectors find after trainings with more and less signal inside.

    Attributes:
        n_training: Jets in each training, of both kinds together, by signal.
        trainings: One entry a detector, signal, ratio, seed and score.
    """

    study: ClassVar[str] = "contamination"

    n_training: dict[str, int]
    trainings: tuple[Contaminated, ...]

    def records(self) -> list[dict[str, Cell]]:
        """Give one line a training and score."""
        return [
            {
                "detector": training.detector,
                "score": training.evaluation.score,
                "signal": training.signal,
                "w/Q": training.ratio,
                "seed": training.seed,
                "background": training.n_background,
                "signal jets": training.n_signal,
                **evaluation_cells(training.evaluation),
            }
            for training in self.trainings
        ]

    def figures(self, *, label: PlotLabel | None = None) -> Figures:
        """Draw areas against w/Q, and the ROC curves of the first seed."""
        figures = {}
        for signal in self.signals:
            by_score: dict[str, list[Contaminated]] = {}
            for training in self.trainings:
                if training.signal == signal:
                    name = f"{training.detector} {training.evaluation.score}"
                    by_score.setdefault(name, []).append(training)
            figures[f"contamination_{signal}"] = contamination_curve(
                [_line(name, trainings) for name, trainings in by_score.items()],
                axis_label=f"{signal} / {self.background} in the training (w/Q)",
                label=label,
            )
            for name, trainings in by_score.items():
                file_name = f"contamination_roc_{signal}_{name.replace(' ', '_')}"
                figures[file_name] = roc_curves(
                    _roc_lines(trainings), label=titled(label, f"{name}: {signal}")
                )
        return figures


def contamination_study(
    jets: StudyJets,
    setting: Setting,
    *,
    ratios: Sequence[float] = RATIOS,
    n_training: int | None = None,
    repeats: int = 1,
) -> Contamination:
    """Train on background with signal inside, and find that signal.

    All trainings have the same number of jets in all, and all are tested on the same jets, so that
    only the mixture differs. A training with less signal has a part of the signal jets of one with
    more, for the same seed.

    The document's w/Q is 1 where 'there were 1:1 QCD and W-Jets in the sample'. It does not print
    the size of the samples.

    There are `n_training` jets in each training, by default as many as the samples have. Each ratio
    has `repeats` trainings with the seeds `seed`, `seed` + 1, …: their spread is that of training
    and of the choice of jets; an interval is of the test jets alone.

    Raises:
        ConfigError: If a detector is supervised, a ratio is negative, or there are no repeats.
        TooFewJetsError: If a training has too few jets.
    """
    setting.require_unsupervised(study="contamination")
    if repeats < 1 or not ratios or not all(0 <= ratio < np.inf for ratio in ratios):
        msg = (
            f"study contamination: expected ratios of 0 or more and at least 1 repeat. Received: "
            f"{list(ratios)} and {repeats}."
        )
        raise ConfigError(msg)
    sizes = {}
    for signal in jets.signals:
        largest = _largest_size(jets, signal, ratios)
        sizes[signal] = largest if n_training is None else min(n_training, largest)
    seeds = range(setting.seed, setting.seed + repeats)
    trainings = [
        training
        for detector, (signal, n), seed in itertools.product(
            setting.detectors, sizes.items(), seeds
        )
        for training in _trainings(jets, setting, detector, signal, n, seed=seed, ratios=ratios)
    ]
    return Contamination(
        **setting.common_fields(jets), n_training=sizes, trainings=tuple(trainings)
    )


def _trainings(
    jets: StudyJets,
    setting: Setting,
    detector: DetectorConfig,
    signal: str,
    n: int,
    *,
    seed: int,
    ratios: Sequence[float],
) -> Iterator[Contaminated]:
    """Train on n jets at each ratio, from the same shuffle of background and signal."""
    background = shuffled(jets.training(jets.background_name), seed=seed)
    signals = shuffled(jets.training(signal), seed=seed)
    for ratio in ratios:
        n_signal = round(n * ratio / (1 + ratio))
        mixture = shuffled(joined([background[: n - n_signal], signals[:n_signal]]), seed=seed)
        what = f"{jets.background_name} and {ratio:g} {signal}"
        model = setting.train(detector, mixture, what=what, seed=seed)
        scores = jets.scores(model)
        for evaluation in jets.evaluate(scores, signal, seed=setting.seed):
            roc = roc_curve(*jets.pair(select_score(scores, evaluation.score), signal))
            counts = (n - n_signal, n_signal)
            place = (detector.key, signal, float(ratio), seed)
            yield Contaminated(*place, *counts, evaluation, Curve.from_roc(roc))


def _largest_size(jets: StudyJets, signal: str, ratios: Sequence[float]) -> int:
    """The largest number of jets that all ratios can be had with."""
    n_background, n_signal = (len(jets.training(name)) for name in (jets.background_name, signal))
    sizes = [n_background * (1 + ratio) for ratio in ratios]
    sizes += [n_signal * (1 + ratio) / ratio for ratio in ratios if ratio > 0]
    return int(min(sizes))


def _line(name: str, trainings: Sequence[Contaminated]) -> ContaminationLine:
    """Several seeds at one ratio are averaged; their single areas are kept as points."""
    ratios = sorted({training.ratio for training in trainings})
    areas = [[t.evaluation.auc for t in trainings if t.ratio == ratio] for ratio in ratios]
    return ContaminationLine(name, np.array(ratios), areas)


def _roc_lines(trainings: Sequence[Contaminated]) -> list[RocLine]:
    first = min(training.seed for training in trainings)
    return [
        training.curve.line(f"w/Q = {training.ratio:g}", training.evaluation.auc)
        for training in trainings
        if training.seed == first
    ]
