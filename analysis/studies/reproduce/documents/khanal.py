"""Khanal: a convolutional autoencoder finds W jets among QCD jets."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from oddjet.analysis.report.figures.contamination import ContaminationLine, contamination_curve
from oddjet.analysis.report.figures.roc import RocLine, auc_by_epoch, roc_by_epoch
from oddjet.analysis.report.figures.thresholds import scores_with_thresholds
from oddjet.analysis.report.figures.training import LossCurve, loss_curves
from oddjet.analysis.report.page import Picture
from oddjet.analysis.studies.reproduce.document import (
    Document,
    Published,
    Results,
    Scale,
    Trend,
    drawing,
)
from oddjet.analysis.studies.reproduce.measure import compare_areas
from oddjet.analysis.studies.reproduce.pictures import (
    LABEL,
    area_interval,
    average_pictures,
    roc_picture,
    score_samples,
)
from oddjet.analysis.studies.reproduce.settings import ceiling, make_trial
from oddjet.analysis.studies.reproduce.trial import Trial, TrialResult
from oddjet.ml.evaluation.roc import auc, roc_curve
from oddjet.ml.evaluation.thresholds import Threshold, efficiencies_at
from oddjet.ml.representations.jet_image import JetImage
from oddjet.typing import Floats

__all__ = ["KHANAL"]


RATIOS = (1.0, 0.25, 0.1, 0.05)
CONTAMINATED_JETS = {"tiny": 120, "quick": 2_500, "full": 2_500}
"""QCD jets in each contaminated training: as many as there are W jets to put in at w/Q = 1."""


def _label(ratio: float) -> str:
    return f"khanal, w/Q = {ratio:g}"


def _trials(scale: Scale) -> list[Trial]:
    contaminated = [
        make_trial(
            "khanal",
            "w",
            scale,
            label=_label(ratio),
            max_jets=CONTAMINATED_JETS[scale],
            contamination=("w", ratio) if ratio else None,
        )
        for ratio in (0.0, *RATIOS)
    ]
    return [
        make_trial("khanal", "w", scale),
        make_trial("observables", "w", scale),
        ceiling("w", "w", scale),
        *(dataclasses.replace(trial, cost=trial.cost / 4) for trial in contaminated),
    ]


def _trends(results: Results) -> Iterator[Trend]:
    yield results.compare(
        "AUC of the MSE falls slowly with less W in the training set (0.84 at w/Q = 1, 0.82 at 0.05)",
        (_label(1.0), "w", "mse"),
        (_label(0.05), "w", "mse"),
        "AUC at w/Q = 1 minus that at 0.05",
    )
    by_epoch = _scores_by_epoch(results)
    if len(by_epoch) > 1:
        events = _events(results["khanal"])
        first, last = ((*_pair(by_epoch[e]), events) for e in (min(by_epoch), max(by_epoch)))
        yield Trend(
            "AUC of the MSE grows with the epochs",
            compare_areas(last, first),
            f"AUC after epoch {max(by_epoch)} minus that after {min(by_epoch)}",
        )


def _scores_by_epoch(results: Results) -> dict[int, dict[str, Floats]]:
    """MSE of the test jets at the checkpoints: epoch → dataset → (n,)."""
    result = results["khanal"]
    detector = result.load_detector()
    by_epoch: dict[int, dict[str, Floats]] = {}
    for dataset in ("qcd_w", "w"):
        for epoch, scores in detector.scores_by_epoch(results.jets(result, dataset)).items():
            by_epoch.setdefault(epoch, {})[dataset] = scores["mse"]
    return by_epoch


def _pair(scores: dict[str, Floats]) -> tuple[Floats, npt.NDArray[np.bool_]]:
    parts = (scores["w"], scores["qcd_w"])
    return np.concatenate(parts), np.repeat([True, False], [len(part) for part in parts])


def _events(result: TrialResult) -> Floats:
    """The events of the jets of `_pair`, (n,), which are in the order of the result's tables."""
    return result.scored("w", "test", "mse")[2]


def _drawings(results: Results) -> Iterator[Picture]:
    result = results["khanal"]
    both = {"QCD": (result, "qcd_w"), "merged W": (result, "w")}
    yield average_pictures(
        "khanal-average-images", "Average images (figure 6)", results, both, JetImage.khanal()
    )
    yield from _threshold_drawings(result)
    by_epoch = _scores_by_epoch(results)
    if by_epoch:
        yield from _epoch_drawings(by_epoch, _events(result))
    history = result.load_detector().history_
    curve = LossCurve("", history["loss"], history["val_loss"], None)
    yield drawing(
        "khanal-loss", loss_curves([curve], loss_name="MSE", label=LABEL), "Losses (figure 12)"
    )
    curves = [("MSE", result, "w", "mse"), ("KL", result, "w", "kl")]
    observables = [
        (f"observable: {name}", results["observables"], "w", name) for name in ("tau21", "mass")
    ]
    yield roc_picture(
        "khanal-roc", "ROC curves of the scores, beside single observables", [*curves, *observables]
    )
    yield _contamination_drawing(results)


def _threshold_drawings(result: TrialResult) -> Iterator[Picture]:
    for score in result.score_names:
        background = result.tables["qcd_w", "test"][score]
        values, is_signal, events = result.scored("w", "test", score)
        thresholds = [
            Threshold(f"{name} of QCD", float(value))
            for name, value in (("mean", background.mean()), ("median", np.median(background)))
        ]
        cuts = efficiencies_at(thresholds, values, is_signal, events=events)
        samples = score_samples(result, {"qcd_w": "QCD", "w": "merged W"}, score)
        figure = scores_with_thresholds(samples, cuts, name=score.upper(), label=LABEL)
        yield drawing(
            f"khanal-{score}", figure, f"{score.upper()} of QCD and W jets (figures 8 and 13)"
        )


def _epoch_drawings(by_epoch: dict[int, dict[str, Floats]], events: Floats) -> Iterator[Picture]:
    epochs = sorted(by_epoch)
    pairs = [_pair(by_epoch[epoch]) for epoch in epochs]
    lines = [RocLine.from_roc("", roc_curve(*pair)) for pair in pairs]
    areas = [auc(*pair, events=events, replicas=100) for pair in pairs]
    yield drawing(
        "khanal-roc-by-epoch",
        roc_by_epoch(epochs, lines, label=LABEL),
        "ROC curve of the MSE by epoch (figure 9)",
    )
    if len(epochs) > 1:
        figure = auc_by_epoch(epochs, {"mse": areas}, label=LABEL)
        yield drawing("khanal-auc-by-epoch", figure, "AUC of the MSE by epoch")


def _contamination_drawing(results: Results) -> Picture:
    ratios = (0.0, *sorted(RATIOS))
    lines = []
    for score in results["khanal"].score_names:
        areas = [area_interval(results[_label(r)], "w", score) for r in ratios]
        single = [[area] for area in areas]
        lines.append(ContaminationLine(score.upper(), np.array(ratios), single))
    figure = contamination_curve(lines, axis_label="W jets over QCD jets in training", label=LABEL)
    return drawing("khanal-contamination", figure, "W jets in the training set (figure 11)")


KHANAL = Document(
    name="khanal",
    title="Anomalous Jet Detection using Unsupervised Learning",
    reference="D. Khanal (2023)",
    trials=_trials,
    published=(
        Published("khanal", "mse", "w", auc=0.87),
        Published(_label(1.0), "mse", "w", auc=0.84),
        Published(_label(0.25), "mse", "w", auc=0.83),
        Published(_label(0.05), "mse", "w", auc=0.82),
    ),
    drawings=_drawings,
    trends=_trends,
    remarks=(
        (
            "W jets are merged ones (both quarks within 0.6 of the jet axis). The w/Q trend in print runs "
            "against expectation; ours is reported, not tuned. All w/Q trainings have the same QCD jets."
        ),
    ),
)
