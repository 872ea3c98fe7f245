"""Epoch by epoch: how well a detector reconstructs, and what it finds, as the training goes on.

References:
    D. Khanal, Anomalous Jet Detection using Unsupervised Learning (2023), sections 5.2 and 6.2, figures 7
    (reconstructions), 9 (ROC curves) and 12 (loss).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from oddjet.analysis.config import DetectorConfig
from oddjet.analysis.report.figures.epochs import (
    Reconstruction,
    mean_scores_by_epoch,
    reconstructions,
)
from oddjet.analysis.report.figures.roc import RocLine, auc_by_epoch, roc_by_epoch
from oddjet.analysis.report.figures.training import LossCurve, loss_curves
from oddjet.analysis.studies.jets import StudyJets
from oddjet.analysis.studies.study import (
    Cell,
    Curve,
    Setting,
    StudyResult,
    common_fields,
    interval_text,
    require_unsupervised,
    select_score,
    titled,
    train_model,
    training_jets,
)
from oddjet.datasets.jets import Jets
from oddjet.errors import ConfigError
from oddjet.ml.evaluation.bootstrap import Interval, statistic_interval
from oddjet.ml.evaluation.roc import auc, roc_curve
from oddjet.ml.representations.jet_image import JetImage

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from oddjet.analysis.report.figures.style import PlotLabel
    from oddjet.ml.detectors.base import Detector, Scores

__all__ = ["EpochScore", "Epochs", "ReconstructsByEpoch", "follow_epochs"]


@runtime_checkable
class ReconstructsByEpoch(Protocol):
    """A detector that gives back jets as it did at the checkpoints of its training."""

    def reconstruct_by_epoch(self, jets: Jets) -> Mapping[int, npt.NDArray[Any]]:
        """Reconstruct jets: epoch → array of the shape of their representation, (n, …)."""


@dataclasses.dataclass(frozen=True)
class EpochScore:
    """One score as the training went on.

    Attributes:
        detector: Key of the detector.
        score: Its name.
        epochs: Epochs whose models were kept, rising.
        kept: Epoch whose weights the detector uses; None if it does not say.
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

    @property
    def headers(self) -> tuple[str, ...]:
        """Headings of the table."""
        return (
            "detector",
            "score",
            "epoch",
            "sample",
            "mean score",
            "AUC",
        )

    def rows(self) -> list[tuple[Cell, ...]]:
        """Give one line an epoch and sample."""
        return [
            (
                each.detector,
                each.score,
                epoch,
                sample,
                f"{each.mean[sample][i].value:.4g}",
                interval_text(each.auc[sample][i]) if sample in each.auc else "–",
            )
            for each in self.scores
            for i, epoch in enumerate(each.epochs)
            for sample in (self.background, *self.signals)
        ]

    def figures(self, *, label: PlotLabel | None = None) -> dict[str, Figure]:
        """Draw ROC curves, areas, mean scores, losses and a reconstruction by epoch."""
        drawn: dict[str, Figure] = {}
        for each in self.scores:
            name = f"{each.detector}_{each.score}"
            for signal in self.signals:
                lines = [
                    _roc_line(*pair)
                    for pair in zip(each.curves[signal], each.auc[signal], strict=True)
                ]
                drawn[f"epochs_roc_{name}_{signal}"] = roc_by_epoch(
                    each.epochs,
                    lines,
                    label=titled(label, f"{each.detector} {each.score}: {signal}"),
                )
            drawn[f"epochs_mean_{name}"] = mean_scores_by_epoch(
                each.epochs, each.mean, score=f"{each.detector} {each.score}", label=label
            )
            drawn[f"epochs_auc_{name}"] = auc_by_epoch(
                each.epochs,
                {signal: _column(areas, "value") for signal, areas in each.auc.items()},
                intervals={
                    signal: (_column(areas, "low"), _column(areas, "high"))
                    for signal, areas in each.auc.items()
                },
                best_epoch=each.kept,
                label=titled(label, f"{each.detector} {each.score}"),
            )
        for detector, history in self.losses.items():
            best = next((each.kept for each in self.scores if each.detector == detector), None)
            curve = LossCurve(detector, history["loss"], history.get("val_loss"), best)
            drawn[f"epochs_loss_{detector}"] = loss_curves([curve], label=label)
        for detector, found in self.reconstructed.items():
            drawn[f"epochs_reconstruction_{detector}"] = reconstructions(found, label=label)
        return drawn


def follow_epochs(jets: StudyJets, setting: Setting) -> Epochs:
    """Train on the background and evaluate the models kept along the way.

    How often a model is kept is a hyper-parameter, `checkpoint_every` for most.

    Args:
        jets: The jets.
        setting: Detectors and seed.

    Raises:
        ConfigError: If a detector is supervised or keeps no models.
        TooFewJetsError: If a sample has too few jets.
    """
    require_unsupervised(setting, study="epochs")
    scores: list[EpochScore] = []
    losses, reconstructed = {}, {}
    for detector in setting.detectors:
        some = training_jets(jets, detector, seed=setting.seed)
        model = train_model(detector, some, setting, what=jets.background_name)
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
        **common_fields(jets, setting),
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
    found = []
    for score in model.score_names:
        at: list[dict[str, Scores]] = [
            {name: scores[epoch] for name, scores in by_sample.items()} for epoch in epochs
        ]
        values = [select_score(each, score) for each in at]
        pairs = {signal: [jets.pair(each, signal) for each in values] for signal in jets.signals}
        found.append(
            EpochScore(
                detector.key,
                score,
                tuple(epochs),
                getattr(model, "best_epoch_", None),
                mean={
                    name: tuple(
                        statistic_interval(_mean, each[name], jets.weights(name), seed=seed)
                        for each in values
                    )
                    for name in jets.names
                },
                auc={s: tuple(auc(*pair, seed=seed) for pair in each) for s, each in pairs.items()},
                curves={
                    s: tuple(Curve.from_roc(roc_curve(*pair)) for pair in each)
                    for s, each in pairs.items()
                },
            )
        )
    return found


def _mean(values: npt.NDArray[np.float64], weights: npt.NDArray[np.float64]) -> float:
    return float(np.average(values, weights=weights))


def _column(intervals: tuple[Interval, ...], name: str) -> npt.NDArray[np.float64]:
    return np.array([getattr(each, name) for each in intervals])


def _roc_line(curve: Curve, area: Interval) -> RocLine:
    return RocLine(
        "",
        np.array(curve.signal_efficiency),
        np.array(curve.background_efficiency),
        area.value,
        (area.low, area.high),
    )
