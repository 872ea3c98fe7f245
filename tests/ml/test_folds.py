from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path

import awkward as ak
import numpy as np
import pytest

from oddjet.datasets.folds import fold_of, held_out
from oddjet.datasets.jets import Jets
from oddjet.errors import ConfigError, DetectorError, InputError, TooFewJetsError, TrainedOnError
from oddjet.ml import create, load
from oddjet.ml.decorrelation import create as create_decorrelation
from oddjet.ml.folder import write_info
from oddjet.ml.folds import FoldedDetector
from oddjet.ml.representations.jet_image import JetImage


@pytest.fixture(scope="module")
def folded(plugin: str, background: Jets) -> FoldedDetector:
    return FoldedDetector.fit(
        background, detector=(plugin, {"power": 1.0}), k=3, seed=1, label="mean"
    )


@pytest.mark.parametrize(("k", "share"), [(2, 0.5), (3, 0.25), (5, 0.0)])
def test_what_is_held_out_teaches_nothing(
    plugin: str, background: Jets, k: int, share: float
) -> None:
    folded = FoldedDetector.fit(background, detector=(plugin, {}), k=k, seed=1, held_out=share)
    folds, learning = fold_of(background, k), ~held_out(background, share)
    assert folded.learned_on == ("background",)
    used = np.asarray(background.weight)[learning]
    expected = used.sum() ** 2 / (used**2).sum()
    assert folded.learned["thresholds"].n_effective == pytest.approx(expected)
    for fold, (model, calibration) in enumerate(
        zip(folded.detectors, folded.calibrations, strict=True)
    ):
        trained_on = np.asarray(model.provenance_.seen(background))
        np.testing.assert_array_equal(trained_on, learning & (folds != fold))
        assert model.provenance_.summary() == {"background": int(trained_on.sum())}
        calibrating = learning & (folds == fold)
        assert not (trained_on & calibrating).any()
        weights = np.asarray(background.weight)[calibrating]
        expected = weights.sum() ** 2 / (weights**2).sum()
        assert calibration["distance"].n_effective == pytest.approx(expected)


def test_every_jet_is_scored_by_its_fold_s_model_and_calibration(
    folded: FoldedDetector, background: Jets, signal: Jets
) -> None:
    for jets in (background, signal):
        scores = folded.scores(jets)
        assert tuple(scores) == folded.score_names == ("distance", "distance_calibrated")
        folds = fold_of(jets, 3)
        assert set(folds) == {0, 1, 2}
        for fold in range(3):
            rows = folds == fold
            raw = folded.detectors[fold].scores(jets[rows])["distance"]
            np.testing.assert_array_equal(scores["distance"][rows], raw)
            np.testing.assert_array_equal(
                scores["distance_calibrated"][rows], folded.calibrations[fold]["distance"](raw)
            )


def test_calibrated_scores_of_background_are_exponential(
    folded: FoldedDetector, background: Jets, other_background: Jets
) -> None:
    for jets in (background, other_background):
        calibrated = folded.scores(jets)["distance_calibrated"]
        for survival in (0.5, 0.2, 0.1):
            kept = float(np.mean(calibrated >= -np.log10(survival)))
            # Two samples: the jets cut on, and the learning ones of each fold.
            error = np.sqrt(survival * (1 - survival) * (1 / len(jets) + 2 / len(background)))
            assert kept == pytest.approx(survival, abs=4 * error)


def test_signal_stands_out(folded: FoldedDetector, other_background: Jets, signal: Jets) -> None:
    ordinary, unlike = (
        folded.scores(jets)["distance_calibrated"] for jets in (other_background, signal)
    )
    assert np.median(unlike) > np.quantile(ordinary, 0.9)


def test_single_models_still_refuse_what_they_saw(folded: FoldedDetector, background: Jets) -> None:
    with pytest.raises(TrainedOnError):
        folded.detectors[0].scores(background)


def test_no_jets(folded: FoldedDetector, signal: Jets) -> None:
    assert {name: len(v) for name, v in folded.scores(signal[:0]).items()} == {
        "distance": 0,
        "distance_calibrated": 0,
    }
    assert folded.scores_by_epoch(signal[:0]) == {}


def test_scores_by_epoch_are_those_all_folds_reached(folded: FoldedDetector, signal: Jets) -> None:
    by_epoch = folded.scores_by_epoch(signal)
    all_reached = all(model.mean_[0, 0, 0] > 0 for model in folded.detectors)
    assert list(by_epoch) == ([10, 20] if all_reached else [10])
    folds = fold_of(signal, 3)
    for fold in range(3):
        n = int((folds == fold).sum())
        np.testing.assert_array_equal(by_epoch[10]["distance"][folds == fold], np.arange(n))


def test_same_seed_same_scores_and_folds_have_seeds_of_their_own(
    plugin: str, background: Jets, signal: Jets, folded: FoldedDetector
) -> None:
    assert len({model.seed_ for model in folded.detectors}) == 3
    again = FoldedDetector.fit(background, detector=(plugin, {"power": 1.0}), seed=1)
    other = FoldedDetector.fit(background, detector=(plugin, {"power": 1.0}), seed=2)
    expected = folded.scores(signal)["distance"]
    np.testing.assert_array_equal(again.scores(signal)["distance"], expected)
    assert not np.array_equal(other.scores(signal)["distance"], expected)


def test_save_and_load(folded: FoldedDetector, signal: Jets, tmp_path: Path) -> None:
    fingerprint = folded.save(tmp_path / "folded")
    loaded = FoldedDetector.load(tmp_path / "folded")
    assert loaded.fingerprint == folded.fingerprint == fingerprint
    assert (loaded.label, loaded.k, loaded.seed) == ("mean", 3, 1)
    assert loaded.hyper_parameters == {"power": 1.0}
    for name, values in folded.scores(signal).items():
        np.testing.assert_array_equal(loaded.scores(signal)[name], values)
    assert load(tmp_path / "folded" / "fold1").seed_ == folded.detectors[1].seed_
    with pytest.raises(DetectorError, match=r"FoldedDetector\.load"):
        load(tmp_path / "folded")
    with pytest.raises(DetectorError, match=r"oddjet\.ml\.load"):
        FoldedDetector.load(tmp_path / "folded" / "fold1")


@pytest.mark.parametrize(
    "name", ["calibration0_distance.npz", "fold2/mean.npz", "fold1/detector.json"]
)
def test_a_changed_file_is_refused(folded: FoldedDetector, tmp_path: Path, name: str) -> None:
    folded.save(tmp_path / "folded")
    other = tmp_path / "folded" / name.replace("0", "1").replace("fold2", "fold0")
    if other == tmp_path / "folded" / name:
        other.write_text("{}")
    else:
        shutil.copy(other, tmp_path / "folded" / name)
    with pytest.raises(DetectorError, match=r"not the file that was saved"):
        FoldedDetector.load(tmp_path / "folded")


def test_pickling_to_a_worker(folded: FoldedDetector, signal: Jets) -> None:
    arrived = pickle.loads(pickle.dumps(folded))
    np.testing.assert_array_equal(
        arrived.scores(signal)["distance_calibrated"], folded.scores(signal)["distance_calibrated"]
    )


def test_progress_names_the_fold(plugin: str, background: Jets) -> None:
    heard = []
    FoldedDetector.fit(
        background,
        detector=(plugin, {}),
        seed=1,
        progress=lambda *said: heard.append(said),
    )
    assert heard == [(fold, 3, 1, 1, {"loss": 0.0}) for fold in range(3)]


def test_label_and_representation(plugin: str, background: Jets, tmp_path: Path) -> None:
    image = JetImage(pixels=4)
    folded = FoldedDetector.fit(background, detector=(plugin, {"representation": image}), seed=1)
    assert folded.label == plugin
    folded.save(tmp_path / "folded")
    loaded = FoldedDetector.load(tmp_path / "folded")
    assert all(model.representation == image for model in loaded.detectors)
    again = create(loaded.detector, **loaded.hyper_parameters)
    assert again.representation == image


def test_weights_given_are_used_for_the_calibration(plugin: str, background: Jets) -> None:
    ones = weighted(background, np.ones(len(background)))
    folded = FoldedDetector.fit(ones, detector=(plugin, {}), seed=1)
    n = int(((fold_of(background, 3) == 0) & ~held_out(background, 0.5)).sum())
    assert folded.calibrations[0]["distance"].n_effective == pytest.approx(n)


def weighted(jets: Jets, weights: object) -> Jets:
    return ak.with_field(jets, weights, "weight")


def test_thresholds_can_be_learned_on_other_jets(
    folded: FoldedDetector, other_background: Jets, background: Jets, tmp_path: Path
) -> None:
    jets = ak.with_field(weighted(other_background, np.ones(len(other_background))), "b", "dataset")
    again = folded.calibrated(jets)
    assert again.detectors == folded.detectors
    assert again.learned_on == ("b", "background")
    folds, learning = fold_of(jets, 3), ~held_out(jets, 0.5)
    assert again.learned["thresholds"].n_effective == pytest.approx(learning.sum())
    for fold in range(3):
        rows = learning & (folds == fold)
        raw = folded.detectors[fold].scores(jets[rows])["distance"]
        cut = again.calibrations[fold]["distance"](raw)
        np.testing.assert_allclose(10**-cut, [np.mean(raw >= value) for value in raw])
    again.save(tmp_path / "again")
    loaded = FoldedDetector.load(tmp_path / "again")
    assert (loaded.learned, loaded.held_out) == (again.learned, 0.5)
    with pytest.raises(TooFewJetsError, match="hold out less"):
        folded.calibrated(jets[:20])


def test_detectors_of_the_ring_of_folds_are_refused(folded: FoldedDetector, tmp_path: Path) -> None:
    """Those were calibrated on the fold after their own, and all folds were hunted in."""
    folder = tmp_path / "old"
    folded.save(folder)
    info = json.loads((folder / "folds.json").read_text())
    old = {name: info[name] for name in info if name not in ("held_out", "learned", "fingerprint")}
    (folder / "folds.json").unlink()
    write_info(
        folder, "folds.json", {n: old[n] for n in old if n not in ("files", "schema_version")}
    )
    with pytest.raises(DetectorError, match=r"held no events out.*Train it again"):
        FoldedDetector.load(folder)


def test_refusals(plugin: str, background: Jets, toy_jets) -> None:
    def fit(jets: Jets, **changes: object) -> None:
        FoldedDetector.fit(jets, **({"detector": (plugin, {}), "seed": 1} | changes))

    with pytest.raises(ConfigError, match="at least 2"):
        fit(background, k=1)
    with pytest.raises(ConfigError, match="between 0 and 1"):
        fit(background, held_out=1.5)
    with pytest.raises(InputError, match="run"):
        fit(toy_jets(50, prongs=1, seed=1, events=False))
    with pytest.raises(InputError, match="1 of 1500 background jets have negative"):
        fit(weighted(background, np.where(np.arange(len(background)) == 3, -1.0, 1.0)))
    with pytest.raises(TooFewJetsError, match="calibrate"):
        fit(background[:12])
    one_fold = background[fold_of(background, 3) == 1]
    with pytest.raises(TooFewJetsError, match="0 background jets to calibrate on"):
        fit(background, held_out=1.0)
    with pytest.raises(TooFewJetsError, match="fold 0 of 3 has 0 background jets"):
        fit(one_fold)


METHODS = {"ddt": {"scale": False}, "quantile_map": {}}


def with_msoftdrop(jets: Jets, seed: int = 1) -> Jets:
    """Jets with a mass of their own; toy jets' msoftdrop is not what is tested."""
    rng = np.random.default_rng(seed)
    return ak.with_field(jets, rng.uniform(20, 200, len(jets)), "msoftdrop")


@pytest.fixture(scope="module")
def decorrelated(folded: FoldedDetector, background: Jets) -> FoldedDetector:
    return folded.decorrelated(with_msoftdrop(background), methods=METHODS)


def test_decorrelations_are_fitted_where_calibrations_are(
    decorrelated: FoldedDetector, folded: FoldedDetector, background: Jets
) -> None:
    jets = with_msoftdrop(background)
    assert decorrelated.detectors == folded.detectors
    assert folded.methods == ()
    assert decorrelated.methods == ("ddt", "quantile_map")
    folds = fold_of(jets, 3)
    for fold in range(3):
        calibrating = jets[(folds == fold) & ~held_out(jets, folded.held_out)]
        columns = [np.asarray(calibrating[name]) for name in ("msoftdrop", "pt", "weight")]
        raw = folded.detectors[fold].scores(calibrating)["distance"]
        expected = create_decorrelation("ddt", scale=False).fit(raw, *columns)
        ddt = decorrelated.decorrelations[fold]["ddt"]["distance"]
        np.testing.assert_array_equal(ddt(raw, *columns[:2]), expected(raw, *columns[:2]))


def test_decorrelated_scores_stand_beside_the_others(
    decorrelated: FoldedDetector, folded: FoldedDetector, signal: Jets
) -> None:
    jets = with_msoftdrop(signal, seed=2)
    scores = decorrelated.scores(jets)
    names = ("distance", "distance_calibrated", "distance_ddt", "distance_quantile_map")
    assert tuple(scores) == decorrelated.score_names == names
    for name, values in folded.scores(jets).items():
        np.testing.assert_array_equal(scores[name], values)
    folds = fold_of(jets, 3)
    mass, pt = np.asarray(jets.msoftdrop), np.asarray(jets.pt)
    for fold in range(3):
        rows = folds == fold
        method = decorrelated.decorrelations[fold]["quantile_map"]["distance"]
        np.testing.assert_array_equal(
            scores["distance_quantile_map"][rows],
            method(scores["distance"][rows], mass[rows], pt[rows]),
        )
    assert {len(values) for values in decorrelated.scores(jets[:0]).values()} == {0}
    with pytest.raises(InputError, match="msoftdrop"):
        decorrelated.scores(jets[[name for name in jets.fields if name != "msoftdrop"]])


def test_decorrelations_are_saved(
    decorrelated: FoldedDetector, folded: FoldedDetector, signal: Jets, tmp_path: Path
) -> None:
    jets = with_msoftdrop(signal)
    plain = folded.save(tmp_path / "folded")
    with_methods = decorrelated.save(tmp_path / "folded")
    assert plain != with_methods
    loaded = FoldedDetector.load(tmp_path / "folded")
    assert (loaded.methods, loaded.decorrelation_mass) == (tuple(METHODS), "msoftdrop")
    for name, values in decorrelated.scores(jets).items():
        np.testing.assert_array_equal(loaded.scores(jets)[name], values)
    assert loaded.decorrelations[0]["ddt"]["distance"].hyper_parameters()["scale"] is False
    file = tmp_path / "folded" / "decorrelation1_distance_ddt.npz"
    shutil.copy(tmp_path / "folded" / "decorrelation0_distance_ddt.npz", file)
    with pytest.raises(DetectorError, match="not the file that was saved"):
        FoldedDetector.load(tmp_path / "folded")
    removed = decorrelated.decorrelated(jets, methods={})
    assert removed.save(tmp_path / "other") == plain


def test_weights_and_mass_given_are_used(folded: FoldedDetector, background: Jets) -> None:
    jets = ak.with_field(with_msoftdrop(background), np.full(len(background), 5.0), "mass")
    used = np.arange(len(jets)) % 10 != 0
    jets = weighted(jets, np.where(used, 2.0, 0.0))
    by_mass = folded.decorrelated(jets, methods={"ddt": {}}, mass="mass")
    assert by_mass.decorrelation_mass == "mass"
    for fold in range(3):
        learning = ~held_out(jets, folded.held_out)
        n = int(np.count_nonzero(used & learning & (fold_of(jets, 3) == fold)))
        method = by_mass.decorrelations[fold]["ddt"]["distance"]
        assert method.cap == pytest.approx(np.log10(n + 1) + 1)
        assert method.mass_range_ == (5.0, 5.0)


def test_wrong_decorrelations_are_refused(folded: FoldedDetector, background: Jets) -> None:
    jets = with_msoftdrop(background)
    with pytest.raises(ConfigError, match="Did you mean 'ddt'"):
        folded.decorrelated(jets, methods={"dtd": {}})
    with pytest.raises(InputError, match="msoftdrop"):
        folded.decorrelated(jets[[n for n in jets.fields if n != "msoftdrop"]], methods=METHODS)
    with pytest.raises(TooFewJetsError, match="decorrelate"):
        folded.decorrelated(jets[:300], methods=METHODS)
    with pytest.raises(InputError, match="negative"):
        folded.decorrelated(weighted(jets, np.full(len(jets), -1.0)), methods=METHODS)
