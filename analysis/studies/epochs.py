"""Epoch by epoch: how well a detector reconstructs, and what it finds, as the training goes on.

References:
    D. Khanal, Anomalous Jet Detection using Unsupervised Learning (2023), sections 5.2 and 6.2, figures 7
    (reconstructions), 9 (ROC curves) and 12 (loss).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from oddjet.analysis.config import DetectorConfig
from oddjet.analysis.report.figures.epochs import (
    Reconstruction,
    mean_scores_by_epoch,
    reconstructions,
)
from oddjet.analysis.report.figures.roc import auc_by_epoch, roc_by_epoch
from oddjet.analysis.report.figures.training import LossCurve, loss_curves
from oddjet.analysis.studies.jets import StudyJets, select_score
from oddjet.analysis.studies.study import (
    Cell,
    Curve,
    Figures,
    PlotLabel,
    Setting,
    StudyResult,
    interval_text,
    titled,
)
from oddjet.datasets.folds import jets_hash
from oddjet.datasets.jets import Jets
from oddjet.errors import ConfigError
from oddjet.ml.detectors.base import Detector, Scores
from oddjet.ml.evaluation.bootstrap import Interval, statistic_interval
from oddjet.ml.evaluation.roc import auc, roc_curve
from oddjet.ml.representations.jet_image import JetImage

__all__ = ["EpochScore", "Epochs", "ReconstructsByEpoch", "epoch_study"]


@runtime_checkable
class ReconstructsByEpoch(Protocol):
    """A detector that gives back jets as it did at the checkpoints of its training."""

    def reconstruct_by_epoch(self, jets: Jets) -> Mapping[int, npt.NDArray[Any]]:
        """Reconstruct jets: epoch → array of the shape of their representation, (n, …)."""


@dataclasses.dataclass(frozen=True)
class EpochScore:
    """One score as the training went on.

    Attributes:
        epochs: Epochs whose models were kept, rising.
        kept: Epoch whose weights the detector uses; None if unknown.
        mean: Sample → mean score of its test jets at each epoch: for a reconstruction error, how
            well it is reconstructed.
        auc: Signal → AUC against the background at each epoch.
        curves: Signal → ROC curve at each epoch.
    """

    detector: str
    score: str
    epochs: tuple[int, ...]
    kept: int | None
    mean: dict[str, tuple[Interval, ...]]
    auc: dict[str, tuple[Interval, ...]]
    curves: dict[str, tuple[Curve, ...]]


@dataclasses.dataclass(frozen=True, eq=False)
class Epochs(StudyResult):
    """What detectors reconstruct and find at the checkpoints of their trainings.

    Attributes:
        scores: One entry a detector and score.
        losses: Detector → loss → one number an epoch, where it keeps a history.
        reconstructed: Detector → the first background test jet and what became of it, where it
            reconstructs images.
    """

    study: ClassVar[str] = "epochs"

    scores: tuple[EpochScore, ...]
    losses: dict[str, dict[str, list[float]]]
    reconstructed: dict[str, Reconstruction] = dataclasses.field(metadata={"shown_only": True})

    def records(self) -> list[dict[str, Cell]]:
        """Give one line an epoch and sample."""
        return [
            {
                "detector": score.detector,
                "score": score.score,
                "epoch": epoch,
                "sample": sample,
                "mean score": f"{score.mean[sample][i].value:.4g}",
                "AUC": interval_text(score.auc[sample][i]) if sample in score.auc else "–",
            }
            for score in self.scores
            for i, epoch in enumerate(score.epochs)
            for sample in (self.background, *self.signals)
        ]

    def figures(self, *, label: PlotLabel | None = None) -> Figures:
        """Draw ROC curves, areas, mean scores, losses and a reconstruction by epoch."""
        figures: Figures = {}
        for score in self.scores:
            name, title = f"{score.detector}_{score.score}", f"{score.detector} {score.score}"
            for signal in self.signals:
                pairs = zip(score.curves[signal], score.auc[signal], strict=True)
                figures[f"epochs_roc_{name}_{signal}"] = roc_by_epoch(
                    score.epochs,
                    [curve.line("", area) for curve, area in pairs],
                    label=titled(label, f"{title}: {signal}"),
                )
            figures[f"epochs_mean_{name}"] = mean_scores_by_epoch(
                score.epochs, score.mean, score=title, label=label
            )
            figures[f"epochs_auc_{name}"] = auc_by_epoch(
                score.epochs,
                score.auc,
                best_epoch=score.kept,
                label=titled(label, title),
            )
        kept = {score.detector: score.kept for score in self.scores}
        for detector, history in self.losses.items():
            curve = LossCurve(detector, history["loss"], history.get("val_loss"), kept[detector])
            figures[f"epochs_loss_{detector}"] = loss_curves([curve], label=label)
        for detector, reconstruction in self.reconstructed.items():
            figures[f"epochs_reconstruction_{detector}"] = reconstructions(
                reconstruction, label=label
            )
        return figures


def epoch_study(jets: StudyJets, setting: Setting) -> Epochs:
    """Train on the background and evaluate the models kept along the way.

    How often a model is kept is a hyper-parameter, `checkpoint_every` for most.

    Raises:
        ConfigError: If a detector is supervised or keeps no models.
        TooFewJetsError: If a sample has too few jets.
    """
    setting.require_unsupervised(study="epochs")
    scores: list[EpochScore] = []
    losses, reconstructed = {}, {}
    for detector, model in setting.train_on_background(jets):
        scores += _scores_by_epoch(model, detector, jets, seed=setting.seed)
        history = getattr(model, "history_", None)
        if history and "loss" in history:
            losses[detector.key] = {name: list(values) for name, values in history.items()}
        image = model.representation
        if isinstance(model, ReconstructsByEpoch) and isinstance(image, JetImage):
            one = jets.test(jets.background_name)[:1]
            outputs = {epoch: out[0] for epoch, out in model.reconstruct_by_epoch(one).items()}
            reconstructed[detector.key] = Reconstruction(image(one)[0], outputs, image.half_width)
    return Epochs(
        **setting.common_fields(jets),
        scores=tuple(scores),
        losses=losses,
        reconstructed=reconstructed,
    )


def _scores_by_epoch(
    model: Detector, detector: DetectorConfig, jets: StudyJets, *, seed: int
) -> list[EpochScore]:
    by_sample = {name: model.scores_by_epoch(jets.test(name)) for name in jets.names}
    epochs = sorted(by_sample[jets.background_name])
    if not epochs:
        msg = (
            f"study epochs: '{detector.key}' kept no models along its training. Choose a detector "
            f"that is trained in epochs, and set checkpoint_every to fewer epochs than it trains."
        )
        raise ConfigError(msg)
    result = []
    for score in model.score_names:
        at: list[dict[str, Scores]] = [
            {name: scores[epoch] for name, scores in by_sample.items()} for epoch in epochs
        ]
        values = [select_score(scores, score) for scores in at]
        pairs = {s: [jets.pair(numbers, s) for numbers in values] for s in jets.signals}
        result.append(
            EpochScore(
                detector.key,
                score,
                tuple(epochs),
                getattr(model, "best_epoch_", None),
                mean={
                    name: tuple(
                        statistic_interval(
                            _mean,
                            numbers[name],
                            jets.weights(name),
                            events=jets_hash(jets.test(name)),
                            seed=seed,
                        )
                        for numbers in values
                    )
                    for name in jets.names
                },
                auc={
                    s: tuple(auc(*pair, events=jets.events(s), seed=seed) for pair in pairs[s])
                    for s in pairs
                },
                curves={
                    s: tuple(Curve.from_roc(roc_curve(*pair)) for pair in pairs[s]) for s in pairs
                },
            )
        )
    return result


def _mean(values: npt.NDArray[np.float64], weights: npt.NDArray[np.float64]) -> float:
    return float(np.average(values, weights=weights))
