from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from oddjet.analysis.cli.app import app
from oddjet.analysis.cli.options import Running, assignments, chosen, spread_options
from oddjet.analysis.config import make_config
from oddjet.errors import ConfigError

ROOT = Path(__file__).resolve().parents[3]


def test_values_are_read_as_yaml() -> None:
    values = assignments(["a.b=1e3", "c=[1, 2]", "d=null", "e=", "f=x=y"])
    assert values == {"a.b": 1000.0, "c": [1, 2], "d": None, "e": None, "f": "x=y"}


@pytest.mark.parametrize(("text", "words"), [("a", "NAME=VALUE"), ("=1", "NAME"), ("a=[1", "YAML")])
def test_what_is_no_assignment_is_refused(text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        assignments([text])


def test_flags_win_over_settings() -> None:
    flags = {"unblind": False, "pseudo_data": (0.5, 7), "chunk_size": None}
    settings = chosen(["unblind=true", "pseudo_data.seed=1", "hunt.seed=3"], flags)
    drawn = {"lumi_ifb": 0.5, "seed": 7}
    assert settings == {
        "unblind": True,
        "pseudo_data.seed": 1,
        "hunt.seed": 3,
        "pseudo_data": drawn,
    }


@dataclasses.dataclass(frozen=True)
class Group:
    size: Annotated[int, typer.Option("-s", "--size")]
    name: str = "x"


def test_fields_of_a_group_are_options() -> None:
    received: list[object] = []
    command = typer.Typer()

    @command.command()
    @spread_options
    def show(source: str, group: Group, flag: bool = False) -> None:
        received.append((source, group, flag))

    assert CliRunner().invoke(command, ["file", "-s", "3", "--flag"]).exit_code == 0
    assert received == [("file", Group(3, "x"), True)]
    assert CliRunner().invoke(command, ["file"]).exit_code == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["skim", "a.root", "-o", "A", "--set", "output=B"],
            "output: this step does not look at it",
        ),
        (["skim", "a.root", "-o", "A", "--set", "hunt.bin_width=4"], "hunt.bin_width: this step"),
        (["skim", "a.root", "-o", "A", "--set", "fileset=b.yaml"], "fileset: this step"),
        (["score", "S", "-m", "M", "-o", "A", "--set", "folds=4"], "folds: this step"),
        (
            ["hunt", ".", "--column", "s", "--set", "selection.pt_min=4"],
            "selection.pt_min: this step",
        ),
        (["hunt", ".", "--column", "s", "--toys", "50"], "--toys is an option of a histogram"),
        (
            ["hunt", ".", "--column", "s", "--range", "1", "2"],
            "--range is an option of a histogram",
        ),
        (["hunt", "h.root", "--column", "s"], "--column is an option of a scores table"),
        (
            ["hunt", "h.root", "--background", "b.root", "--function", "dijet3"],
            "--function is fitted",
        ),
        (
            ["skim", "a.root", "-o", "A", "--executor", "iterative", "-j", "2"],
            "-j/--workers: the exec",
        ),
        (["hunt", "h.root", "--unblind"], "--unblind is an option of a scores table"),
        (["hunt", "h.root", "--set", "hunt.n_toys=100"], "--set is an option of a scores table"),
        (["sculpt", ".", "--column", "s", "--set", "unblind=true"], "unblind: this step"),
        (["train", ".", "-o", "A", "--label", "a b"], "label: "),
    ],
)
def test_what_would_be_ignored_is_refused(
    words: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 1, result.output
    assert "ConfigError" in result.output
    assert said in result.output
    assert list(tmp_path.iterdir()) == []


def test_workers_that_are_asked_for_work() -> None:
    analysis = make_config({"name": "a", "output": "o", "fileset": "f"}, where="test")
    assert Running(workers=3).placed(analysis).cluster.executor == "futures"
    assert Running(workers=1).placed(analysis) == Running().placed(analysis) == analysis
    pool = make_config(analysis.model_dump(), {"cluster.executor": "dask"}, where="test")
    assert Running(workers=3).placed(pool) == pool


@pytest.mark.parametrize("command", ["skim", "run", "plan", "inject", "submit"])
def test_unknown_settings_are_refused_with_a_hint(command: str, tmp_path: Path) -> None:
    config = str(ROOT / "analysis" / "quickstart.yaml")
    words = {"skim": ["--config", config, "-o", str(tmp_path / "s")], "submit": [config, "-o", "x"]}
    arguments = [command, *words.get(command, [config]), "--set", "selection.pt_mn=300"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 1
    assert "Did you mean 'pt_min'" in result.output
