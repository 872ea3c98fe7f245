"""Jobs that are Dask workers name any folder as it is."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from oddjet.condor.jobqueue import _jobqueue
from oddjet.condor.site import Cluster

PROLOGUE = "source $(echo it)/setup.sh $ENV(HOME) $$"


def script_of(executor: str, logs: Path, **settings: Any) -> str:
    logs.mkdir()
    cluster = Cluster(executor=executor, prologue=[PROLOGUE], **settings)
    with _jobqueue(cluster, logs) as jobs:
        return str(jobs.job_script())


@pytest.mark.parametrize("name", ["plain", "it's, a $(x) folder", 'a "b"'])
def test_htcondor(tmp_path: Path, name: str) -> None:
    logs = tmp_path / name
    script = script_of("htcondor", logs)
    assert "$(x)" not in script
    assert "$ENV" not in script
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


ODD = """it's "5%" of $(HOME), #1; `x` \\n"""


def test_settings_of_slurm_are_read_as_they_are(tmp_path: Path) -> None:
    given = {"comment": ODD, "constraint": "a|b"}
    script = script_of("slurm", tmp_path / "logs", queue=ODD, account=ODD, submit_lines=given)
    lines = [line for line in script.splitlines() if line.startswith("#SBATCH")]
    # within double quotes bash and Slurm both take what follows a backslash as it is
    words = [shlex.split(line.removeprefix("#SBATCH "))[0] for line in lines if '"' in line][2:]
    assert words == [
        f"--partition={ODD}",
        f"--account={ODD}",
        f"--comment={ODD}",
        "--constraint=a|b",
    ]
    assert not any(line.startswith(("#SBATCH -p", "#SBATCH -A")) for line in lines)


@pytest.mark.parametrize("executor", ["htcondor", "slurm"])
@pytest.mark.parametrize("image", [None, ODD])
def test_the_interpreter_and_the_image_are_one_word_each(
    tmp_path: Path, executor: str, image: str | None
) -> None:
    script = script_of(executor, tmp_path / "logs", python="/a b/it's python", image=image)
    if executor == "htcondor":
        (arguments,) = re.findall(r'^Arguments = "-c \'(.*)\'"$', script, re.MULTILINE)
        command = arguments.replace('""', '"').replace("''", "'").replace("$(DOLLAR)", "$")
    else:
        command = script.splitlines()[-1]
    words = shlex.split(command)
    place = words.index("/a b/it's python")
    assert words[place + 1] == "-m"
    if image and executor == "slurm":
        assert words[place - 3 : place] == ["apptainer", "exec", ODD]
    if image and executor == "htcondor":
        assert f"container_image = {ODD.replace('$', '$(DOLLAR)')}" in script
