"""How well scores separate signal from background, from a scores table or from a skim."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from oddjet.datasets.folds import event_hash, fold_of, jets_hash, mix64
from oddjet.datasets.jets import Truth, concatenate
from oddjet.datasets.skims.manifest import DatasetSummary
from oddjet.datasets.skims.skim import Skim
from oddjet.ml.evaluation.roc import Evaluation, Interval, Roc, auc, evaluate, roc_curve
from oddjet.ml.score_names import ScoreName
from oddjet.typing import Bools, Table

if TYPE_CHECKING:
    from oddjet.ml.folds import FoldedDetector

__all__ = ["EpochQuality", "Quality", "epoch_quality", "score_quality", "signal_jets"]


EPOCH_JETS = 6000


@dataclasses.dataclass(frozen=True)
class Quality:
    """One score against one signal.

    Attributes:
        column: The raw score's column.
        which: Which of its jets count as signal: ``merged`` or ``matched``.
        evaluation: AUC and rejections with 95 % intervals, of the calibrated score.
    """

    column: str
    signal: str
    which: str
    evaluation: Evaluation
    roc: Roc

    def to_dict(self) -> dict[str, Any]:
        """Every number but the curve, ready for JSON."""
        return {
            "score": self.column,
            "signal": self.signal,
            "signal_jets": self.which,
            "n_signal": self.evaluation.n_signal,
            "n_background": self.evaluation.n_background,
            "auc": dataclasses.asdict(self.evaluation.auc),
            "rejection": {
                str(efficiency): dataclasses.asdict(interval)
                for efficiency, interval in self.evaluation.rejection.items()
            },
        }


@dataclasses.dataclass(frozen=True)
class EpochQuality:
    """One raw score as the training went on.

    Attributes:
        roc: Curve by epoch.
        auc: Area under it, with its 95 % interval, by epoch.
    """

    score: str
    roc: dict[int, Roc]
    auc: dict[int, Interval]


def signal_jets(label: npt.ArrayLike) -> tuple[Bools, str]:
    """Choose the jets that count as signal: the merged ones, or the matched where none is merged.

    Args:
        label: `Truth` of each jet, shape (n,).

    Returns:
        Mask of shape (n,), and ``merged`` or ``matched``.
    """
    labels = np.asarray(label)
    if (labels == Truth.MERGED).any():
        return labels == Truth.MERGED, "merged"
    return labels >= Truth.MATCHED, "matched"


def score_quality(
    table: Table,
    datasets: Mapping[str, DatasetSummary],
    columns: list[str],
    scales: Mapping[str, float],
) -> list[Quality]:
    """Evaluate scores, calibrated or decorrelated, for each signal dataset.

    Args:
        table: Columns of the scores table, each of shape (n_jets,).
        datasets: What is known of each dataset.
        columns: Scores as histograms are named: raw ones, and decorrelated ones.
        scales: Expected events of a unit weight by dataset, to add backgrounds together.

    Returns:
        One entry a signal and score; none where signal or background are missing.
    """
    names = np.asarray(table["dataset"])
    background = np.isin(names, [n for n, d in datasets.items() if d.kind == "background"])
    weights = np.asarray(table["weight"]) * np.array([scales[name] for name in names])
    # Simulated datasets may use the same event numbers.
    events = event_hash(*(table[name] for name in ("run", "luminosityBlock", "event")))
    events ^= mix64(np.unique(names, return_inverse=True)[1])
    qualities = []
    for signal in (n for n, d in datasets.items() if d.kind == "signal"):
        is_signal, which = signal_jets(np.where(names == signal, table["label"], Truth.BACKGROUND))
        if not is_signal.any() or not background.any():
            continue
        use = background | is_signal
        scores = {c: np.asarray(table[ScoreName.find(c, table).cut])[use] for c in columns}
        rows = evaluate(scores, is_signal[use], weights[use], events=events[use])
        for column, row in zip(columns, rows, strict=True):
            roc = roc_curve(scores[column], is_signal[use], weights[use])
            qualities.append(Quality(column, signal, which, row, roc))
    return qualities


def epoch_quality(skim: Skim, detector: FoldedDetector, signal: str) -> list[EpochQuality]:
    """Evaluate a detector's raw scores as they were at the checkpoints of its training.

    One model is followed, that of fold 0: raw scores of different trainings are not comparable.

    Args:
        skim: The jets; the first few thousand of signal and background in fold 0 are used.
        detector: The trained detector.
        signal: The signal dataset.

    Returns:
        One entry a score; none where the detector keeps no checkpoints, or jets are missing.
    """
    if not hasattr(detector.detectors[0], "scores_by_epoch"):
        return []
    signals = skim.jets(signal)
    signals = signals[signal_jets(signals.label)[0]]
    backgrounds = skim.jets(kinds="background")
    first = [jets[fold_of(jets, detector.k) == 0][:EPOCH_JETS] for jets in (signals, backgrounds)]
    if not all(len(jets) for jets in first):
        return []
    truth = np.repeat([True, False], [len(jets) for jets in first])
    events = np.concatenate([jets_hash(jets) for jets in first])
    by_epoch = detector.detectors[0].scores_by_epoch(concatenate(first))
    if not by_epoch:
        return []
    return [
        EpochQuality(
            score,
            {epoch: roc_curve(scores[score], truth) for epoch, scores in by_epoch.items()},
            {epoch: auc(scores[score], truth, events=events) for epoch, scores in by_epoch.items()},
        )
        for score in detector.raw_score_names
    ]
