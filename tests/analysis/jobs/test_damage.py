"""What `oddjet status --verify` finds: every file that is not what was written, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from toy_tables import write_table
from typer.testing import CliRunner

from oddjet.analysis.cli.app import app
from oddjet.analysis.jobs.status import read_status
from oddjet.datasets.skims.manifest import read_manifest, write_manifest


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.fixture
def table(tmp_path: Path, toy_jets) -> Path:
    jets = {"qcd": toy_jets(20, prongs=1, seed=1), "w": toy_jets(10, prongs=2, seed=2)}
    write_table(tmp_path / "skim", jets, {"qcd": "background", "w": "signal"})
    return tmp_path / "skim"


def verified(folder: Path) -> tuple[str, set[str]]:
    (step,) = read_status(folder, verify=True)
    return step.state, {fault.where for fault in step.faults}


def test_a_whole_folder_is_finished(table: Path) -> None:
    assert verified(table) == ("finished", set())
    done = CliRunner().invoke(app, ["status", str(table), "--verify"])
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize("pattern", ["w/*.parquet", "w/*.json", "manifest.json"])
def test_each_damaged_file_is_named(table: Path, pattern: str, tmp_path: Path) -> None:
    (path,) = table.glob(pattern)
    flip(path)
    state, named = verified(table)
    assert (state, named) == ("damaged", {str(path)})
    (unread,) = read_status(table)
    assert unread.state != "damaged"  # nothing is read unless it is asked for
    command = ["status", str(table), "--verify", "-o", str(tmp_path / "status.json")]
    told = CliRunner().invoke(app, command)
    assert told.exit_code == 1
    assert path.name in told.output.replace("\n", "")
    assert "repeat the command" in told.output
    assert json.loads((tmp_path / "status.json").read_text())[0]["state"] == "damaged"


def test_an_output_that_the_manifest_names_is_compared(table: Path) -> None:
    (table / "histograms.json").write_text("{}")
    changed = read_manifest(table).model_copy(update={"outputs": {"histograms.json": "0" * 64}})
    write_manifest(table, changed)
    assert verified(table) == ("damaged", {str(table / "histograms.json")})


def test_what_has_no_checksum_is_named(table: Path) -> None:
    manifest = read_manifest(table)
    chunks = tuple(chunk.model_copy(update={"hashes": {}}) for chunk in manifest.chunks)
    write_manifest(table, manifest.model_copy(update={"chunks": chunks}))
    (step,) = read_status(table, verify=True)
    assert {fault.message for fault in step.faults} == {"an oddjet that wrote no checksums made it"}
