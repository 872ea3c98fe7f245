from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from oddjet.errors import DetectorError
from oddjet.ml import plugins
from oddjet.ml.detectors import Detector
from oddjet.ml.detectors.gmm import GaussianMixtureDetector
from oddjet.ml.detectors.kmeans import KMeansDetector
from oddjet.ml.plugins import allow_classes, class_path, import_class, named_in, saved_class


def test_round_trip() -> None:
    assert class_path(ValueError) == "builtins:ValueError"
    assert import_class("builtins:ValueError", Exception) is ValueError


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("builtins", "package.module:Class"),
        ("builtins:", "package.module:Class"),
        ("builtins:a.b", "package.module:Class"),
        ("no_such_module_at_all:A", "cannot import 'no_such_module_at_all'"),
        ("builtins:ValueErrr", "Did you mean 'ValueError'"),
        ("builtins:int", "subclass"),
        ("builtins:len", "subclass"),
    ],
)
def test_refusals(path: str, message: str) -> None:
    with pytest.raises(DetectorError, match=message):
        import_class(path, Exception)


@pytest.fixture
def beside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A module on the path that leaves a mark when it is imported, and holds a detector."""
    mark = tmp_path / "mark"
    (tmp_path / "lies_about.py").write_text(
        f"open({str(mark)!r}, 'w').close()\n"
        "from oddjet.ml.detectors.kmeans import KMeansDetector\n"
        "class Theirs(KMeansDetector):\n    pass\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(plugins, "_ALLOWED", {})
    yield "lies_about:Theirs"
    sys.modules.pop("lies_about", None)


def test_what_a_file_names_is_imported_only_if_the_user_named_it(
    beside: str, tmp_path: Path
) -> None:
    for name in (
        beside,
        "lies_about:Nothing",
        "antigravity:x",
        "os:system",
        "khanal ",
        "",
        "a:b:c",
    ):
        with pytest.raises(DetectorError, match=r"m\.json is of the class .* not imported"):
            saved_class("detectors", name, Detector, where="m.json")
    assert not (tmp_path / "mark").exists()
    assert "antigravity" not in sys.modules
    allow_classes([beside])
    assert saved_class("detectors", beside, Detector, where="m.json").__name__ == "Theirs"
    assert (tmp_path / "mark").exists()


def test_what_is_imported_already_needs_no_import(beside: str) -> None:
    cls = import_class(beside, Detector)
    assert saved_class("detectors", beside, Detector, where="m.json") is cls
    assert saved_class("detectors", beside, KMeansDetector, where="m.json") is cls
    with pytest.raises(
        DetectorError, match="is of a Theirs, which is no subclass of GaussianMixtureDetector"
    ):
        saved_class("detectors", beside, GaussianMixtureDetector, where="m.json")


@pytest.mark.parametrize("path", [None, 3, ["khanal"], {"a": "b"}])
def test_a_class_is_named_by_text(path: object) -> None:
    with pytest.raises(DetectorError, match="expected the path of a class"):
        saved_class("detectors", path, Detector, where="m.json")


def test_our_own_are_known_by_name_and_path() -> None:
    for name in ("kmeans", "oddjet.ml.detectors.kmeans:KMeansDetector"):
        assert saved_class("detectors", name, Detector, where="m.json") is KMeansDetector


def test_classes_are_found_in_a_configuration() -> None:
    config = {
        "name": "theirs.flow:Flow",
        "hyper_parameters": {"representation": {"theirs:Pt": {"power": 2}}, "k": [1, "ab: c"]},
        "output": "/a:b/c",
    }
    assert list(named_in(config)) == ["theirs.flow:Flow", "theirs:Pt"]
