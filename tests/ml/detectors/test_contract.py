"""What every registered detector must keep to."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest

from oddjet.constraints import field_constraints
from oddjet.datasets.jets import Jets, Truth, concatenate
from oddjet.errors import ConfigError, DetectorError, TooFewJetsError, TrainedOnError
from oddjet.ml import create, detector_class, detector_names, load
from oddjet.ml.detectors import DETECTORS, Detector
from oddjet.ml.plugins import class_path

MakeToyJets = Callable[..., Jets]

QUICK: dict[str, dict[str, Any]] = {
    "khanal": {"epochs": 8, "batch_size": 32, "checkpoint_every": 4},
    "ene": {"epochs": 6, "batch_size": 32, "filters": 4, "epsilon": 1e-10, "checkpoint_every": 3},
    "kmeans": {"k": 8, "starts": 2},
    "gmm": {"components": 5},
    "observables": {},
    "autoencoder": {"epochs": 6, "batch_size": 32, "checkpoint_every": 3},
    "nae": {
        "epochs": 6,
        "pretrain_epochs": 6,
        "steps": 5,
        "chains": 64,
        "buffer": 300,
        "checkpoint_every": 3,
    },
    "dirichlet": {"epochs": 40, "batch_size": 256, "checkpoint_every": 20},
    "golling": {"stages": [30, 3, 3], "batch_size": 64},
    "lund_nae": {
        "epochs": 3,
        "pretrain_epochs": 12,
        "steps": 3,
        "chains": 64,
        "buffer": 128,
        "batch_size": 64,
    },
    "inn": {
        "epochs": 8,
        "batch_size": 128,
        "learning_rate": 2e-3,
        "blocks": 4,
        "units": 32,
        "checkpoint_every": 4,
    },
    "bdt": {"iterations": 30},
}
"""Hyper-parameters that train in seconds and still separate two prongs from one."""

BLIND: dict[str, set[str]] = {
    "observables": {"tau32", "n_pf"},
    "dirichlet": {"kl", "latent"},  # one-prong jets have no themes: the latent space collapses
}
"""Scores of something in which the toy jets of either kind are alike."""

SEEDLESS = {"observables"}
"""Detectors with nothing random in their training."""


@dataclass(frozen=True)
class Trained:
    name: str
    detector: Detector
    folder: Path


def quickest(name: str) -> dict[str, Any]:
    """Hyper-parameters for trainings of which nothing but their being there is asked."""
    least = {"epochs": 2, "pretrain_epochs": 1, "stages": [2, 1, 1], "starts": 1, "iterations": 10}
    return QUICK[name] | {key: value for key, value in least.items() if key in QUICK[name]}


@pytest.fixture(scope="module", params=detector_names())
def name(request: pytest.FixtureRequest) -> str:
    """Every detector's name."""
    return str(request.param)


@pytest.fixture(scope="module")
def background(name: str, background: Jets, toy_jets: MakeToyJets) -> Jets:
    """What the detector trains on: one-prong jets; for a supervised one, every fifth is signal.

    A fifth of that signal has one prong too, so that nothing separates the two fully and the
    random parts of the training show.
    """
    background = background[:1000]
    if not detector_class(name).supervised:
        return background
    two_prongs = toy_jets(160, prongs=2, seed=4, dataset="background")
    one_prong = toy_jets(40, prongs=1, seed=5, dataset="background")
    one_prong["label"] = np.full(40, Truth.MERGED, np.int8)
    unlike = concatenate([two_prongs, one_prong])[np.random.default_rng(1).permutation(200)]
    rows = np.arange(len(background))
    rows[::5] = len(background) + np.arange(len(unlike))
    return concatenate([background, unlike])[rows]


@pytest.fixture(scope="module")
def trained(name: str, background: Jets, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Every detector, trained once, with a fifth of the jets for validation, and saved."""
    training, validation = background[:800], background[800:]
    detector = create(name, **QUICK[name]).fit(training, validation=validation, seed=1)
    folder = tmp_path_factory.mktemp(name) / "saved"
    detector.save(folder)
    return Trained(name, detector, folder)


def assert_same_scores(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> None:
    assert tuple(a) == tuple(b)
    for name, values in a.items():
        np.testing.assert_allclose(values, b[name], rtol=1e-5, atol=1e-9)


def test_scores_are_those_declared_finite_and_one_a_jet(
    trained: Trained, other_background: Jets, signal: Jets
) -> None:
    # Both kinds: on one alone a supervised detector that separates them fully has one score.
    jets = concatenate([other_background, signal])
    scores = trained.detector.scores(jets)
    assert tuple(scores) == trained.detector.score_names
    for values in scores.values():
        assert values.dtype == np.float64
        assert values.shape == (len(jets),)
        assert np.isfinite(values).all()
        assert np.ptp(values) > 0


def test_no_jets_have_no_scores(trained: Trained, background: Jets) -> None:
    for scores in (
        trained.detector.scores(background[:0]),
        *trained.detector.scores_by_epoch(background[:0]).values(),
    ):
        assert {name: values.shape for name, values in scores.items()} == dict.fromkeys(
            trained.detector.score_names, (0,)
        )


def test_jets_without_constituents_have_finite_scores(
    trained: Trained, other_background: Jets
) -> None:
    few = other_background[:3]
    empty = ak.with_field(few, few.constituents[:, :0], "constituents")
    trained.detector.scores(empty)


def test_unlike_jets_score_higher(trained: Trained, other_background: Jets, signal: Jets) -> None:
    ordinary, unlike = (trained.detector.scores(jets) for jets in (other_background, signal))
    for name in trained.detector.score_names:
        if name not in BLIND.get(trained.name, ()):
            assert np.median(unlike[name]) > np.median(ordinary[name]), name


def test_each_jet_is_scored_by_itself(trained: Trained, other_background: Jets) -> None:
    order = np.random.default_rng(1).permutation(len(other_background))[:50]
    scores = trained.detector.scores(other_background)
    assert_same_scores(
        trained.detector.scores(other_background[order]),
        {name: values[order] for name, values in scores.items()},
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    # Of Lund graphs, the equality after an interruption is in `test_lund_nae`.
    [pytest.param(n, marks=pytest.mark.long if n == "lund_nae" else ()) for n in detector_names()],
    indirect=True,
)
def test_same_seed_same_scores_other_seed_others(
    trained: Trained, background: Jets, other_background: Jets
) -> None:
    few = background[:200]
    detector = create(trained.name, **quickest(trained.name)).fit(few, seed=1)
    expected = detector.scores(other_background)
    np.random.seed(0)  # noqa: NPY002 - global state must not matter
    assert_same_scores(detector.fit(few, seed=1).scores(other_background), expected)
    other = detector.fit(few, seed=2).scores(other_background)
    same = all(np.allclose(other[name], values) for name, values in expected.items())
    assert same == (trained.name in SEEDLESS)


def test_saved_and_loaded_gives_the_same_scores(trained: Trained, other_background: Jets) -> None:
    loaded = load(trained.folder)
    assert type(loaded) is type(trained.detector)
    assert loaded.hyper_parameters() == trained.detector.hyper_parameters()
    assert loaded.representation == trained.detector.representation
    assert loaded.seed_ == 1
    assert loaded.fingerprint == trained.detector.fingerprint
    assert_same_scores(loaded.scores(other_background), trained.detector.scores(other_background))
    by_epoch = trained.detector.scores_by_epoch(other_background)
    loaded_by_epoch = loaded.scores_by_epoch(other_background)
    assert list(by_epoch) == list(loaded_by_epoch)
    for epoch, scores in by_epoch.items():
        assert_same_scores(loaded_by_epoch[epoch], scores)


@pytest.fixture(scope="module")
def score_elsewhere() -> Iterator[Callable[[Path, Path, Path], int]]:
    """Score a file of jets in a process of its own, in which nothing of oddjet was imported yet.

    It is the fork of a new process that has other libraries: their import takes most of the time.
    """
    code = """
import os, sys
import awkward as ak, keras, numba, numpy as np, scipy.stats, sklearn, tensorflow
while line := sys.stdin.readline():
    if not (child := os.fork()):
        folder, jets, out = line.strip().split("|")
        import oddjet.ml
        np.savez(out, **oddjet.ml.load(folder).scores(ak.from_parquet(jets)))
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", code], **pipes) as process:

        def score(*files: Path) -> int:
            process.stdin.write("|".join(map(str, files)) + "\n")
            process.stdin.flush()
            return int(process.stdout.readline())

        yield score
        process.stdin.close()


@pytest.mark.slow
def test_a_new_process_gives_the_same_scores(
    trained: Trained, other_background: Jets, score_elsewhere: Callable[..., int], tmp_path: Path
) -> None:
    few = other_background[:20]
    ak.to_parquet(few, tmp_path / "jets.parquet")
    files = [trained.folder, tmp_path / "jets.parquet", tmp_path / "scores.npz"]
    assert score_elsewhere(*files) == 0
    with np.load(tmp_path / "scores.npz") as from_other_process:
        assert_same_scores(dict(from_other_process), trained.detector.scores(few))


def test_pickling_to_a_worker(trained: Trained, background: Jets, other_background: Jets) -> None:
    arrived = pickle.loads(pickle.dumps(trained.detector))
    assert arrived.fingerprint == trained.detector.fingerprint
    assert_same_scores(arrived.scores(other_background), trained.detector.scores(other_background))
    with pytest.raises(TrainedOnError):
        arrived.scores(background)


def test_untrained_pickles_too(trained: Trained) -> None:
    blank = pickle.loads(pickle.dumps(create(trained.name, **QUICK[trained.name])))
    assert blank.hyper_parameters() == trained.detector.hyper_parameters()
    assert not blank.is_fitted


def test_events_trained_on_are_refused_unless_asked_for(
    trained: Trained, background: Jets, other_background: Jets
) -> None:
    for detector in (trained.detector, load(trained.folder)):
        parts = (background[:2], other_background[:8])
        columns = [name for name in background.fields if name != "dataset"]
        mixed = ak.concatenate([jets[columns] for jets in parts])
        mixed = ak.with_field(mixed, ["background"] * 10, "dataset")
        for method in (detector.scores, detector.scores_by_epoch):
            with pytest.raises(TrainedOnError, match=r"2 of 10 jets .*background"):
                method(mixed)
        assert len(next(iter(detector.scores(mixed, allow_trained=True).values()))) == 10
        elsewhere = ak.with_field(mixed, ["signal"] * 10, "dataset")
        assert len(next(iter(detector.scores(elsewhere).values()))) == 10


def test_validation_jets_count_as_trained_on(
    trained: Trained, background: Jets, other_background: Jets
) -> None:
    with pytest.raises(TrainedOnError, match="200 of 600"):
        trained.detector.scores(concatenate([background[800:], other_background]))


def test_a_changed_file_is_refused(trained: Trained, tmp_path: Path) -> None:
    names = sorted(path.name for path in trained.folder.iterdir())
    assert len(names) >= 3
    for name in names:
        folder = tmp_path / name
        folder.mkdir()
        for other in names:
            content = bytearray((trained.folder / other).read_bytes())
            if other == name:
                content[len(content) // 2] ^= 1
            (folder / other).write_bytes(content)
        with pytest.raises(DetectorError):
            load(folder)


def test_saved_folder_holds_no_pickles_and_says_what_it_is(
    trained: Trained, background: Jets
) -> None:
    for path in trained.folder.iterdir():
        assert path.suffix in {".json", ".npz", ".keras"}
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as arrays:
                assert all(arrays[name].dtype != object for name in arrays)
    info = json.loads((trained.folder / "detector.json").read_text())
    assert info["detector"] == DETECTORS[trained.name] == class_path(type(trained.detector))
    assert info["representation"] == trained.detector.representation.identity()
    assert info["trained_on_events"] == {"background": len(background)}
    assert {"python", "numpy", "oddjet"} <= set(info["versions"])


def test_too_few_jets_are_refused(trained: Trained, background: Jets) -> None:
    least = type(trained.detector).min_jets
    detector = create(trained.name, **QUICK[trained.name])
    for jets in (background[:0], background[: least - 1]):
        with pytest.raises(TooFewJetsError, match=f"at least {least} jets"):
            detector.fit(jets, seed=1)
    with pytest.raises(TooFewJetsError, match="validation"):
        detector.fit(background, validation=background[:0], seed=1)


def test_an_untrained_one_refuses_to_work(
    trained: Trained, other_background: Jets, tmp_path: Path
) -> None:
    detector = create(trained.name)
    for use in (
        lambda: detector.scores(other_background),
        lambda: detector.scores_by_epoch(other_background),
        lambda: detector.save(tmp_path / "x"),
    ):
        with pytest.raises(DetectorError, match="call fit"):
            use()
    with pytest.raises(DetectorError, match="call save"):
        _ = detector.fingerprint


def test_hyper_parameters_are_kept_verbatim_and_json(trained: Trained) -> None:
    given = trained.detector.hyper_parameters()
    assert given == type(trained.detector).hyper_parameter_defaults() | QUICK[trained.name]
    assert json.loads(json.dumps(given)) == given


def test_every_hyper_parameter_says_what_it_may_be(name: str) -> None:
    cls = detector_class(name)
    constraints, defaults = field_constraints(cls), cls.hyper_parameter_defaults()
    assert set(constraints) == {*defaults, "representation"}
    for hyper_parameter in constraints:
        message = f"^{name}: {hyper_parameter} must be .*Received: "
        with pytest.raises(ConfigError, match=message):
            cls.create({hyper_parameter: object()})


def test_unknown_hyper_parameters_and_representations_are_refused(trained: Trained) -> None:
    with pytest.raises(DetectorError, match=r"unknown hyper-parameter of .* 'hyper_space'"):
        create(trained.name, hyper_space=1)
    with pytest.raises(DetectorError, match="unknown representation"):
        create(trained.name, representation={"class": "Crystal ball"})
    version = {**trained.detector.representation.identity(), "version": 1000}
    with pytest.raises((DetectorError, ConfigError), match="version 1000"):
        create(trained.name, representation=version)
