"""Contamination: what a detector still finds when its training jets contained signal.

References:
    D. Khanal, Anomalous Jet Detection using Unsupervised Learning (2023), section 6.3 and figure 11.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from oddjet.analysis.report.figures.contamination import ContaminationLine, contamination_curve
from oddjet.analysis.report.figures.roc import RocLine, roc_curves
from oddjet.analysis.studies.jets import StudyJets, joined, shuffled
from oddjet.analysis.studies.study import (
    SIGNAL_EFFICIENCY,
    Cell,
    Curve,
    Setting,
    StudyResult,
    common_fields,
    evaluate_pair,
    interval_text,
    require_unsupervised,
    score_test_jets,
    select_score,
    titled,
    train_model,
)
from oddjet.errors import ConfigError
from oddjet.ml.evaluation.roc import Evaluation, roc_curve

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from oddjet.analysis.report.figures.style import PlotLabel

__all__ = ["RATIOS", "Contaminated", "Contamination", "contaminate"]

RATIOS = (1.0, 0.25, 0.1, 0.05, 0.0)
"""Signal jets over background jets in the training (the document's w/Q), and none for comparison."""


@dataclasses.dataclass(frozen=True)
class Contaminated:
    """One score of one training with signal inside.

    Attributes:
        detector: Key of the detector.
        signal: The signal, in the training and to find.
        ratio: Signal jets over background jets in the training.
        seed: Of the training and of the choice of its jets.
        n_background: Background jets in the training.
        n_signal: Signal jets in the training.
        evaluation: AUC and rejection on the test jets.
        curve: ROC curve.
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

    @property
    def headers(self) -> tuple[str, ...]:
        """Headings of the table."""
        return (
            *("detector", "score", "signal", "w/Q", "seed", "background", "signal jets", "AUC"),
            f"1/ε_b at ε_s = {SIGNAL_EFFICIENCY:g}",
        )

    def rows(self) -> list[tuple[Cell, ...]]:
        """Give one line a training and score."""
        return [
            (
                each.detector,
                each.evaluation.score,
                each.signal,
                each.ratio,
                each.seed,
                each.n_background,
                each.n_signal,
                interval_text(each.evaluation.auc),
                interval_text(each.evaluation.rejection[SIGNAL_EFFICIENCY], digits=1),
            )
            for each in self.trainings
        ]

    def figures(self, *, label: PlotLabel | None = None) -> dict[str, Figure]:
        """Draw areas against w/Q, and the ROC curves of the first seed."""
        drawn = {}
        for signal in self.signals:
            lines: dict[str, list[Contaminated]] = {}
            for each in self.trainings:
                if each.signal == signal:
                    name = f"{each.detector} {each.evaluation.score}"
                    lines.setdefault(name, []).append(each)
            drawn[f"contamination_{signal}"] = contamination_curve(
                [_line(name, each) for name, each in lines.items()],
                axis_label=f"{signal} / {self.background} in the training (w/Q)",
                label=label,
            )
            for name, trainings in lines.items():
                file_name = f"contamination_roc_{signal}_{name.replace(' ', '_')}"
                drawn[file_name] = roc_curves(
                    _roc_lines(trainings), label=titled(label, f"{name}: {signal}")
                )
        return drawn


def contaminate(
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

    Args:
        jets: The jets.
        setting: Detectors and seed.
        ratios: Signal jets over background jets, not negative.
        n_training: Jets in each training; by default as many as the samples have.
        repeats: Trainings at each ratio, with the seeds `seed`, `seed` + 1, …: their spread is that
            of training and of the choice of jets; an interval is of the test jets alone.

    Raises:
        ConfigError: If a detector is supervised, a ratio is negative, or there are no repeats.
        TooFewJetsError: If a training has too few jets.
    """
    require_unsupervised(setting, study="contamination")
    if repeats < 1 or not ratios or not all(0 <= ratio < np.inf for ratio in ratios):
        msg = (
            f"study contamination: expected ratios of 0 or more and at least 1 repeat. Received: "
            f"{list(ratios)} and {repeats}."
        )
        raise ConfigError(msg)
    sizes = {}
    trainings: list[Contaminated] = []
    for signal in jets.signals:
        largest = _largest_size(jets, signal, ratios)
        sizes[signal] = largest if n_training is None else min(n_training, largest)
    for detector in setting.detectors:
        for signal, n in sizes.items():
            for seed in range(setting.seed, setting.seed + repeats):
                background = shuffled(jets.training(jets.background_name), seed=seed)
                signals = shuffled(jets.training(signal), seed=seed)
                for ratio in ratios:
                    n_signal = round(n * ratio / (1 + ratio))
                    some = joined([background[: n - n_signal], signals[:n_signal]])
                    what = f"{jets.background_name} and {ratio:g} {signal}"
                    model = train_model(
                        detector, shuffled(some, seed=seed), setting, what=what, seed=seed
                    )
                    scores = score_test_jets(model, jets)
                    for found in evaluate_pair(jets, scores, signal, seed=setting.seed):
                        roc = roc_curve(*jets.pair(select_score(scores, found.score), signal))
                        counts = (n - n_signal, n_signal)
                        of = (detector.key, signal, float(ratio), seed, *counts)
                        trainings.append(Contaminated(*of, found, Curve.from_roc(roc)))
    return Contamination(
        **common_fields(jets, setting), n_training=sizes, trainings=tuple(trainings)
    )


def _largest_size(jets: StudyJets, signal: str, ratios: Sequence[float]) -> int:
    """The largest number of jets that all ratios can be had with."""
    n_background, n_signal = (len(jets.training(name)) for name in (jets.background_name, signal))
    sizes = [n_background * (1 + ratio) for ratio in ratios]
    sizes += [n_signal * (1 + ratio) / ratio for ratio in ratios if ratio > 0]
    return int(min(sizes))


def _line(name: str, trainings: Sequence[Contaminated]) -> ContaminationLine:
    """Several seeds at one ratio are averaged; their single areas are kept as points."""
    ratios = sorted({each.ratio for each in trainings})
    areas = [[each.evaluation.auc for each in trainings if each.ratio == ratio] for ratio in ratios]
    return ContaminationLine(
        name,
        np.array(ratios),
        tuple(tuple(area.value for area in each) for each in areas),
        np.array([np.mean([area.low for area in each]) for each in areas]),
        np.array([np.mean([area.high for area in each]) for each in areas]),
    )


def _roc_lines(trainings: Sequence[Contaminated]) -> list[RocLine]:
    first = min(each.seed for each in trainings)
    return [
        RocLine(
            f"w/Q = {each.ratio:g}",
            np.array(each.curve.signal_efficiency),
            np.array(each.curve.background_efficiency),
            each.evaluation.auc.value,
            (each.evaluation.auc.low, each.evaluation.auc.high),
        )
        for each in trainings
        if each.seed == first
    ]
