from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pytest

from oddjet.datasets.jets import Jets
from oddjet.errors import DetectorError
from oddjet.ml.representations import (
    REPRESENTATIONS,
    Representation,
    representation_class,
    representation_from_identity,
)
from oddjet.ml.representations.jet_image import JetImage


@dataclasses.dataclass(frozen=True)
class CountAbove(Representation):
    version: ClassVar[int] = 3
    threshold: float = 1.0

    @property
    def shape(self) -> tuple[int, ...]:
        return (1,)

    def __call__(self, jets: Jets) -> npt.NDArray[np.float32]:
        return np.zeros((len(jets), 1), dtype=np.float32)


def test_identity_says_class_version_and_fields() -> None:
    assert JetImage(pixels=40).identity() == {
        "class": "JetImage",
        "version": 1,
        "fields": {"pixels": 40, "half_width": 0.8},
    }


@pytest.mark.parametrize("image", [JetImage(), JetImage(pixels=40, half_width=0.4)])
def test_identity_round_trip(image: JetImage) -> None:
    assert representation_from_identity(image.identity()) == image


def test_missing_version_and_fields_mean_the_present_defaults() -> None:
    assert representation_from_identity({"class": "JetImage"}) == JetImage()


def test_unregistered_class_is_named_by_its_path() -> None:
    identity = CountAbove(threshold=2.0).identity()
    assert identity["class"].endswith(":CountAbove")
    assert identity["version"] == 3


@pytest.mark.parametrize(
    ("identity", "message"),
    [
        ({"class": "JetImage", "version": 2, "fields": {}}, "version 2.*version 1"),
        ({"class": "JetImage", "version": 0, "fields": {}}, "version 0"),
        ({"class": "JetImagee", "version": 1, "fields": {}}, "Did you mean 'JetImage'"),
        ({"class": "JetImage", "version": 1, "fields": {"pixel": 3}}, "pixel"),
        ({"class": "json:JSONDecoder", "version": 1, "fields": {}}, "subclass"),
        ({"class": "no_such_package:A"}, "cannot import"),
        ({"class": "oddjet.ml.representations.jet_image:JetImagge"}, "Did you mean 'JetImage'"),
        ({"name": "JetImage"}, "keys"),
        ({"class": "JetImage", "pixels": 3}, "keys"),
    ],
)
def test_refusals(identity: dict[str, Any], message: str) -> None:
    with pytest.raises(DetectorError, match=message):
        representation_from_identity(identity)


@pytest.mark.parametrize("name", REPRESENTATIONS)
def test_every_registered_name_is_its_class(name: str) -> None:
    representation = representation_from_identity(name)
    class_name = REPRESENTATIONS[name].rpartition(":")[2]
    assert type(representation) is representation_class(class_name)
    assert representation.identity()["class"] == class_name
    assert representation_from_identity({"class": name}) == representation
    assert representation_from_identity({name: None}) == representation


def test_a_name_may_come_with_fields() -> None:
    assert representation_from_identity({"jet_image": {"pixels": 20}}) == JetImage(pixels=20)
    with pytest.raises(DetectorError, match="Did you mean 'jet_image'"):
        representation_from_identity({"jet_imag": {"pixels": 20}})
    with pytest.raises(DetectorError, match="has the fields"):
        representation_from_identity({"jet_image": {"pixel": 20}})
