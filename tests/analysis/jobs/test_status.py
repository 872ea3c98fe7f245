from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from coffea.processor.executor import ExecutorBase
from typer.testing import CliRunner

from oddjet.analysis.cli.app import app
from oddjet.analysis.jobs.status import StepStatus, read_status
from oddjet.condor import open_executor
from oddjet.datasets.files.dataset import Dataset, Fileset
from oddjet.errors import ConfigError, InputError
from oddjet.processors.engine.options import RunOptions
from oddjet.processors.run import run_skim
from oddjet.processors.skim import SkimProcessor

N_EVENTS, CHUNK = 400, 150
SECOND = (133, 266)
"""Entries of the second of three chunks."""


@pytest.fixture(scope="module")
def fileset(qcd: Path) -> Fileset:
    return Fileset(datasets={"qcd": Dataset(files=[str(qcd)], kind="background")})


@pytest.fixture
def executor() -> Iterator[ExecutorBase]:
    with open_executor() as executor:
        yield executor


def skim(fileset: Fileset, folder: Path, executor: ExecutorBase, **options: Any) -> None:
    run_skim(
        fileset, output=folder, executor=executor, options=RunOptions(chunk_size=CHUNK, **options)
    )


def only(folder: Path) -> StepStatus:
    (step,) = read_status(folder)
    return step


def age(folder: Path, seconds: float) -> None:
    then = time.time() - seconds
    for path in folder.rglob("*"):
        os.utime(path, (then, then))


def test_a_finished_skim(fileset: Fileset, executor: ExecutorBase, tmp_path: Path) -> None:
    skim(fileset, tmp_path / "skim", executor)
    step = only(tmp_path / "skim")
    assert (step.state, step.n_done, step.n_planned) == ("finished", 3, 3)
    assert step.n_events == step.n_events_planned == N_EVENTS
    assert step.n_jets > 0
    assert not step.faults
    told = CliRunner().invoke(
        app, ["status", str(tmp_path / "skim"), "-o", str(tmp_path / "new" / "status.json")]
    )
    assert told.exit_code == 0, told.output
    assert "3 of 3" in told.output
    assert json.loads((tmp_path / "new" / "status.json").read_text())[0]["state"] == "finished"


def test_a_run_that_goes_on_and_one_that_died(
    fileset: Fileset, executor: ExecutorBase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[StepStatus] = []
    original = SkimProcessor.process_chunk

    def look_first(self: SkimProcessor, events: Any, source: Any) -> dict[str, Any]:
        if source.entry_start > 0:
            seen.append(only(tmp_path / "skim"))
        if len(seen) == 2:
            raise KeyboardInterrupt
        return original(self, events, source)

    monkeypatch.setattr(SkimProcessor, "process_chunk", look_first)
    with pytest.raises(KeyboardInterrupt):
        skim(fileset, tmp_path / "skim", executor)
    assert [(step.state, step.n_done, step.n_planned) for step in seen] == [
        ("going on", 1, None),
        ("going on", 2, None),
    ]
    (tmp_path / "skim" / "qcd" / f".{'0' * 20}.x.parquet").touch()
    assert only(tmp_path / "skim").n_writing == 1
    age(tmp_path / "skim", 1000)
    dead = only(tmp_path / "skim")
    assert (dead.state, dead.n_done) == ("stopped", 2)
    assert dead.seconds_ago == pytest.approx(1000, abs=10)
    assert "repeat the command" in dead.note


def test_failures_are_told_until_nothing_fails(
    fileset: Fileset, executor: ExecutorBase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = SkimProcessor.process_chunk

    def broken(self: SkimProcessor, events: Any, source: Any) -> dict[str, Any]:
        if source.entry_start == SECOND[0]:
            msg = "broken on purpose"
            raise InputError(msg)
        return original(self, events, source)

    with monkeypatch.context() as patch:
        patch.setattr(SkimProcessor, "process_chunk", broken)
        with pytest.raises(InputError, match="broken on purpose"):
            skim(fileset, tmp_path / "skim", executor)
        age(tmp_path / "skim", 1000)
        step = only(tmp_path / "skim")
        assert (step.state, step.n_done) == ("stopped", 2)
        (fault,) = step.faults
        assert (fault.error, fault.message) == ("InputError", "broken on purpose")
        assert f"entries [{SECOND[0]}, {SECOND[1]})" in fault.where
        skim(fileset, tmp_path / "skim", executor, allow_missing=True)
        age(tmp_path / "skim", 1000)
        step = only(tmp_path / "skim")
        assert (step.state, step.n_done, step.n_planned) == ("incomplete", 2, 3)
        assert step.faults[0].message == "broken on purpose"
    skim(fileset, tmp_path / "skim", executor)
    assert only(tmp_path / "skim").state == "finished"
    assert not only(tmp_path / "skim").faults


def test_a_run_folder_knows_what_is_planned(
    fileset: Fileset, executor: ExecutorBase, tmp_path: Path
) -> None:
    def write_config(**selection: float) -> None:
        config = {
            "name": "a run",
            "output": str(tmp_path),
            "fileset": fileset.model_dump(mode="json"),
            "image": None,
            "detectors": [{"name": "kmeans"}],
            "chunk_size": CHUNK,
            "selection": selection,
        }
        (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))

    write_config()
    before = {step.name: step for step in read_status(tmp_path)}
    assert [step.state for step in before.values()] == ["not begun"] * 4
    assert before["skim"].n_planned == 3
    skim(fileset, tmp_path / "skim", executor)
    (tmp_path / "models" / "kmeans.unfinished").mkdir(parents=True)
    (tmp_path / "models" / "kmeans.unfinished" / "state.json").touch()
    after = {step.name: step for step in read_status(tmp_path)}
    assert after["skim"].state == "finished"
    assert after["train kmeans"].state == "going on"
    assert (after["scores"].n_done, after["scores"].n_planned) == (0, 3)
    write_config(pt_min=600.0)
    age(tmp_path, 1000)
    changed = read_status(tmp_path)
    assert (changed[0].state, changed[0].n_done) == ("outdated", 0)
    assert "3 parts are of other files, settings or code" in changed[0].note
    assert changed[1].state == "stopped"
    assert read_status(tmp_path, plan=False)[0].state == "finished"


def test_other_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="holds nothing that oddjet made"):
        read_status(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="file is a file: expected a skim"):
        read_status(tmp_path / "file")
    with pytest.raises(ConfigError, match="does not exist"):
        read_status(tmp_path / "nowhere")
