"""Khanal's autoencoder on built-in samples: AUC for merged W bosons, and the ROC curve by epoch.

Simulates QCD (pT̂ > 120 GeV) and hadronic W with Khanal's selection, trains one autoencoder on 20,000 QCD
jets or more, evaluates it on jets of other events, and writes ``khanal.json`` and the pictures that
docs/results.md shows. Samples are kept in the output folder: a second call only trains. About an hour and
a half on two cores, simulation included.

    python docs/make_khanal_figures.py runs/khanal [FILESET]

A fileset with datasets called qcd and w takes the place of the simulation.
"""

from __future__ import annotations

import dataclasses
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from oddjet.analysis.cli.console import RichReporter
from oddjet.analysis.config import read_settings
from oddjet.analysis.pipeline.steps import skim_files
from oddjet.analysis.report.figures.roc import RocLine, auc_by_epoch, roc_by_epoch
from oddjet.analysis.report.figures.style import PlotLabel
from oddjet.analysis.report.figures.training import LossCurve, loss_curves
from oddjet.datasets.folds import fold_of, jets_hash
from oddjet.datasets.jets import Truth, concatenate
from oddjet.datasets.skims.skim import open_skim
from oddjet.ml.detectors.base import Scores
from oddjet.ml.detectors.khanal import KhanalDetector
from oddjet.ml.evaluation.bootstrap import Interval
from oddjet.ml.evaluation.roc import auc, evaluate, roc_curve

FILESET = """\
datasets:
  qcd: {kind: background, simulate: {process: qcd, n_events: 120000, seed: 1, pt_hat_min: 120}}
  w: {kind: signal, simulate: {process: w, n_events: 40000, seed: 1, pt_hat_min: 150}}
"""
EPOCHS = 90
TEST_SHARE = 6  # one sixth of the QCD events is kept for testing


def main(output: Path, fileset: str | None = None) -> None:
    """Make the figures.

    Args:
        output: Folder of samples, skim, detector, numbers and pictures.
        fileset: Datasets qcd and w; simulated by default.
    """
    reporter = RichReporter()
    output.mkdir(parents=True, exist_ok=True)
    if fileset is None:
        (output / "fileset.yaml").write_text(FILESET, encoding="utf-8")
        fileset = str(output / "fileset.yaml")
    cluster = {"cluster.executor": "futures", "cluster.workers": 2}
    settings = read_settings(None, {"fileset": fileset, **cluster}, output=output / "skim")
    skim_files(settings, output / "skim", reporter=reporter)
    skim = open_skim(output / "skim")
    qcd, signal = skim.jets("qcd"), skim.jets("w")
    merged = signal[signal.label == Truth.MERGED]
    test = fold_of(qcd, TEST_SHARE) == 0
    start = time.perf_counter()
    detector = KhanalDetector(epochs=EPOCHS)
    with reporter.track("train khanal", EPOCHS, "epochs") as update:
        detector.fit(qcd[~test], seed=1, progress=lambda epoch, *_: update(epoch))
    seconds = time.perf_counter() - start
    detector.save(output / "detector")
    jets = concatenate([merged, qcd[test]])
    events = np.concatenate([jets_hash(merged), jets_hash(qcd[test])])
    truth = np.repeat([True, False], [len(merged), int(test.sum())])
    by_epoch = detector.scores_by_epoch(jets)
    rows = evaluate(detector.scores(jets), truth, events=events)
    numbers = {
        "n_train": int((~test).sum()),
        "n_test": int(test.sum()),
        "n_merged_w": len(merged),
        "epochs": len(detector.history_["loss"]),
        "best_epoch": detector.best_epoch_,
        "training_seconds": seconds,
        "scores": {row.score: dataclasses.asdict(row) for row in rows},
        "auc_by_epoch": {
            score: {
                e: dataclasses.asdict(auc(scores[score], truth, events=events))
                for e, scores in by_epoch.items()
            }
            for score in detector.score_names
        },
    }
    (output / "khanal.json").write_text(json.dumps(numbers, indent=1) + "\n", encoding="utf-8")
    _draw(output, detector, by_epoch, truth, numbers)


def _draw(
    output: Path,
    detector: KhanalDetector,
    by_epoch: dict[int, Scores],
    truth: npt.NDArray[np.bool_],
    numbers: dict[str, Any],
) -> None:
    label = PlotLabel("simulation", "13 TeV")
    epochs = sorted(by_epoch)
    curves = [roc_curve(by_epoch[epoch]["mse"], truth) for epoch in epochs]
    lines = [RocLine("", curve.tpr, curve.fpr) for curve in curves]
    roc_by_epoch(epochs, lines, label=label).savefig(output / "khanal_roc_by_epoch.png", dpi=110)
    aucs = {
        score: [Interval(**numbers["auc_by_epoch"][score][epoch]) for epoch in epochs]
        for score in detector.score_names
    }
    figure = auc_by_epoch(epochs, aucs, best_epoch=detector.best_epoch_, label=label)
    figure.savefig(output / "khanal_auc_by_epoch.png", dpi=110)
    history = detector.history_
    curve = LossCurve("", history["loss"], history["val_loss"], detector.best_epoch_)
    figure = loss_curves([curve], loss_name="MSE", label=label)
    figure.savefig(output / "khanal_loss.png", dpi=110)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:3])
