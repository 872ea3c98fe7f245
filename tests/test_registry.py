"""Things that other packages add: found, loaded, listed, and refused where names clash."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from oddjet import make_jets, ml
from oddjet.analysis.cli import console
from oddjet.analysis.cli.app import app
from oddjet.analysis.statistics.background.functions import FAMILIES, make_function
from oddjet.datasets.readers import READERS, find_reader
from oddjet.errors import ConfigError, DetectorError
from oddjet.ml import decorrelation
from oddjet.ml.detectors import DETECTORS
from oddjet.ml.representations import representation_from_identity
from oddjet.registry import GROUPS, plug_ins

MODULE = '''
import dataclasses
from dataclasses import dataclass

import numpy as np

from oddjet.analysis.statistics.background.functions import ExpPolynomial
from oddjet.datasets.readers import READERS
from oddjet.ml.decorrelation.ddt import DDT
from oddjet.ml.detectors.observables import ObservableDetector
from oddjet.ml.representations import Representation


class Theirs(ObservableDetector):
    """Their own detector."""


@dataclass(frozen=True)
class Pt(Representation):
    power: float = 1.0

    @property
    def shape(self):
        return (1,)

    def __call__(self, jets):
        return np.asarray(jets["pt"], np.float32)[:, None] ** self.power


class Flat(DDT):
    """Their own decorrelation."""


class Root(ExpPolynomial):
    family = "root"


reader = dataclasses.replace(READERS["pfnano_ak4"], name="theirs", links="TheirLinks")
'''
POINTS = {
    "detectors": "theirs = their_plugin:Theirs",
    "representations": "pt = their_plugin:Pt",
    "decorrelations": "flat = their_plugin:Flat",
    "readers": "theirs = their_plugin:reader",
    "functions": "root = their_plugin:Root",
}

Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Put packages with entry points on the path, as an installation does."""

    def install(package: str, points: dict[str, str]) -> None:
        folder = tmp_path / package
        info = folder / f"{package}-1.2.dist-info"
        info.mkdir(parents=True)
        (folder / "their_plugin.py").write_text(MODULE)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.2\n")
        lines = [f"[oddjet.{group}]\n{line}\n" for group, line in points.items()]
        (info / "entry_points.txt").write_text("\n".join(lines))
        monkeypatch.syspath_prepend(str(folder))

    yield install
    sys.modules.pop("their_plugin", None)


def test_every_kind_of_thing_can_be_added(install: Install) -> None:
    install("theirs", POINTS)
    assert "tau21" in ml.create("theirs").score_names
    jets = make_jets([[{"pt": 9.0, "eta": 0.0, "phi": 0.0}]], dataset="q")
    pt = representation_from_identity({"pt": {"power": 2}})
    np.testing.assert_allclose(pt(jets), [[81.0]], rtol=1e-5)
    assert representation_from_identity(pt.identity()) == pt
    assert pt.identity()["class"] == "their_plugin:Pt"
    assert type(decorrelation.create("flat")).__name__ == "Flat"
    assert make_function("root3", scale=1.0).name == "root3"
    assert READERS["theirs"].links == "TheirLinks"
    assert find_reader(READERS["theirs"].required, jet="AK4").name == "theirs"


def test_they_are_listed_with_their_package(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console.out, "width", 200)  # made with the width of the first test
    install("theirs", POINTS)
    assert plug_ins() == {
        group: {POINTS[group].partition(" ")[0]: "theirs 1.2"} for group in GROUPS
    }
    assert {d.name: d.provider for d in ml.describe_detectors()}["theirs"] == "theirs 1.2"
    assert list(FAMILIES)[-1] == "root"
    result = CliRunner().invoke(app, ["detectors"])
    assert result.exit_code == 0
    assert "theirs (theirs 1.2)" in result.output
    assert "decorrelations" in result.output


@pytest.mark.parametrize(
    ("others", "owner"),
    [({}, "oddjet itself"), ({"first": "kmeans2 = their_plugin:Theirs"}, "first 1.2")],
)
def test_a_name_that_is_taken_is_refused(
    install: Install, others: dict[str, str], owner: str
) -> None:
    for package, point in others.items():
        install(package, {"detectors": point})
    name = "kmeans2" if others else "kmeans"
    install("second", {"detectors": f"{name} = their_plugin:Theirs"})
    with pytest.raises(ConfigError, match=rf"adds '{name}' .* that (second 1\.2|{owner}) has"):
        ml.describe_detectors()


@pytest.mark.parametrize(
    ("point", "words"),
    [("their_plugin:Nothing", "has no 'Nothing'"), ("their_plugin:Pt", "must be a subclass")],
)
def test_what_cannot_be_used_is_refused(install: Install, point: str, words: str) -> None:
    install("theirs", {"detectors": f"theirs = {point}"})
    with pytest.raises(DetectorError, match=words):
        ml.create("theirs")


def test_one_that_cannot_be_used_does_not_hide_the_others(install: Install) -> None:
    install("theirs", {"detectors": "theirs = their_plugin:Nothing"})
    described = {detector.name: detector.summary for detector in ml.describe_detectors()}
    assert "has no 'Nothing'" in described["theirs"]
    assert "kmeans" in described
    assert CliRunner().invoke(app, ["detectors"]).exit_code == 0


def test_the_old_name_of_a_detector_still_works() -> None:
    assert type(ml.create("foils")) is type(ml.create("observables"))
    assert "foils" not in list(DETECTORS)
    assert "foils" in DETECTORS
