from __future__ import annotations

from pathlib import Path

import pytest

from oddjet.datasets.jets import Jets
from oddjet.errors import DetectorError, UnknownDetectorError
from oddjet.ml import create, describe_detectors, detector_names, load
from oddjet.ml.detectors import DETECTORS
from oddjet.ml.detectors.khanal import KhanalDetector
from oddjet.ml.representations.jet_image import JetImage


def test_names_are_the_registry_s() -> None:
    assert detector_names() == tuple(DETECTORS)
    assert "khanal" in detector_names()


def test_create_takes_names_paths_and_identities() -> None:
    assert isinstance(create("khanal", epochs=3), KhanalDetector)
    by_path = create(
        "oddjet.ml.detectors.khanal:KhanalDetector", representation={"class": "JetImage"}
    )
    assert by_path.representation == JetImage()


def test_somebody_else_s_detector(plugin: str, background: Jets, tmp_path: Path) -> None:
    detector = create(plugin, power=1.0).fit(background, seed=1)
    detector.save(tmp_path / "theirs")
    assert load(tmp_path / "theirs").hyper_parameters() == {"power": 1.0, "broken": ""}
    with pytest.raises(DetectorError, match="subclass"):
        KhanalDetector.load(tmp_path / "theirs")


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("khanaal", UnknownDetectorError, "Did you mean 'khanal'"),
        ("quantum", UnknownDetectorError, "Known: .*khanal"),
        ("json:JSONDecoder", DetectorError, "subclass"),
        ("no_such_package_here:A", DetectorError, "cannot import"),
    ],
)
def test_names_that_are_none(name: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        create(name)


def test_description_of_every_detector() -> None:
    described = {description.name: description for description in describe_detectors()}
    assert set(described) == set(DETECTORS)
    for description in described.values():
        assert description.summary.endswith(".")
        assert len(description.score_names) >= 1
    assert described["khanal"].hyper_parameters["epochs"] == 90
    assert "representation" not in described["khanal"].hyper_parameters


def test_folder_without_a_detector(tmp_path: Path) -> None:
    with pytest.raises(DetectorError, match=r"holds no detector\.json"):
        load(tmp_path)
