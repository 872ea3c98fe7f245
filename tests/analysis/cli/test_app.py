from __future__ import annotations

import inspect
import json
import os
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml
from toy_files import write_pfnano
from typer.testing import CliRunner, Result

from oddjet.analysis.cli.app import COMMANDS, app
from oddjet.analysis.pipeline.train import TrainingPlan
from oddjet.errors import ConfigError

ROOT = Path(__file__).resolve().parents[3]


def oddjet(*words: str | Path) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


def test_help_names_every_command() -> None:
    result = oddjet("--help")
    assert result.exit_code == 0
    for command in (
        *("run", "simulate", "skim", "train", "score", "hunt"),
        *("report", "detectors", "check", "bench"),
    ):
        assert command in result.output


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_says_the_first_line_of_each_docstring(name: str) -> None:
    module = import_module(f"oddjet.analysis.cli.{COMMANDS[name].module}")
    docstring = inspect.getdoc(getattr(module, name.replace(" ", "_of_"))) or ""
    assert COMMANDS[name].help == docstring.partition("\n")[0]


def test_help_imports_neither_physics_nor_numpy() -> None:
    code = "import sys; from oddjet.analysis.cli.app import COMMANDS, app; app(['--help'], standalone_mode=False)"
    code += "; print('loaded', sorted({'numpy', 'awkward', 'pydantic', 'yaml'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("loaded []\n")


def test_commands_are_completed_in_the_shell() -> None:
    code = "from oddjet.analysis.cli.app import COMMANDS, app; app(prog_name='oddjet')"
    env = {"_ODDJET_COMPLETE": "complete_bash", "COMP_WORDS": "oddjet sk", "COMP_CWORD": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env=os.environ | env,
        check=False,
    )
    assert done.stdout.split() == ["skim"]


def test_settings_can_be_changed_on_the_command_line(tmp_path: Path) -> None:
    config = ROOT / "analysis" / "quickstart.yaml"
    output = f"output={tmp_path / 'out'}"
    for texts, words in (
        (["hunt.function=dijet9"], "dijet9"),
        (["hunt.widnow=[60, 110]"], "window"),
        (["hunt.window"], "NAME=VALUE"),
    ):
        options = [part for text in (output, *texts) for part in ("--set", text)]
        result = oddjet("check", config, *options)
        assert result.exit_code == 1
        assert words in result.output


def test_the_schema_is_printed_or_written(tmp_path: Path) -> None:
    result = oddjet("schema", "fileset", "-o", tmp_path / "new" / "fileset.json")
    assert result.exit_code == 0
    written = json.loads((tmp_path / "new" / "fileset.json").read_text())
    assert written == json.loads(oddjet("schema", "fileset").stdout)
    assert "datasets" in written["properties"]
    assert "hunt" in json.loads(oddjet("schema").stdout)["properties"]


def test_version() -> None:
    result = oddjet("--version")
    assert result.exit_code == 0
    assert result.output.startswith("oddjet 0.")


def test_detectors_are_listed_with_their_scores() -> None:
    result = oddjet("detectors")
    assert result.exit_code == 0
    for word in ("khanal", "mse", "kl", "epochs"):
        assert word in result.output


def test_a_usage_error_exits_with_2() -> None:
    assert oddjet("skimm").exit_code == 2
    assert oddjet("simulate", "qcd").exit_code == 2


def test_the_quickstart_passes_the_check() -> None:
    result = oddjet("check", ROOT / "analysis" / "quickstart.yaml")
    assert result.exit_code == 0, result.output
    assert "khanal" in result.output


def test_the_check_of_files_shows_how_constituents_add_up(tmp_path: Path) -> None:
    good = write_pfnano(tmp_path / "a.root", weighted=True)
    result = oddjet("check", good)
    assert result.exit_code == 0
    for word in ("a.root", "(PUPPI)", "30", "1.0000", "raw pt"):
        assert word in result.output
    result = oddjet("check", good, tmp_path / "none.root")
    assert result.exit_code == 1
    assert f"{tmp_path}/none.root does not exist" in result.output
    assert "1.0000" in result.output
    result = oddjet("check", good, tmp_path / "analysis.yaml")
    assert result.exit_code == 1
    assert "expected one analysis, or ROOT files" in result.output


def test_the_check_marks_what_was_accepted_as_a_caveat(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = import_module("oddjet.analysis.cli.check")
    monkeypatch.setattr(module, "check_config", lambda *_: ([], ["odd"], ["good"]))
    result = oddjet("check", tmp_path / "odd.yaml")
    assert (result.exit_code, result.output) == (0, "✓ good\n⚠ odd\n")


def test_the_check_lists_everything_that_is_wrong(tmp_path: Path) -> None:
    config = {
        "name": "wrong",
        "output": str(tmp_path / "out"),
        "samples": str(tmp_path / "samples"),
        "fileset": {
            "datasets": {
                "q": {"kind": "signal", "simulate": {"process": "qdc", "n_events": 9, "seed": 1}}
            }
        },
        "detectors": [{"name": "kahnal"}, {"name": "khanal", "cut": "msee"}],
        "hunt": {"function": "dijet9"},
    }
    path = tmp_path / "wrong.yaml"
    path.write_text(yaml.safe_dump(config))
    result = oddjet("check", path)
    assert result.exit_code == 1
    for words in ("qdc", "nothing to hunt", "are learned on", "kahnal", "msee", "dijet9"):
        assert words in result.output


def test_an_unknown_key_is_refused_with_a_hint(tmp_path: Path) -> None:
    path = tmp_path / "typo.yaml"
    text = (ROOT / "analysis" / "quickstart.yaml").read_text()
    path.write_text(text.replace("pseudo_data:", "pseudodata:"))
    result = oddjet("run", path)
    assert result.exit_code == 1
    assert "ConfigError" in result.output
    assert "pseudo_data" in result.output


def test_an_unknown_process_is_refused(tmp_path: Path) -> None:
    result = oddjet("simulate", "tpo", "-n", "10", "-o", tmp_path / "x.root")
    assert result.exit_code == 1
    assert "top" in result.output
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"<html>not found</html>", "not a ROOT file"), (b"", "0 bytes"), (None, "no")],
)
def test_what_is_not_a_root_file_is_refused(
    tmp_path: Path, content: bytes | None, words: str
) -> None:
    path = tmp_path / "file.root"
    if content is not None:
        path.write_bytes(content)
    result = oddjet("skim", path, "-o", tmp_path / "skim")
    assert result.exit_code == 1
    assert words in result.output
    assert not (tmp_path / "skim").exists()


def test_a_skim_needs_something_to_skim(tmp_path: Path) -> None:
    result = oddjet("skim", "-o", tmp_path / "skim")
    assert result.exit_code == 1
    assert "--fileset" in result.output


def test_what_is_learned_on_what_is_an_option_of_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plans: list[TrainingPlan] = []

    def train(*given: Any, **_: Any) -> None:
        plans.append(given[3])
        raise ConfigError

    module = import_module("oddjet.analysis.cli.data")
    monkeypatch.setattr(module, "open_of_run", lambda _: None)
    monkeypatch.setattr(module, "train_detector", train)
    words = ("train", tmp_path / "skim", "-o", tmp_path / "model")
    oddjet(*words, "--training", "on=data", "--training", "held_out=0.3", "--folds", "2")
    (plan,) = plans
    assert (plan.training.on, plan.training.held_out, plan.folds) == ("data", 0.3, 2)
    settings = {"training": {"maps": {"on": "data"}}, "hunt": {"window": [70, 90]}, "folds": 4}
    more = {"name": "a", "output": str(tmp_path), "fileset": "x.yaml", "decorrelation": {}}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(settings | more))  # the skim is a run's
    oddjet(*words)
    assert (plans[1].training.of("maps").on, plans[1].hunt.window) == ("data", (70.0, 90.0))
    assert (plans[1].folds, plans[1].decorrelation) == (4, None)
    oddjet(*words, "--config", tmp_path / "config.yaml")
    assert plans[2].decorrelation is not None
    assert "held_out" in oddjet(*words, "--training", "held_out=1").stderr


def test_training_needs_a_finished_skim(tmp_path: Path) -> None:
    result = oddjet("train", tmp_path, "-o", tmp_path / "model")
    assert result.exit_code == 1
    assert "manifest" in result.output
    assert not (tmp_path / "model").exists()


def test_a_hyper_parameter_is_name_equals_value(tmp_path: Path) -> None:
    result = oddjet("train", tmp_path, "-o", tmp_path / "model", "--set", "epochs")
    assert result.exit_code == 1
    assert "NAME=VALUE" in result.output


def test_a_report_needs_a_run(tmp_path: Path) -> None:
    result = oddjet("report", tmp_path)
    assert result.exit_code == 1
    assert "config.yaml" in result.output


@pytest.mark.samples
@pytest.mark.parametrize(
    "name", ["nano_tt_v12.root", "nano_dy.root", "nanoAOD_2015_CMS_Open_Data_ttbar.root"]
)
def test_formats_without_constituents_are_refused(samples: Path, tmp_path: Path, name: str) -> None:
    result = oddjet("skim", samples / name, "-o", tmp_path / "skim")
    assert result.exit_code == 1
    for words in ("FatJetPFCand", "NanoAODv15", "PFNano"):
        assert words in result.output
    assert not (tmp_path / "skim").exists()


@pytest.mark.samples
def test_a_real_file_is_skimmed(samples: Path, tmp_path: Path) -> None:
    result = oddjet("skim", samples / "nano_tt_v15.root", "-o", tmp_path / "skim")
    assert result.exit_code == 0, result.output
    assert "linked constituents" in result.output
    assert (tmp_path / "skim" / "manifest.json").exists()


@pytest.mark.samples
def test_a_truncated_file_is_refused(samples: Path, tmp_path: Path) -> None:
    path = tmp_path / "cut.root"
    shutil.copyfile(samples / "nano_tt_v15.root", path)
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - 100_000)
    result = oddjet("skim", path, "-o", tmp_path / "skim")
    assert result.exit_code == 1
    assert "truncated" in result.output
    assert not (tmp_path / "skim").exists()
