from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import awkward as ak
import numpy as np
import pytest
from sklearn.metrics import log_loss, roc_auc_score

from oddjet.datasets.jets import Jets, Truth, concatenate
from oddjet.errors import ConfigError, InputError, TooFewJetsError
from oddjet.ml import create
from oddjet.ml.detectors.bdt import BoostedTreesDetector, SupervisedFeatures
from oddjet.ml.representations import representation_from_identity
from oddjet.ml.representations.energy_flow import EnergyFlow
from oddjet.ml.representations.substructure import Substructure

MakeToyJets = Callable[..., Jets]


@pytest.fixture(scope="module")
def mixed(background: Jets, toy_jets: MakeToyJets) -> Jets:
    """1,500 one-prong jets and 200 two-prong ones."""
    return concatenate([background, toy_jets(200, prongs=2, seed=4, dataset="background")])


@pytest.fixture(scope="module")
def fitted(mixed: Jets) -> BoostedTreesDetector:
    return BoostedTreesDetector(iterations=60, learning_rate=0.2).fit(mixed, seed=1)


def test_it_tells_the_classes_apart(
    fitted: BoostedTreesDetector, other_background: Jets, signal: Jets
) -> None:
    scores = [fitted.scores(jets)["log_odds"] for jets in (other_background, signal)]
    truth = np.repeat([0, 1], [len(other_background), len(signal)])
    assert roc_auc_score(truth, np.concatenate(scores)) > 0.99
    # Balanced classes: log odds of 0 lie between them, though signal was rare in the training.
    assert np.median(scores[0]) < 0 < np.median(scores[1])


def test_a_wrong_signal_teaches_it_nothing_of_the_right_one(
    mixed: Jets, fitted: BoostedTreesDetector, other_background: Jets, signal: Jets
) -> None:
    """Labels at random: whatever it learns is not the prongs."""
    label = np.where(np.arange(len(mixed)) % 3 == 0, Truth.MATCHED, Truth.BACKGROUND)
    wrong = create("bdt", **fitted.hyper_parameters())
    wrong.fit(ak.with_field(mixed, label, "label"), seed=1)
    scores = [wrong.scores(jets)["log_odds"] for jets in (other_background, signal)]
    truth = np.repeat([0, 1], [len(other_background), len(signal)])
    assert 0.2 < roc_auc_score(truth, np.concatenate(scores)) < 0.8


def test_signal_is_what_is_matched(mixed: Jets, other_background: Jets) -> None:
    label = np.asarray(mixed.label)
    alike = np.where(label == Truth.MERGED, Truth.MATCHED, np.where(label == 0, 1, label))
    detector = create("bdt", iterations=5)
    expected = detector.fit(mixed, seed=1).scores(other_background)["log_odds"]
    other = detector.fit(ak.with_field(mixed, alike.astype(np.int8), "label"), seed=1)
    np.testing.assert_array_equal(other.scores(other_background)["log_odds"], expected)


def test_trees_kept_have_the_least_loss_on_validation_jets(
    mixed: Jets, toy_jets: MakeToyJets
) -> None:
    parts = [toy_jets(150, prongs=prongs, seed=20 + prongs) for prongs in (1, 2)]
    columns = [name for name in mixed.fields if name != "dataset"]
    validation = concatenate([part[columns] for part in parts])
    progress_calls: list[tuple[int, int]] = []
    detector = BoostedTreesDetector(iterations=40, learning_rate=0.5).fit(
        mixed[columns],
        validation=validation,
        seed=1,
        progress=lambda tree, n, _: progress_calls.append((tree, n)),
    )
    assert progress_calls == [(i + 1, 40) for i in range(40)]
    losses = detector.history_["val_loss"]
    assert len(detector.trees_) == int(np.argmin(losses)) + 1
    signal = np.asarray(validation.label) > 0
    share = np.mean(np.asarray(mixed.label) > 0)
    weights = np.where(signal, 0.5 / share, 0.5 / (1 - share))
    odds = detector.scores(validation, allow_trained=True)["log_odds"]
    expected = log_loss(signal, 1 / (1 + np.exp(-odds)), sample_weight=weights)
    assert min(losses) == pytest.approx(expected, rel=1e-6)


def test_labels_of_both_classes_are_needed(background: Jets, signal: Jets) -> None:
    detector = create("bdt")
    with pytest.raises(TooFewJetsError, match="20 signal jets"):
        detector.fit(background, seed=1)
    with pytest.raises(TooFewJetsError, match="20 background jets"):
        detector.fit(signal, seed=1)
    unlabelled = background[[name for name in background.fields if name != "label"]]
    with pytest.raises(InputError, match="label"):
        detector.fit(unlabelled, seed=1)


def test_scoring_needs_neither_labels_nor_scikit_learn(
    fitted: BoostedTreesDetector, other_background: Jets, tmp_path: Path
) -> None:
    few = other_background[:10]
    columns = [name for name in few.fields if name not in {"label", "dataset"}]
    ak.to_parquet(few[columns], tmp_path / "jets.parquet")
    fitted.save(tmp_path / "bdt")
    code = (
        "import json, sys; sys.modules['sklearn'] = None\n"
        "import awkward as ak, oddjet.ml\n"
        "scores = oddjet.ml.load(sys.argv[1]).scores(ak.from_parquet(sys.argv[2]))\n"
        "print(json.dumps(scores['log_odds'].tolist()))"
    )
    files = [str(tmp_path / "bdt"), str(tmp_path / "jets.parquet")]
    run = subprocess.run(
        [sys.executable, "-c", code, *files], check=True, capture_output=True, text=True
    )
    np.testing.assert_allclose(
        json.loads(run.stdout.splitlines()[-1]), fitted.scores(few)["log_odds"], rtol=1e-9
    )


def test_features_are_those_of_their_parts(other_background: Jets) -> None:
    few = other_background[:20]
    features = SupervisedFeatures(betas=(0.5, 2.0))
    rows = features(few)
    assert rows.shape == (20, *features.shape) == (20, 25)
    np.testing.assert_array_equal(rows[:, 8:16], EnergyFlow(beta=2.0)(few))
    substructure = dict(zip(Substructure.names, Substructure()(few).T, strict=True))
    for name, column in zip(features.names, rows.T, strict=True):
        if name in substructure:
            np.testing.assert_array_equal(column, substructure[name])
    assert features.names[8] == "efp1_beta2"
    assert set(features.names[16:]) < set(substructure)
    assert "mass" not in features.names


def test_features_come_back_from_their_identity() -> None:
    features = SupervisedFeatures(betas=(0.25, 1))
    identity = json.loads(json.dumps(features.identity()))
    assert identity == features.identity()
    assert representation_from_identity(identity) == features


def test_settings_that_cannot_be_meant() -> None:
    for name in ("iterations", "max_leaf_nodes", "min_samples_leaf", "learning_rate"):
        with pytest.raises(ConfigError, match=f"bdt: {name} must be"):
            create("bdt", **{name: 0})
    with pytest.raises(ConfigError, match="bdt: l2_regularization must be at least 0"):
        create("bdt", l2_regularization=-1.0)
    with pytest.raises(ConfigError, match="beta must be positive"):
        SupervisedFeatures(betas=(0.0,))
