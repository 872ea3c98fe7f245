from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from oddjet.analysis.scores.quality import score_quality, signal_jets
from oddjet.datasets.jets import Truth
from oddjet.datasets.skims.manifest import DatasetSummary

N = 500


def summary(kind: str) -> DatasetSummary:
    return DatasetSummary(kind=kind, sumw=N, sumw2=N, n_events=N)  # type: ignore[arg-type]


def table() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    label = np.full(3 * N, Truth.BACKGROUND)
    label[2 * N :] = rng.choice([Truth.UNMATCHED, Truth.MATCHED, Truth.MERGED], N)
    return {
        "dataset": np.repeat(np.array(["low", "high", "w"], dtype=object), N),
        "run": np.ones(3 * N, int),
        "luminosityBlock": np.ones(3 * N, int),
        "event": np.tile(np.arange(N) // 2, 3),  # the same numbers in all datasets
        "label": label,
        "weight": np.ones(3 * N),
        "d_s_calibrated": rng.normal(size=3 * N) + (label == Truth.MERGED),
    }


def test_signal_is_what_is_merged_or_else_matched() -> None:
    label = np.array([0, 1, 2, 3], dtype=np.int8)
    mask, which = signal_jets(label)
    assert which == "merged"
    assert mask.tolist() == [False, False, False, True]
    mask, which = signal_jets(label[:3])
    assert which == "matched"
    assert mask.tolist() == [False, False, True]


def test_backgrounds_add_with_their_scales() -> None:
    columns = table()
    datasets = {"low": summary("background"), "high": summary("background"), "w": summary("signal")}
    scales = {"low": 10.0, "high": 1.0, "w": 1.0}
    (quality,) = score_quality(columns, datasets, ["d_s"], scales)
    is_signal = columns["label"] == Truth.MERGED
    use = is_signal | (columns["dataset"] != "w")
    weights = np.array([scales[name] for name in columns["dataset"]])
    expected = roc_auc_score(
        is_signal[use], columns["d_s_calibrated"][use], sample_weight=weights[use]
    )
    assert quality.evaluation.auc.value == pytest.approx(expected, abs=1e-12)
    assert quality.evaluation.auc.low < expected < quality.evaluation.auc.high
    assert (quality.signal, quality.which) == ("w", "merged")
    assert quality.evaluation.n_signal == is_signal.sum()
    assert quality.to_dict()["auc"]["value"] == pytest.approx(expected)


def test_nothing_to_evaluate_without_signal_or_background() -> None:
    columns = table()
    scales = {"low": 1.0, "high": 1.0, "w": 1.0}
    only = {"low": summary("data"), "high": summary("data"), "w": summary("signal")}
    assert score_quality(columns, only, ["d_s"], scales) == []
    none = {"low": summary("background"), "high": summary("background"), "w": summary("background")}
    assert score_quality(columns, none, ["d_s"], scales) == []
