"""Toy jets that overlap, and a detector that is quick to train and not perfect."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import awkward as ak
import numpy as np
import pytest
from toy_tables import module_on_path

from oddjet.analysis.config import DetectorConfig
from oddjet.analysis.studies.jets import StudyJets
from oddjet.analysis.studies.study import Setting
from oddjet.datasets.jets import Jets, Truth, make_jets

PLUGIN = '''
"""A detector of one number: how far a jet's width is from that of the training jets."""

import json

import numpy as np

from oddjet.ml.detectors.base import Detector
from oddjet.ml.representations.jet_image import JetImage


def widths(jets):
    return np.asarray(jets["width"], dtype=float)


class Width(Detector):
    """Distance of a jet's width from the mean of the training jets, and the width itself."""

    score_names = ("distance", "width")
    min_jets = 10

    def __init__(self, *, scale: float = 1.0, representation=None):
        self.scale = scale
        self.representation = representation or JetImage(pixels=8)

    def _fit(self, jets, *, validation, seed, progress):
        self.mean_ = float(widths(jets).mean())
        self.best_epoch_ = 4
        self.history_ = {"loss": [2.0, 1.0], "val_loss": [3.0, 2.0]}
        if progress is not None:
            progress(1, 1, {"loss": 0.0})

    def _scores(self, jets):
        distance = self.scale * np.abs(widths(jets) - self.mean_)
        return {"distance": distance, "width": widths(jets)}

    def _save(self, folder):
        (folder / "mean.json").write_text(json.dumps(self.mean_))

    def _load(self, folder):
        self.mean_ = json.loads((folder / "mean.json").read_text())


class Ratio(Width):
    """Supervised: how much nearer a jet's width is to the signal's mean than to the background's."""

    score_names = ("ratio",)
    supervised = True

    def _fit(self, jets, *, validation, seed, progress):
        signal = np.asarray(jets["label"]) >= 2
        self.mean_ = [float(widths(jets)[kind].mean()) for kind in (signal, ~signal)]
        self.n_ = [int(kind.sum()) for kind in (signal, ~signal)]

    def _scores(self, jets):
        signal, background = (np.abs(widths(jets) - mean) for mean in self.mean_)
        return {"ratio": background - signal}


class Epochs(Width):
    """The same, better from epoch to epoch, with reconstructions."""

    def _scores_by_epoch(self, jets):
        for epoch in (2, 4):
            noise = np.random.default_rng(1).normal(0, 1 / epoch, len(jets))
            scores = self._scores(jets)
            yield epoch, {name: values + abs(noise) for name, values in scores.items()}

    def reconstruct(self, jets):
        return 0.5 * self.representation(jets)

    def reconstruct_by_epoch(self, jets):
        return {epoch: epoch / 4 * self.representation(jets) for epoch in (2, 4)}

    def reconstruct_masses(self, jets):
        mass = np.asarray(jets["mass"], dtype=float)
        spread = np.random.default_rng(2).normal(0.8, 0.08, len(jets))
        return 0.9 * mass, spread * 0.9 * mass
'''


def toy_jets(n: int, *, width: float, mass: float, seed: int, dataset: str) -> Jets:
    """Jets of falling pt; their width and their mass are normally distributed around values."""
    rng = np.random.default_rng(seed)
    size = (n, 10)
    constituents = ak.from_regular(
        ak.zip(
            {
                "pt": rng.exponential(20, size) + 1,
                "eta": rng.normal(0, 0.1, size),
                "phi": rng.normal(0, 0.1, size),
            }
        )
    )
    label = Truth.BACKGROUND if dataset == "qcd" else Truth.MERGED
    return make_jets(
        constituents,
        pt=rng.exponential(80, n) + 200,
        eta=np.zeros(n),
        phi=np.zeros(n),
        mass=np.abs(rng.normal(mass, 15, n)) + 1,
        width=rng.normal(width, 1, n),
        run=np.ones(n, dtype=int),
        luminosityBlock=np.ones(n, dtype=int),
        event=np.arange(n) + 100_000 * seed,
        weight=np.ones(n),
        label=np.full(n, label),
        dataset=dataset,
    )


@pytest.fixture(scope="session")
def study_jets() -> StudyJets:
    """A background of width 0, and signals of width 1 and 2."""
    return StudyJets(
        toy_jets(1500, width=0, mass=50, seed=1, dataset="qcd"),
        {
            "w": toy_jets(900, width=1, mass=60, seed=2, dataset="w"),
            "top": toy_jets(600, width=2, mass=70, seed=3, dataset="top"),
        },
        "qcd",
    )


@pytest.fixture(scope="session")
def background() -> Jets:
    """Training jets."""
    return toy_jets(1500, width=0, mass=50, seed=1, dataset="qcd")


@pytest.fixture(scope="session")
def other_background() -> Jets:
    """Jets of the same dataset, of other events."""
    return toy_jets(400, width=0, mass=50, seed=4, dataset="qcd")


@pytest.fixture(scope="session")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of a package of detectors, on the path of Python."""
    folder = tmp_path_factory.mktemp("study_plugins")
    with module_on_path(folder, "study_plugins", PLUGIN):
        yield folder


@pytest.fixture(scope="session")
def setting(plugin: Path) -> Callable[..., Setting]:
    """Make a setting of the classes named."""

    def make(*classes: str, **changes: object) -> Setting:
        names = classes or ("Width",)
        detectors = tuple(
            DetectorConfig(name=f"study_plugins:{name}" if name[0].isupper() else name)
            for name in names
        )
        return Setting(detectors, **changes)  # type: ignore[arg-type]

    return make
