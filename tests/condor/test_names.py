"""Real HTCondor and Slurm find the files of folders with any name, and expand nothing in them."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from oddjet.condor.jobqueue import _jobqueue
from oddjet.condor.quoting import quoted
from oddjet.condor.site import Cluster, Site
from oddjet.condor.submit import submission_lines, write_submission

pytestmark = pytest.mark.long

Run = Callable[..., "subprocess.CompletedProcess[str]"]

NAMES = [
    "it's, a folder",
    'a "b" (c) [d]',
    "cost: 5% $(HOME) $ENV(HOME) #1",
    "$(Process)$F(x)",
    "back\\slash",
    "ünïcøde 測試",
    "-o; touch x & `id` $(id)|<>",
    "{a,b}*?!~=",
    "a  b",
]
ECHO = 'import json, sys; json.dump([open(sys.argv[1]).read(), sys.argv], open(sys.argv[2] + "/done", "w"))'

SUBMIT = """
import sys
from pathlib import Path
from oddjet.condor.submit import submit_jobs
for path in sys.argv[1:]:
    print(submit_jobs(Path(path)))
"""
ROOT = Path(__file__).resolve().parents[2]


def wait_for(paths: list[Path], told: Callable[[], str]) -> None:
    until = time.monotonic() + 120
    while not all(path.exists() and path.stat().st_size for path in paths):
        if time.monotonic() > until:
            lost = [str(path) for path in paths if not path.exists()]
            pytest.fail(f"not written: {lost}\n{told()}")
        time.sleep(0.5)


def opened(folder: Path) -> None:
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o777 if path.is_dir() or os.access(path, os.X_OK) else 0o666)


@pytest.mark.condor
@pytest.mark.parametrize("shared_files", [True, False])
def test_htcondor(condor: Run, python: str, shared: Path, shared_files: bool) -> None:
    top = shared / f"names-{shared_files}"
    made = []
    for name in NAMES:
        folder = top / name
        for index in range(2):
            (folder / "jobs" / str(index)).mkdir(parents=True)
            (folder / "jobs" / str(index) / "job.json").write_text(f"{name} {index}")
            made.append(folder / "jobs" / str(index) / "parts" / "done")
        (folder / "echo_job.py").write_text(ECHO)
        (folder / "oddjet.tar.gz").write_bytes(b"")
        place = quoted(folder, "shell", "folder")
        site = Site(
            shared_files=shared_files,
            memory="64 MB",
            disk="10 MB",
            prologue=[f"export PYTHONPATH={place}", "tar() { :; }"],
        )
        write_submission(folder, site, module="echo_job", n_jobs=2)
    opened(top)
    files = [str(top / name / "jobs.sub") for name in NAMES]
    said = condor("env", f"PYTHONPATH={ROOT}/src", python, "-c", SUBMIT, *files)
    assert said.returncode == 0, said.stdout + said.stderr
    wait_for(made, lambda: condor("condor_q", "-better", "-hold").stdout)
    for path in made:
        content, arguments = json.loads(path.read_text())
        job = path.parents[1]
        assert content == f"{job.parents[1].name} {job.name}"
        if shared_files:
            assert arguments[1:] == [str(job / "job.json"), str(job / "parts")]
    logs = [sorted(p.name for p in (top / name).iterdir()) for name in NAMES]
    assert all("jobs.log" in log for log in logs)
    assert sorted(path.name for path in top.iterdir()) == sorted(NAMES)  # nothing beside them


@pytest.mark.condor
def test_htcondor_reads_settings_as_they_are(condor: Run, shared: Path) -> None:
    """What the pool stores of a job is what the profile says."""
    folder = shared / "settings"
    folder.mkdir()
    odd = 'docker://it\'s $(HOME) $ENV(HOME), #1; "5%"'
    site = Site(image=odd, account="group_cms.me", proxy=folder / "a $(HOME), b")
    (folder / "jobs" / "0").mkdir(parents=True)
    (folder / "jobs" / "0" / "job.json").write_text("{}")
    path = write_submission(folder, site, module="m", n_jobs=1)
    assert submission_lines(folder, site)["universe"] == "container"
    opened(folder)
    names = ["ContainerImage", "DockerImage", "x509userproxy", "AcctGroup", "Cmd", "Iwd"]
    said = condor("condor_submit", "-dry-run", str(folder / "ad"), str(path))
    ad = (folder / "ad").read_text() if (folder / "ad").exists() else said.stdout + said.stderr
    stored: dict[str, Any] = {
        name: json.loads(value)
        for name, _, value in (line.partition("=") for line in ad.splitlines())
        if name in names and value.startswith('"')
    }
    assert stored["Iwd"] == f"{folder}/jobs/0"
    assert stored["AcctGroup"] == "group_cms.me"
    assert stored["x509userproxy"] == f"{folder}/a $(HOME), b"
    assert odd.removeprefix("docker://") in (
        stored.get("DockerImage", ""),
        stored.get("ContainerImage", "").removeprefix("docker://"),
    )


@pytest.mark.slurm
def test_slurm(slurm: Run, shared: Path) -> None:
    """Logs of jobs are where they belong, and comments are what the profile says."""
    top = shared / "slurm-names"
    top.mkdir()
    names = [name for name in NAMES if "\\" not in name]
    for name in names:
        comment = f'{name} \\ "x"'
        cluster = Cluster(
            executor="slurm",
            memory="64 MB",
            wall_time=60,
            queue="debug",
            log_folder=top / name,
            submit_lines={"comment": comment},
            prologue=['scontrol show job "$SLURM_JOB_ID" >&2', "echo out", "exit 0"],
        )
        (top / name).mkdir()
        with _jobqueue(cluster, top / name) as jobs:
            script = top / name / "job.sh"
            script.write_text(jobs.job_script())
            said = slurm("sbatch", str(script))
        assert said.returncode == 0, said.stdout + said.stderr
    wait_for([top / name for name in names], lambda: "")
    until = time.monotonic() + 120
    while time.monotonic() < until and slurm("squeue", "-h").stdout.strip():
        time.sleep(0.5)
    for name in names:
        (out,) = (top / name).glob("dask-worker-*.out")
        (error,) = (top / name).glob("dask-worker-*.err")
        assert out.read_text() == "out\n"
        assert f'Comment={name} \\ "x"' in error.read_text()
    assert sorted(path.name for path in top.iterdir()) == sorted(names)
