"""Saved detectors that were damaged, or changed with hashes that fit: refused, or harmless."""

from __future__ import annotations

import shutil
import signal as signals
import sys
from collections.abc import Callable
from pathlib import Path

import changed_detectors
import numpy as np
import pytest

from oddjet.datasets.jets import Jets
from oddjet.errors import DetectorError, OddjetError
from oddjet.ml import create, detector_names, load
from oddjet.ml.decorrelation import DECORRELATIONS
from oddjet.ml.folds import FoldedDetector

SECONDS = 10
SMALL = {
    "khanal": {"epochs": 1},
    "ene": {"epochs": 1, "filters": 2, "checkpoint_every": 1},
    "kmeans": {"k": 4, "starts": 1, "representation": {"jet_image": {"pixels": 6}}},
    "gmm": {"components": 2, "pca": 3, "covariance": "full", "representation": "jet_features"},
    "observables": {},
    "autoencoder": {"epochs": 2, "checkpoint_every": 1},
    "nae": {"epochs": 1, "pretrain_epochs": 1, "steps": 1, "chains": 8, "buffer": 16},
    "dirichlet": {"epochs": 1},
    "golling": {"stages": [1, 1, 1]},
    "lund_nae": {"epochs": 1, "pretrain_epochs": 1, "steps": 1, "chains": 8, "buffer": 16},
    "inn": {"epochs": 1, "blocks": 2, "units": 8},
    "bdt": {"iterations": 5},
}
QUICK = ("folds", "bdt", "autoencoder")
RAN: set[str] = set()
"""What was run, opened as code or connected to since it was emptied."""

AUDITED = {"os.system", "subprocess.Popen", "os.posix_spawn", "pickle.find_class", "socket.connect"}
sys.addaudithook(lambda event, _: RAN.add(event) if event in AUDITED else None)


@pytest.fixture(scope="module")
def training_jets(background: Jets) -> Jets:
    """Few jets, some of which a supervised detector takes for signal."""
    jets = background[:300]
    jets["label"] = np.where(np.arange(300) % 4 == 0, 3, 0).astype(np.int8)
    return jets


@pytest.fixture(scope="module")
def saved(
    training_jets: Jets, background: Jets, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Path]:
    """Train a detector, once, and give the folder it was saved in; `folds` of three of them."""
    place = tmp_path_factory.mktemp("saved")

    def train(name: str) -> Path:
        folder = place / name
        if folder.exists():
            return folder
        if name in ("folds", "decorrelated"):
            detector = FoldedDetector.fit(background, detector=("gmm", SMALL["gmm"]), k=2, seed=1)
            methods = {"ddt": {}} if name == "folds" else {key: {} for key in DECORRELATIONS}
            detector.decorrelated(background, methods=methods, mass="mass").save(folder)
        else:
            create(name, **SMALL[name]).fit(training_jets, seed=1).save(folder)
        return folder

    return train


def outcome(folder: Path, jets: Jets) -> str:
    """Load a detector and score jets: what it is refused for, or an empty text.

    Anything but an `OddjetError` comes through, and so does `TimeoutError` after ten seconds.
    """

    def stop(*_: object) -> None:
        raise TimeoutError(str(folder))

    before = signals.signal(signals.SIGALRM, stop)
    signals.alarm(SECONDS)
    try:
        is_folded = (folder / "folds.json").exists()
        detector = FoldedDetector.load(folder) if is_folded else load(folder)
        scores = detector.scores(jets)
    except OddjetError as error:
        return str(error)
    finally:
        signals.alarm(0)
        signals.signal(signals.SIGALRM, before)
    for name, values in scores.items():
        assert values.shape == (len(jets),), name
    return ""


def fuzz(folder: Path, jets: Jets, tmp_path: Path, seeds: range) -> int:
    """Change a saved detector once for each seed; gives how many of them were refused."""
    mark = tmp_path / "mark"
    refused = 0
    for seed in seeds:
        target = tmp_path / f"changed{seed}"
        said = changed_detectors.change(folder, target, seed=seed, mark=mark)
        RAN.clear()
        print(seed, said)  # noqa: T201 - shown where the next line fails
        message = outcome(target, jets)
        assert not mark.exists(), f"seed {seed}, {said}: code was run"
        assert not RAN, f"seed {seed}, {said}: {RAN}"
        assert len(message) < 1500, f"seed {seed}, {said}: {message[:2000]}"
        assert not {changed_detectors.MODULE, "antigravity"} & set(sys.modules), (
            f"seed {seed}, {said}"
        )
        refused += bool(message)
        shutil.rmtree(target)
    return refused


@pytest.fixture
def planted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module on the path that leaves a mark when it is imported."""
    changed_detectors.plant(tmp_path, tmp_path / "mark")
    monkeypatch.syspath_prepend(str(tmp_path))


@pytest.mark.usefixtures("planted")
@pytest.mark.parametrize("name", QUICK)
def test_changed_detectors_are_refused_or_harmless(
    name: str, saved: Callable[[str], Path], other_background: Jets, tmp_path: Path
) -> None:
    assert outcome(saved(name), other_background[:20]) == ""
    assert fuzz(saved(name), other_background[:20], tmp_path, range(12)) > 6


@pytest.mark.long
@pytest.mark.usefixtures("planted")
@pytest.mark.parametrize("name", [*detector_names(), "decorrelated"])
def test_many_changed_detectors_are_refused_or_harmless(
    name: str, saved: Callable[[str], Path], other_background: Jets, tmp_path: Path
) -> None:
    assert outcome(saved(name), other_background[:20]) == ""
    assert fuzz(saved(name), other_background[:20], tmp_path, range(100, 140)) > 20


@pytest.mark.parametrize("name", QUICK)
def test_each_flipped_bit_is_noticed(
    name: str, saved: Callable[[str], Path], tmp_path: Path
) -> None:
    """Two hundred bits in any of the files."""
    shutil.copytree(saved(name), tmp_path / "x")
    files = sorted(path for path in (tmp_path / "x").rglob("*") if path.is_file())
    load_it = FoldedDetector.load if name == "folds" else load
    rng = np.random.default_rng(1)
    for path in rng.choice(np.array(files, dtype=object), 200):
        content = path.read_bytes()
        damaged = bytearray(content)
        place = int(rng.integers(8 * len(content)))
        damaged[place // 8] ^= 1 << place % 8
        path.write_bytes(damaged)
        with pytest.raises(DetectorError):
            load_it(tmp_path / "x")
        path.write_bytes(content)
    load_it(tmp_path / "x")
