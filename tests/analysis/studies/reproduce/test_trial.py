from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from oddjet.analysis.studies.reproduce.measure import area
from oddjet.analysis.studies.reproduce.trial import Trial, load_trial, run_trial, trial_key
from oddjet.analysis.studies.reproduce.windows import get_window
from oddjet.datasets.skims.skim import Skim
from oddjet.errors import OddjetError
from oddjet.ml.representations.jet_image import JetImage

KMEANS = Trial(
    "top",
    "kmeans",
    "k-means",
    hyper_parameters={"k": 4, "starts": 1, "representation": JetImage.buss(power=0.5, sigma=1.0)},
)


def test_a_trial_scores_all_that_chooses_and_is_quoted(
    tmp_path: Path, toy_skims: Callable[[str], Skim]
) -> None:
    skim = toy_skims("top")
    result = run_trial(KMEANS, skim, tmp_path)
    window = get_window("top")
    assert result.n_train == len(window.jets(skim, "qcd_top", "train", nominal=True))
    assert set(result.tables) == {
        (dataset, role) for dataset in ("qcd_top", "top") for role in ("validation", "test")
    }
    assert result.score_names == ("min_d", "knc5", "mlled", "mll1d", "mlln")
    jets = window.jets(skim, "top", "test", nominal=False)
    expected = result.load_detector().scores(jets)["min_d"]
    np.testing.assert_allclose(result.tables["top", "test"]["min_d"], expected)
    np.testing.assert_allclose(result.tables["top", "test"]["jet_mass"], jets["mass"])
    values, is_signal = result.pair("top", "test", "min_d")
    assert is_signal.sum() == len(jets)
    np.testing.assert_allclose(values[is_signal], expected)


def test_a_trial_is_not_run_twice_and_half_a_result_does_not_count(
    tmp_path: Path, toy_skims: Callable[[str], Skim], monkeypatch: pytest.MonkeyPatch
) -> None:
    skim = toy_skims("top")
    first = run_trial(KMEANS, skim, tmp_path)
    (first.folder / "trial.json").unlink()
    assert load_trial(KMEANS, skim, tmp_path) is None
    run_trial(KMEANS, skim, tmp_path)
    scores = first.folder / "scores.npz"
    content = bytearray(scores.read_bytes())
    content[len(content) // 2] ^= 1
    scores.write_bytes(content)
    assert load_trial(KMEANS, skim, tmp_path) is None
    again = run_trial(KMEANS, skim, tmp_path)
    monkeypatch.setattr("oddjet.ml.create", None)
    read = run_trial(KMEANS, skim, tmp_path)
    for table in first.tables:
        for name, values in first.tables[table].items():
            np.testing.assert_array_equal(values, read.tables[table][name])
            np.testing.assert_array_equal(values, again.tables[table][name])


def test_the_key_holds_what_matters_and_not_the_label(toy_skims: Callable[[str], Skim]) -> None:
    skim = toy_skims("top")
    key = trial_key(KMEANS, skim)
    assert (
        trial_key(dataclasses.replace(KMEANS, label="other", settings="x", cost=3.0), skim) == key
    )
    for change in (
        {"seed": 2},
        {"nominal": "top"},
        {"max_jets": 300},
        {"hyper_parameters": {"k": 5}},
        {"window": "ene"},
        {"contamination": ("top", 0.1)},
    ):
        assert trial_key(dataclasses.replace(KMEANS, **change), skim) != key
    assert json.dumps(KMEANS.identity())


def test_inverse_tagging_trains_on_the_signal_and_finds_the_background(
    tmp_path: Path, toy_skims: Callable[[str], Skim]
) -> None:
    skim, window = toy_skims("top"), get_window("top")
    result = run_trial(dataclasses.replace(KMEANS, nominal="top"), skim, tmp_path)
    assert result.trial.others == ("qcd_top",)
    assert result.n_train == len(window.jets(skim, "top", "train", nominal=True))
    assert len(result.tables["qcd_top", "test"]["jet_pt"]) == len(
        window.jets(skim, "qcd_top", "test", nominal=False)
    )


def test_contamination_has_the_wanted_ratio(
    tmp_path: Path, toy_skims: Callable[[str], Skim]
) -> None:
    skim, window = toy_skims("top"), get_window("top")
    contaminated = dataclasses.replace(KMEANS, contamination=("top", 0.5), max_jets=200)
    assert run_trial(contaminated, skim, tmp_path).n_train == 300
    # Not enough signal for as many nominal jets: fewer of both.
    much = dataclasses.replace(KMEANS, contamination=("top", 2.0))
    n_signal = len(window.jets(skim, "top", "train", nominal=False))
    n_train = run_trial(much, skim, tmp_path).n_train
    assert n_train == n_signal // 2 + 2 * (n_signal // 2)


def test_a_failing_training_names_its_trial(
    tmp_path: Path, toy_skims: Callable[[str], Skim]
) -> None:
    many = dataclasses.replace(KMEANS, hyper_parameters={"k": 10_000})
    with pytest.raises(OddjetError, match=r"trial 'k-means' \(top, qcd_top\): kmeans: 10000"):
        run_trial(many, toy_skims("top"), tmp_path)
    assert load_trial(many, toy_skims("top"), tmp_path) is None


@pytest.mark.parametrize("nominal", ["qcd_top", "top"])
def test_a_supervised_trial_finds_what_counts_as_signal(
    tmp_path: Path, toy_skims: Callable[[str], Skim], nominal: str
) -> None:
    signal = "top" if nominal == "qcd_top" else "qcd_top"
    trees = Trial(
        "top", "bdt", "b", hyper_parameters={"iterations": 20}, signal=signal, nominal=nominal
    )
    assert area(run_trial(trees, toy_skims("top"), tmp_path), signal, "log_odds", "test") > 0.7
