"""Things that other packages add: found, loaded, listed, and refused where names clash."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml
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

ROOT = Path(__file__).resolve().parents[1]
MODULE = '''
import dataclasses
from dataclasses import dataclass

import numpy as np

from oddjet.analysis.statistics.background.functions import ExpPolynomial, FallingFunction
from oddjet.datasets.readers import READERS
from oddjet.ml.decorrelation.ddt import DDT
from oddjet.ml.detectors.base import Detector
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


class Half(FallingFunction):
    """Has none of the methods."""


class HalfDetector(Detector):
    """Has none of the methods."""

    score_names = ("s",)


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
        group: [(POINTS[group].partition(" ")[0], "theirs 1.2")] for group in GROUPS
    }
    assert {d.name: d.provider for d in ml.describe_detectors()}["theirs"] == "theirs 1.2"
    assert list(FAMILIES)[-1] == "root"
    result = CliRunner().invoke(app, ["detectors"])
    assert result.exit_code == 0
    assert "theirs (theirs 1.2)" in result.output
    assert "decorrelations" in result.output


def test_a_name_of_ours_stays_ours_and_that_is_told(
    install: Install, caplog: pytest.LogCaptureFixture
) -> None:
    install("second", {"detectors": "kmeans = their_plugin:Theirs"})
    install("third", {"functions": "dijet = their_plugin:Root"})
    assert type(ml.create("kmeans")).__module__ == "oddjet.ml.detectors.kmeans"
    assert make_function("dijet3", scale=1.0).family == "dijet"
    assert re.search(
        r"detectors: 'kmeans' is added by second 1\.2 .*oddjet's own is used", caplog.text
    )
    assert re.search(
        r"functions: 'dijet' is added by third 1\.2 .*oddjet's own is used", caplog.text
    )
    assert len(ml.describe_detectors()) == len(DETECTORS.own)
    said = CliRunner().invoke(app, ["check", str(ROOT / "analysis" / "quickstart.yaml")])
    assert said.exit_code == 0, said.output
    assert "added by second 1.2" in CliRunner().invoke(app, ["detectors"]).output


def test_a_name_that_two_packages_add_means_neither(install: Install) -> None:
    install("first", {"detectors": "theirs = their_plugin:Theirs"})
    install("second", {"detectors": "theirs = their_plugin:Other"})
    assert type(ml.create("kmeans"))
    assert "theirs" not in list(DETECTORS)
    words = r"added by (first|second) 1\.2 .* and (first|second) 1\.2 .*neither is used"
    with pytest.raises(ConfigError, match=words):
        ml.create("theirs")


@pytest.mark.parametrize(
    ("group", "point", "config", "words"),
    [
        (
            "functions",
            "Theirs",
            {"hunt": {"function": "root"}},
            "must be a subclass of .*FallingFunction",
        ),
        (
            "functions",
            "Theirs",
            {"hunt": {"function": "root3"}},
            "must be a subclass of .*FallingFunction",
        ),
        (
            "functions",
            "Half",
            {"hunt": {"function": "root"}},
            "lacks .*which every FallingFunction",
        ),
        (
            "detectors",
            "HalfDetector",
            {"detectors": [{"name": "root"}]},
            "lacks .*which every Detector",
        ),
        ("decorrelations", "Pt", {"decorrelation": {"methods": ["root"]}}, "must be a subclass"),
        ("readers", "Theirs", {}, ""),
    ],
)
def test_the_check_finds_what_is_of_a_wrong_class(
    install: Install, tmp_path: Path, group: str, point: str, config: dict[str, object], words: str
) -> None:
    install("theirs", {group: f"root = their_plugin:{point}"})
    content = yaml.safe_load((ROOT / "analysis" / "quickstart.yaml").read_text()) | config
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(content))
    said = CliRunner().invoke(app, ["check", str(path)])
    assert said.exit_code == (1 if words else 0), said.output
    assert re.search(words, said.output)


def test_a_reader_that_cannot_be_used_is_left_out_and_told(
    install: Install, caplog: pytest.LogCaptureFixture
) -> None:
    install("theirs", {"readers": "root = their_plugin:Theirs"})
    assert find_reader(READERS["pfnano_ak4"].required, jet="AK4").name == "pfnano_ak4"
    assert "root is left out" in caplog.text


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
