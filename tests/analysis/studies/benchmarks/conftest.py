"""A detector that is trained in no time."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from toy_tables import module_on_path

PLUGIN = '''
import numpy as np

from oddjet.ml.detectors.base import Detector
from oddjet.ml.representations.jet_image import JetImage


class MeanImage(Detector):
    """Distance to the mean training image."""

    score_names = ("distance",)
    min_jets = 10

    def __init__(self, *, representation=None):
        self.representation = representation or JetImage(pixels=8)

    def _fit(self, jets, *, validation, seed, progress):
        self.mean_ = self.representation(jets).mean(axis=0)

    def _scores(self, jets):
        return {"distance": np.abs(self.representation(jets) - self.mean_).sum(axis=(1, 2, 3))}

    def _save(self, folder):
        np.save(folder / "mean.npy", self.mean_)

    def _load(self, folder):
        self.mean_ = np.load(folder / "mean.npy")
'''


@pytest.fixture(scope="session")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Path of a detector in another package."""
    folder = tmp_path_factory.mktemp("timed_package")
    with module_on_path(folder, "timed_detectors", PLUGIN):
        yield "timed_detectors:MeanImage"
