"""Jets to train and to score, and a detector of another package."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from toy_tables import module_on_path

from oddjet.datasets.jets import Jets

MakeToyJets = Callable[..., Jets]


@pytest.fixture(scope="session")
def background(toy_jets: MakeToyJets) -> Jets:
    """Training jets: one prong."""
    return toy_jets(1500, prongs=1, seed=1, dataset="background")


@pytest.fixture(scope="session")
def other_background(toy_jets: MakeToyJets) -> Jets:
    """One-prong jets of the same dataset, of other events."""
    return toy_jets(400, prongs=1, seed=2, dataset="background")


@pytest.fixture(scope="session")
def signal(toy_jets: MakeToyJets) -> Jets:
    """Two-prong jets."""
    return toy_jets(400, prongs=2, seed=3, dataset="signal")


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
    with module_on_path(folder, "their_detectors", PLUGIN):
        yield "their_detectors:MeanImage"
