"""Jobs that are Dask workers name any folder as it is."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from oddjet.condor.jobqueue import _jobqueue
from oddjet.condor.site import Cluster

PROLOGUE = "source $(echo it)/setup.sh"


def script_of(executor: str, logs: Path) -> str:
    logs.mkdir()
    cluster = Cluster(executor=executor, prologue=[PROLOGUE])
    with _jobqueue(cluster, logs) as jobs:
        return str(jobs.job_script())


@pytest.mark.parametrize("name", ["plain", "it's, a $(x) folder", 'a "b"'])
def test_htcondor(tmp_path: Path, name: str) -> None:
    logs = tmp_path / name
    script = script_of("htcondor", logs)
    assert "$(x)" not in script
    assert f"LogDirectory = {logs}" in script.replace("$(DOLLAR)", "$")
    (arguments,) = re.findall(r'^Arguments = "-c \'(.*)\'"$', script, re.MULTILINE)
    command = arguments.replace('""', '"').replace("''", "'").replace("$(DOLLAR)", "$")
    assert command.startswith(PROLOGUE)
    words = shlex.split(command)
    for option in ("--tls-ca-file", "--tls-cert", "--tls-key"):
        assert Path(words[words.index(option) + 1]).parent == logs / "tls"


@pytest.mark.parametrize("name", ["plain", "it's, 5% of a folder", 'a "b"'])
def test_slurm(tmp_path: Path, name: str) -> None:
    logs = tmp_path / name
    script = script_of("slurm", logs)
    outputs = re.findall(r"^#SBATCH (--\w+=.*%J.*)$", script, re.MULTILINE)
    assert [shlex.split(line)[0].replace("%%", "%") for line in outputs] == [
        f"--error={logs}/dask-worker-%J.err",
        f"--output={logs}/dask-worker-%J.out",
    ]
    assert "#SBATCH -e" not in script
    words = shlex.split(script.splitlines()[-1])
    assert Path(words[words.index("--tls-key") + 1]).parent == logs / "tls"
