from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from oddjet.analysis.cli.app import app
from oddjet.analysis.studies.reproduce import reproduce
from oddjet.analysis.studies.reproduce.documents import DOCUMENTS
from oddjet.analysis.studies.reproduce.reproduction import _chapter
from oddjet.analysis.studies.reproduce.run import run_trials
from oddjet.analysis.studies.reproduce.settings import make_trial
from oddjet.analysis.studies.reproduce.trial import Trial
from oddjet.datasets.files.fileset import load_fileset
from oddjet.datasets.skims.skim import Skim
from oddjet.errors import ConfigError, ProcessingError
from oddjet.processors.engine.progress import SilentReporter


@pytest.fixture
def ready(monkeypatch: pytest.MonkeyPatch, toy_skims: Callable[[str], Skim]) -> None:
    """Toy jets in the place of simulated ones."""
    monkeypatch.setattr(
        "oddjet.analysis.studies.reproduce.reproduction.ready_window",
        lambda name, *_, **__: toy_skims(name),
    )


@pytest.fixture
def skims_beside(toy_skims: Callable[[str], Skim], tmp_path: Path) -> Path:
    """An output folder whose skims are the toy ones."""
    toy_skims("w")
    (tmp_path / "skims").symlink_to(toy_skims("w").folder.parent)
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("ene", "| ene | mse | top | QCD | 1/ε_b(0.1) 35 |"),
        pytest.param("khanal", "| khanal | mse | W | QCD | AUC 0.87 |", marks=pytest.mark.long),
    ],
)
def test_a_document_becomes_a_table_a_report_and_pictures(
    ready: None, skims_beside: Path, monkeypatch: pytest.MonkeyPatch, name: str, line: str
) -> None:
    arguments = ["reproduce", name, "--scale", "tiny", "-j", "1"]
    result = CliRunner().invoke(app, [*arguments, "-o", str(skims_beside)])
    assert result.exit_code == 0, result.output
    folder = skims_beside / "tiny"
    numbers = json.loads((folder / "reproduce.json").read_text())
    rows = numbers["sections"][name]["rows"]
    labels = {row["detector"] for row in rows}
    assert labels == {trial.label for trial in DOCUMENTS[name].trials("tiny")}
    for row in rows:
        area = row["measured"]["auc"]
        assert area["low"] <= area["value"] <= area["high"]
        assert row["measured"]["n_signal"] > 50
        assert row["train_seconds"] > 0
    assert {trend["verdict"] for trend in numbers["sections"][name]["trends"]} <= {
        "holds",
        "does not hold",
        "undecided",
    }
    assert line in (folder / "reproduce.md").read_text()
    page = (folder / "reproduce.html").read_text()
    assert page.count("<img") == len(list((folder / "figures").glob("*.png"))) >= 4
    # Again: nothing is trained.
    monkeypatch.setattr("oddjet.analysis.trials.open_executor", None)
    again = CliRunner().invoke(app, [*arguments, "-o", str(skims_beside)])
    assert again.exit_code == 0, again.output


def test_unknown_names_are_refused(tmp_path: Path) -> None:
    for arguments, message in (
        (["newton"], "unknown document 'newton'"),
        (["--scale", "huge"], "unknown scale 'huge'"),
    ):
        result = CliRunner().invoke(app, ["reproduce", *arguments, "-o", str(tmp_path)])
        assert result.exit_code == 1
        assert message in result.output
    with pytest.raises(ConfigError, match="unknown scale"):
        reproduce(scale="huge", output=tmp_path, samples=tmp_path)  # type: ignore[arg-type]


def test_a_failure_does_not_stop_the_other_trials(
    tmp_path: Path, toy_skims: Callable[[str], Skim]
) -> None:
    fine = make_trial("observables", "top", "tiny")
    broken = Trial("top", "kmeans", "too many", hyper_parameters={"k": 10_000}, cost=99.0)
    skims = {"top": toy_skims("top").folder}
    with pytest.raises(ProcessingError, match=r"1 of 2 trials failed(.|\n)*'too many'"):
        run_trials([broken, fine], skims, tmp_path, workers=1, reporter=SilentReporter())
    (result,) = run_trials([fine], skims, tmp_path, workers=1, reporter=SilentReporter())
    assert result.score_names == ("tau21", "tau32", "mass", "n_pf")


@pytest.mark.slow
def test_processes_give_what_one_gives(tmp_path: Path, toy_skims: Callable[[str], Skim]) -> None:
    trials = [make_trial(label, "top", "tiny") for label in ("observables", "gmm shapes")]
    skims = {"top": toy_skims("top").folder}
    by_workers = [
        run_trials(trials, skims, tmp_path / str(n), workers=n, reporter=SilentReporter())
        for n in (1, 2)
    ]
    for one, two in zip(*by_workers, strict=True):
        assert one.folder.name == two.folder.name
        for place, table in one.tables.items():
            for name, values in table.items():
                np.testing.assert_allclose(values, two.tables[place][name], rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.long) for name in ("ene", "golling", "cms", "buss")],
)
def test_every_document_draws_its_pictures(
    name: str, tmp_path: Path, toy_skims: Callable[[str], Skim]
) -> None:
    document = DOCUMENTS[name]
    trials = document.trials("tiny")
    skims = {trial.window: toy_skims(trial.window).folder for trial in trials}
    results = run_trials(trials, skims, tmp_path, workers=1, reporter=SilentReporter())
    chapter = _chapter(
        document, results, toy_skims("w").folder.parent, load_fileset("catalog:reproduce")
    )
    assert len(chapter.drawings) >= 4
    assert len({drawing.name for drawing in chapter.drawings}) == len(chapter.drawings)
    assert chapter.trends
    assert {row.detector for row in chapter.rows} == {trial.label for trial in trials}
