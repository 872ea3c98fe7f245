"""Synthetic jets: narrow ones with one prong, and wide ones with two."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator

import awkward as ak
import numpy as np
import pytest

from oddjet.datasets.jets import Jets, Truth, make_jets

MakeToyJets = Callable[..., Jets]


def make_toy_jets(
    n: int, *, prongs: int, seed: int, dataset: str | None = None, events: bool = True
) -> Jets:
    """Jets of falling pt whose particles cluster around one axis, or around two 0.7 apart."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(15, 40, n)
    jet = np.repeat(np.arange(n), counts)
    size = len(jet)
    axis_eta, axis_phi = rng.uniform(-1.9, 1.9, n), rng.uniform(-np.pi, np.pi, n)
    angle = rng.uniform(0, 2 * np.pi, n)
    opening = 0.7 if prongs == 2 else 0.0
    side = rng.choice([-0.5, 0.5], size) * opening
    eta = axis_eta[jet] + side * np.sin(angle[jet]) + rng.normal(0, 0.06, size)
    phi = axis_phi[jet] + side * np.cos(angle[jet]) + rng.normal(0, 0.06, size)
    pt = rng.exponential(1.0, size)
    pt *= ((200 + rng.exponential(80, n)) / np.bincount(jet, weights=pt))[jet]
    phi = np.arctan2(np.sin(phi), np.cos(phi))
    constituents = ak.unflatten(ak.zip({"pt": pt, "eta": eta, "phi": phi}), counts)
    columns: dict[str, object] = {
        "label": np.full(n, Truth.MERGED if prongs == 2 else Truth.BACKGROUND),
        "weight": rng.uniform(0.5, 1.5, n),
    }
    if events:
        columns["run"] = np.ones(n, dtype=np.uint32)
        columns["luminosityBlock"] = np.arange(n) // 100 + 1
        columns["event"] = np.arange(n) + 1_000_000 * seed
    if dataset is not None:
        columns["dataset"] = ak.str.to_categorical(ak.Array([dataset] * n))
    return make_jets(constituents, **columns)


@pytest.fixture(scope="session")
def toy_jets() -> MakeToyJets:
    return make_toy_jets


@pytest.fixture(scope="session")
def background() -> Jets:
    """Training jets: one prong."""
    return make_toy_jets(1500, prongs=1, seed=1, dataset="background")


@pytest.fixture(scope="session")
def other_background() -> Jets:
    """One-prong jets of the same dataset, of other events."""
    return make_toy_jets(400, prongs=1, seed=2, dataset="background")


@pytest.fixture(scope="session")
def signal() -> Jets:
    """Two-prong jets."""
    return make_toy_jets(400, prongs=2, seed=3, dataset="signal")


PLUGIN = '''
from pathlib import Path

import numpy as np

from oddjet.ml.detectors.base import Detector
from oddjet.ml.representations.jet_image import JetImage


class MeanImage(Detector):
    """Distance to the mean training image."""

    score_names = ("distance",)
    min_jets = 10

    def __init__(self, *, power: float = 2.0, broken: str = "", representation=None):
        self.power = power
        self.broken = broken
        self.representation = representation or JetImage(pixels=8)

    def _fit(self, jets, *, validation, seed, progress):
        noise = np.random.default_rng(seed).normal(0, 1e-6, self.representation.shape)
        self.mean_ = self.representation(jets).mean(axis=0) + noise
        if progress is not None:
            progress(1, 1, {"loss": 0.0})

    def _scores(self, jets):
        difference = np.abs(self.representation(jets) - self.mean_) ** self.power
        distance = difference.sum(axis=(1, 2, 3))
        if self.broken == "nan":
            distance[1] = np.nan
        if self.broken == "name":
            return {"dist": distance}
        if self.broken == "shape":
            return {"distance": distance[:-1]}
        return {"distance": distance}

    def _scores_by_epoch(self, jets):
        yield 10, {"distance": np.arange(len(jets))}
        if self.mean_[0, 0, 0] > 0:
            yield 20, {"distance": np.arange(len(jets))}

    def _save(self, folder: Path):
        np.savez(folder / "mean.npz", mean=self.mean_)

    def _load(self, folder: Path):
        with np.load(folder / "mean.npz") as data:
            self.mean_ = data["mean"]
'''


@pytest.fixture(scope="session")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Path of a detector in somebody else's package; quick to train, and can be broken."""
    folder = tmp_path_factory.mktemp("their_package")
    (folder / "their_detectors.py").write_text(PLUGIN)
    sys.path.insert(0, str(folder))
    yield "their_detectors:MeanImage"
    sys.path.remove(str(folder))
