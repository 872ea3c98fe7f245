"""The base class checks what detectors give; broken ones come from the plugin of conftest."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from oddjet.datasets.jets import Jets
from oddjet.errors import DetectorError, NonFiniteError, TrainedOnError
from oddjet.ml import create
from oddjet.ml.detectors.base import Detector
from oddjet.ml.representations.jet_image import JetImage


@pytest.mark.parametrize(
    ("broken", "error", "message"),
    [
        ("nan", NonFiniteError, "'distance' is NaN or infinite for 1 of 400 jets, first for jet 1"),
        ("name", DetectorError, r"declares the scores \('distance',\) and gave \('dist',\)"),
        ("shape", DetectorError, r"shape \(400,\). Received: \(399,\)"),
    ],
)
def test_broken_scores_are_refused(
    plugin: str, background: Jets, other_background: Jets, broken, error, message
) -> None:
    detector = create(plugin, broken=broken).fit(background, seed=1)
    with pytest.raises(error, match=message):
        detector.scores(other_background)


def test_score_is_what_the_formula_says(
    plugin: str, background: Jets, other_background: Jets
) -> None:
    detector = create(plugin, power=1.0).fit(background, seed=1)
    image = JetImage(pixels=8)
    expected = np.abs(image(other_background) - image(background).mean(axis=0)).sum(axis=(1, 2, 3))
    np.testing.assert_allclose(detector.scores(other_background)["distance"], expected, atol=1e-3)


def test_representation_is_saved_with_it(plugin: str, background: Jets, tmp_path: Path) -> None:
    image = JetImage(pixels=16, half_width=0.4)
    create(plugin, representation=image).fit(background, seed=1).save(tmp_path / "d")
    assert Detector.load(tmp_path / "d").representation == image


def test_fitting_again_forgets(plugin: str, background: Jets, other_background: Jets) -> None:
    detector = create(plugin).fit(background, seed=1).fit(other_background, seed=2)
    assert detector.seed_ == 2
    detector.scores(background)
    with pytest.raises(TrainedOnError):
        detector.scores(other_background)


def test_fingerprint_changes_with_the_training(
    plugin: str, background: Jets, tmp_path: Path
) -> None:
    fingerprints = [
        create(plugin).fit(background, seed=seed).save(tmp_path / f"{i}")
        for i, seed in enumerate([1, 1, 2])
    ]
    assert fingerprints[0] == fingerprints[1] != fingerprints[2]
