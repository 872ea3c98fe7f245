from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from toy_tables import module_on_path, write_table
from typer.testing import CliRunner, Result

from oddjet.analysis.cli.app import app
from oddjet.datasets.jets import Truth, make_jets

PLUGIN = '''
import json

import numpy as np

from oddjet.ml.detectors.base import Detector
from oddjet.ml.representations.jet_image import JetImage


class Mass(Detector):
    """Distance of a jet's mass from the mean of the training jets."""

    score_names = ("distance",)
    min_jets = 10

    def __init__(self, *, scale: float = 1.0, representation=None):
        self.scale = scale
        self.representation = representation or JetImage(pixels=8)

    def _fit(self, jets, *, validation, seed, progress):
        self.mean_ = float(np.mean(np.asarray(jets["mass"])))

    def _scores(self, jets):
        return {"distance": self.scale * np.abs(np.asarray(jets["mass"]) - self.mean_)}

    def _save(self, folder):
        (folder / "mean.json").write_text(json.dumps(self.mean_))

    def _load(self, folder):
        self.mean_ = json.loads((folder / "mean.json").read_text())


class Heavy(Mass):
    """The mass to some power."""

    def __init__(self, *, power: float = 1.0, representation=None):
        super().__init__(representation=representation)
        self.power = power

    def _scores(self, jets):
        return {"distance": np.asarray(jets["mass"]) ** self.power}
'''


def oddjet(*words: str | Path) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture(scope="module")
def detector(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("cli_plugins")
    with module_on_path(folder, "cli_plugins", PLUGIN):
        yield "cli_plugins:Mass"


@pytest.fixture(scope="module")
def skim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A skim of a background and a signal."""
    folder = tmp_path_factory.mktemp("study_skim")
    jets, n = {}, 300
    for number, (name, label) in enumerate((("q", Truth.BACKGROUND), ("w", Truth.MERGED))):
        rng = np.random.default_rng(number)
        jets[name] = make_jets(
            [[{"pt": 300.0, "eta": 0.0, "phi": 0.0}]] * n,
            mass=rng.normal(60 + 20 * number, 15, n).clip(1),
            run=np.ones(n, int),
            luminosityBlock=np.ones(n, int),
            event=np.arange(n) + 10_000 * number,
            weight=np.ones(n),
            label=np.full(n, label),
            dataset=name,
        )
    return write_table(folder, jets, {"q": "background", "w": "signal"}).folder


def study(name: str, skim: Path, output: Path, detector: str, *words: str) -> Result:
    base = (name, skim, "-o", output, "--background", "q", "--signal", "w")
    return oddjet("study", *base, "--detector", detector, *words)


def test_the_list_names_every_study() -> None:
    result = oddjet("study", "--list")
    assert result.exit_code == 0
    for word in ("inverse", "contamination", "epochs", "images", "wrong_signal", "repeats=1"):
        assert word in result.output


def test_a_study_prints_its_table_and_writes_its_files(
    skim: Path, detector: str, tmp_path: Path
) -> None:
    result = study("contamination", skim, tmp_path, detector, "--option", "ratios=[1, 0]")
    assert result.exit_code == 0, result.output
    assert "w/Q" in result.output
    content = json.loads((tmp_path / "study.json").read_text())
    assert content["study"] == "contamination"
    assert [training["ratio"] for training in content["trainings"]] == [1.0, 0.0]
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "contamination_roc_w_Mass_distance.png",
        "contamination_w.png",
        "oddjet.log",
        "study.json",
    ]
    assert (tmp_path / "contamination_w.png").read_bytes().startswith(b"\x89PNG")


def test_settings_reach_detector_and_study(skim: Path, detector: str, tmp_path: Path) -> None:
    words = ("--set", "scale=3", "--seed", "7", "--folds", "2", "--max-jets", "200")
    result = study("inverse", skim, tmp_path, detector, *words, "--option", "n_training=50")
    assert result.exit_code == 0, result.output
    content = json.loads((tmp_path / "study.json").read_text())
    assert content["detectors"][0]["hyper_parameters"] == {"scale": 3}
    assert (content["seed"], content["n_training"]) == (7, 50)
    assert content["n_test"]["q"] == pytest.approx(100, abs=30)


def test_two_detectors_are_studied_beside_each_other(
    skim: Path, detector: str, tmp_path: Path
) -> None:
    other = detector.replace("Mass", "Heavy")
    words = ("--detector", other, "--set", "scale=2", "--set", "power=0.5")
    result = study("correlation", skim, tmp_path, detector, *words)
    assert result.exit_code == 0, result.output
    content = json.loads((tmp_path / "study.json").read_text())
    used = {entry["name"]: entry["hyper_parameters"] for entry in content["detectors"]}
    assert used == {detector: {"scale": 2}, other: {"power": 0.5}}


@pytest.mark.parametrize(
    ("name", "words", "message"),
    [
        ("invers", (), "Did you mean 'inverse'"),
        (
            "inverse",
            ("--option", "ratios=[1]"),
            "unknown option of study inverse 'ratios'. Known: n_training.",
        ),
        ("epochs", ("--option", "x=1"), "unknown option of study epochs 'x'. Known: none."),
        ("inverse", ("--set", "scal=1"), "Did you mean 'scale'"),
        ("mass", (), "reconstruct_masses"),
        ("wrong_signal", (), "two signals"),
        ("inverse", ("--signal", "z"), "no dataset 'z'"),
        ("inverse", ("--signal", "w"), "twice"),
        ("inverse", ("--set", "scale"), "NAME=VALUE"),
        ("inverse", ("--max-jets", "20"), "give more jets"),
        ("inverse", ("--detector", "kmean"), "kmeans"),
    ],
)
def test_errors_give_one_message(
    skim: Path, detector: str, tmp_path: Path, name: str, words: tuple[str, ...], message: str
) -> None:
    result = study(name, skim, tmp_path / "out", detector, *words)
    assert result.exit_code == 1
    assert message in result.output
    assert {path.name for path in (tmp_path / "out").rglob("*")} <= {"oddjet.log"}
