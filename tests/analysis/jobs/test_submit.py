"""`oddjet submit` and `collect` with a pool that is played by this test; tests/condor has real ones."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml
from typer.testing import CliRunner

from oddjet.analysis.cli.app import app
from oddjet.analysis.jobs import worker as batch_job
from oddjet.analysis.jobs.status import read_status
from oddjet.condor import open_executor
from oddjet.datasets.files.fileset import load_fileset
from oddjet.datasets.skims.manifest import read_manifest
from oddjet.processors.engine.options import RunOptions
from oddjet.processors.run import run_skim

SUBMIT = '#!/bin/sh\necho "$PWD/$@" >>{folder}/calls\necho "1 job(s) submitted to cluster 7."\n'
REMOVE = '#!/bin/sh\necho rm "$@" >>{folder}/calls\n'


@pytest.fixture
def config(qcd: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An analysis of three chunks, and a pool that takes jobs and does nothing."""
    pool = tmp_path / "pool"
    pool.mkdir()
    for name, text in (("condor_submit", SUBMIT), ("condor_rm", REMOVE)):
        (pool / name).write_text(text.format(folder=pool))
        (pool / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{pool}:/usr/bin:/bin")
    dataset = {"files": [str(qcd)], "kind": "background"}
    (tmp_path / "analysis.yaml").write_text(
        yaml.safe_dump(
            {
                "name": "batch",
                "output": str(tmp_path / "out"),
                "fileset": {"datasets": {"qcd": dataset}},
                "image": None,
                "chunk_size": 150,
                "cluster": {"site": "generic", "memory": "1 GB"},
            }
        )
    )
    return tmp_path / "analysis.yaml"


def oddjet(*arguments: str | Path, code: int = 0) -> str:
    said = CliRunner().invoke(app, [str(a) for a in arguments], env={"COLUMNS": "200"})
    assert said.exit_code == code, said.output
    return said.output


def run(folder: Path, job: int) -> None:
    """What a worker does."""
    place = folder / "jobs" / str(job)
    assert batch_job.main([str(place / "job.json"), str(place / "parts")]) == 0


def log(folder: Path, *events: str) -> None:
    start = [f"000 (007.00{i}.000) 2026-01-01 10:00:00 Job submitted\n...\n" for i in range(3)]
    (folder / "jobs.log").write_text("".join([*start, *events]))


HELD = "012 (007.001.000) 2026-01-01 10:00:01 Job was held.\n\tout of memory\n...\n"
DIED = "005 (007.002.000) 2026-01-01 10:00:01 Job terminated.\n\t(1) Normal (return value 4)\n...\n"
ENDED = (
    "005 (007.000.000) 2026-01-01 10:00:01 Job terminated.\n\t(1) Normal (return value 0)\n...\n"
)


def test_a_step_is_complete_after_jobs_were_lost(config: Path, qcd: Path, tmp_path: Path) -> None:
    jobs, output = tmp_path / "jobs", tmp_path / "out" / "skim"
    said = oddjet("submit", config, "-o", jobs, "--jobs", "3")
    assert "submitted 3 jobs as cluster 7" in said
    first = jobs / "round-1"
    assert (tmp_path / "pool" / "calls").read_text() == f"{first}/jobs.sub\n"
    assert "request_memory = 953\n" in (first / "jobs.sub").read_text()

    log(first)
    said = oddjet("collect", jobs, code=1)
    assert "0 of 3 chunks done" in said
    assert said.count("idle") == 3
    assert "--resubmit" not in said  # nothing is to be done but to wait
    assert "submitted" not in oddjet("collect", jobs, "--resubmit", code=1)

    run(first, 0)
    (first / "jobs" / "2" / "stderr").write_text("first line\nno space left on device\n")
    log(first, ENDED, HELD, DIED)
    said = oddjet("collect", jobs, code=1)
    for text in ("1 of 3 chunks done", "out of memory", "exit code 4", "no space left", "7.1"):
        assert text in said
    assert f"oddjet collect {jobs} --resubmit" in said
    status = read_status(jobs)
    assert [(s.name, s.state, s.n_done, s.n_planned) for s in status] == [
        ("skim, round-1", "stopped", 1, 3)
    ]
    assert {(f.where, f.error): f.message for f in status[0].faults} == {
        ("round-1, job 1", "held"): "out of memory",
        ("round-1, job 2", "failed"): "ended with exit code 4",
    }
    assert status[0].n_events_planned == 400
    assert "round-1, job 1" in oddjet("status", jobs)
    assert not (output / "manifest.json").exists()

    assert "submitted 2 jobs" in oddjet("collect", jobs, "--resubmit")
    assert (tmp_path / "pool" / "calls").read_text().split("\n")[1] == "rm 7.1"
    for job in range(2):
        run(jobs / "round-2", job)
    assert "complete: 3 chunks" in oddjet("collect", jobs)
    assert "complete: 3 chunks" in oddjet("collect", jobs)
    assert [(s.state, s.n_done, s.faults) for s in read_status(jobs)] == [
        ("finished", 3, ()),
        ("finished", 2, ()),
    ]

    with open_executor() as executor:
        clean = run_skim(
            load_fileset(qcd),
            output=tmp_path / "clean",
            executor=executor,
            options=RunOptions(chunk_size=150),
        )
    made = read_manifest(output)
    assert [c.entry_start for c in made.chunks] == [c.entry_start for c in clean.chunks]
    for one, other in zip(made.chunks, clean.chunks, strict=True):
        columns = [
            pq.read_table(folder / c.dataset / f"{c.key}.parquet").drop_columns(["dataset"])
            for folder, c in ((output, one), (tmp_path / "clean", other))
        ]
        assert columns[0].equals(columns[1])
    # and a new submission has nothing to submit
    assert "complete: 3 chunks" in oddjet("submit", config, "-o", tmp_path / "again")
    assert not (tmp_path / "again").exists()


def test_what_is_missing_can_be_left_out_and_is_listed(config: Path, tmp_path: Path) -> None:
    jobs = tmp_path / "jobs"
    said = oddjet("submit", config, "-o", jobs, "--jobs", "3", "--dry-run")
    assert "not submitted" in said
    assert not (tmp_path / "pool" / "calls").exists()
    said = oddjet("collect", jobs, code=1)
    assert "was never submitted" in said
    run(jobs / "round-1", 0)
    log(jobs / "round-1", ENDED, HELD, DIED)
    said = oddjet("collect", jobs, "--allow-missing")
    assert "complete: 1 chunks" in said
    missing = read_manifest(tmp_path / "out" / "skim").missing
    assert [m.message for m in missing] == [
        "job 7.1: out of memory",
        "job 7.2: ended with exit code 4",
    ]


def test_a_used_folder_and_other_code_are_refused(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = tmp_path / "jobs"
    oddjet("submit", config, "-o", jobs, "--dry-run")
    assert "holds jobs already" in oddjet("submit", config, "-o", jobs, code=1)
    monkeypatch.setattr("oddjet.analysis.jobs.submit.code_digest", lambda: "0" * 64)
    assert "other code of oddjet" in oddjet("collect", jobs, code=1)
    assert "cannot read" in oddjet("collect", tmp_path / "nothing", code=1)
    assert "expected skim or score" in oddjet(
        "submit", config, "-o", tmp_path / "x", "--step", "skin", code=1
    )


def test_the_settings_travel_whole(config: Path, tmp_path: Path) -> None:
    oddjet("submit", config, "-o", tmp_path / "jobs", "--dry-run", "--site", "cern")
    lines = (tmp_path / "jobs" / "round-1" / "jobs.sub").read_text()
    assert 'MY.JobFlavour = "workday"\n' in lines
    batch = json.loads((tmp_path / "jobs" / "batch.json").read_text())
    assert Path(batch["config"]["output"]).is_absolute()
    assert batch["config"]["cluster"]["site"] == "cern"


@pytest.mark.parametrize("shared_files", [True, False])
def test_tokens_of_urls_stay_in_files_of_the_owner_until_all_is_done(
    config: Path, qcd: Path, tmp_path: Path, shared_files: bool
) -> None:
    named = tmp_path / "qcd.root?authz=s3cret"
    named.hardlink_to(qcd)
    content = yaml.safe_load(config.read_text())
    content["fileset"]["datasets"]["qcd"]["files"] = [f"file://{named}"]
    content["cluster"]["shared_files"] = shared_files
    config.write_text(yaml.safe_dump(content))
    jobs = tmp_path / "jobs"
    oddjet("submit", config, "-o", jobs)
    job = jobs / "round-1" / "jobs" / "0"
    private = [jobs / "batch.secrets.json", job / "job.secrets.json"]
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in private)
    lines = (jobs / "round-1" / "jobs.sub").read_text()
    assert (", job.secrets.json" in lines) != shared_files

    def holding() -> list[Path]:
        """Files of the jobs and outputs with the token in them."""
        folders = (jobs, tmp_path / "out")
        files = (p for folder in folders for p in folder.rglob("*") if p.is_file())
        return [p for p in files if b"s3cret" in p.read_bytes()]

    assert {path.name for path in holding()} == {path.name for path in private}
    run(job.parents[1], 0)
    oddjet("collect", jobs, code=1)
    for index in (1, 2):
        run(job.parents[1], index)
    assert "complete: 3 chunks" in oddjet("collect", jobs)
    assert holding() == []
    assert [c.n_entries for c in read_manifest(tmp_path / "out" / "skim").files] == [400]
    # what was put away is named, in a job as in the submission
    assert batch_job.main([str(job / "job.json"), str(tmp_path / "parts")]) == 1
    assert "was not stored" in oddjet("collect", jobs, code=1)


@pytest.mark.parametrize("name", ["a\nqueue 1000", "back\\", "blank "])
def test_a_folder_that_no_submit_file_can_hold_is_refused_at_once(
    config: Path, tmp_path: Path, name: str
) -> None:
    said = oddjet("submit", config, "-o", tmp_path / name / ("" if "\n" in name else "."), code=1)
    assert "folder of the jobs: expected" in said
    assert not (tmp_path / name).exists()
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "pool" / "calls").exists()
