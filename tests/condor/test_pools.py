"""Real HTCondor and Slurm: whatever happens to jobs, the answer is that of a clean run, row by row."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml

from oddjet.condor import open_executor
from oddjet.datasets.files.fileset import load_fileset
from oddjet.datasets.simulation import simulate
from oddjet.datasets.skims.manifest import read_manifest
from oddjet.datasets.skims.skim import open_skim
from oddjet.ml.folds import FoldedDetector
from oddjet.processors.engine.options import RunOptions
from oddjet.processors.run import run_anomaly, run_skim

pytestmark = pytest.mark.long

CHUNK_SIZE = 100
DRIVE = Path(__file__).with_name("drive.py")
JOB = {"memory": "1 GB", "disk": "100 MB"}

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@dataclass(frozen=True)
class Clean:
    """What an undisturbed run on this machine gives."""

    folder: Path
    fileset: Path
    model: Path


@pytest.fixture(scope="module")
def clean(shared: Path) -> Clean:
    for process, n_events in (("qcd", 400), ("w", 200)):
        simulate(process, n_events, seed=1, output=shared / f"{process}.root", pt_hat_min=350)
    datasets = {
        "qcd": {"files": [str(shared / "qcd.root")], "kind": "background", "cross_section_pb": 2.0},
        "w": {
            "files": [str(shared / "w.root")],
            "kind": "signal",
            "truth": [24],
            "cross_section_pb": 1.0,
        },
    }
    fileset = shared / "fileset.yaml"
    fileset.write_text(yaml.safe_dump({"datasets": datasets}))
    folder = shared / "clean"
    model = folder / "models" / "kmeans"
    with open_executor() as executor:
        run_skim(
            load_fileset(fileset),
            output=folder / "skim",
            executor=executor,
            options=RunOptions(chunk_size=CHUNK_SIZE),
        )
        skim = open_skim(folder / "skim")
        jets = skim.jets(kinds="background")
        FoldedDetector.fit(jets, detector=("kmeans", {}), k=3, seed=1).save(model)
        run_anomaly(skim, detectors={"kmeans": model}, output=folder / "scores", executor=executor)
    subprocess.run(["chmod", "-R", "a+rwX", shared], check=True)
    return Clean(folder, fileset, model)


def assert_same(clean: Path, made: Path) -> None:
    """Every part and every row of it, and what the manifest says of the physics."""
    one, other = read_manifest(clean), read_manifest(made)
    assert [chunk.key for chunk in other.chunks] == [chunk.key for chunk in one.chunks]
    assert len(one.chunks) == 6
    for chunk in one.chunks:
        part = f"{chunk.dataset}/{chunk.key}.parquet"
        assert pq.read_table(made / part).equals(pq.read_table(clean / part))
    assert other.cutflow == one.cutflow
    assert {n: d.sumw for n, d in other.datasets.items()} == {
        n: d.sumw for n, d in one.datasets.items()
    }
    if (clean / "histograms.json").exists():
        texts = [(folder / "histograms.json").read_text() for folder in (clean, made)]
        assert texts[0] == texts[1]


def drive(
    run: Run, python: str, clean: Clean, output: Path, *, harm: bool, **cluster: Any
) -> dict[str, Any]:
    output.mkdir()
    output.chmod(0o777)
    settings = {
        "output": str(output),
        "fileset": str(clean.fileset),
        "model": str(clean.model),
        "chunk_size": CHUNK_SIZE,
        "harm": harm,
        "cluster": {**JOB, "workers": 2, "log_folder": str(output / "logs"), **cluster},
    }
    (output / "settings.json").write_text(json.dumps(settings))
    said = run(python, str(DRIVE), str(output / "settings.json"))
    assert said.returncode == 0, said.stdout + said.stderr
    return dict(json.loads((output / "facts.json").read_text()))


def assert_guarded(facts: dict[str, Any]) -> None:
    """Whatever listens off loopback speaks TLS, and only with owners of our certificates."""
    assert len(facts["addresses"]) >= 3
    assert all(address.startswith("tls://") for address in facts["addresses"])
    # the scheduler's or worker's own port, on IPv4 and IPv6: no server of pages or numbers
    assert all(number <= 2 for number in facts["off_loopback"])
    assert facts["http"] == [1]
    assert facts["pages"] == []
    assert facts["plain"]
    assert facts["stranger"]


@pytest.mark.condor
def test_dask_on_htcondor_survives_a_removed_and_a_held_job(
    condor: Run, python: str, clean: Clean, shared: Path
) -> None:
    output = shared / "htcondor"
    facts = drive(condor, python, clean, output, harm=True, executor="htcondor")
    assert facts["n_harmed"] == 2
    assert facts["done_then"] < 6
    assert_guarded(facts)
    assert_same(clean.folder / "skim", output / "skim")
    assert_same(clean.folder / "scores", output / "scores")
    assert "0 jobs" in condor("condor_q", "-totals").stdout  # also the held one is gone


@pytest.mark.condor
def test_a_job_that_dies_before_its_worker_connects_is_told(
    condor: Run, python: str, clean: Clean, shared: Path
) -> None:
    with pytest.raises(AssertionError) as refused:
        drive(
            condor,
            python,
            clean,
            shared / "dying",
            harm=False,
            executor="htcondor",
            prologue=["echo no such environment >&2", "exit 3"],
            start_timeout=300,
        )
    assert "ended before their workers connected: a job ended with exit code 3" in str(
        refused.value
    )
    assert "no such environment" in str(refused.value)


@pytest.mark.slurm
def test_dask_on_slurm(slurm: Run, python: str, clean: Clean, shared: Path) -> None:
    output = shared / "slurm"
    facts = drive(slurm, python, clean, output, harm=False, executor="slurm", wall_time=600)
    assert_guarded(facts)
    assert_same(clean.folder / "skim", output / "skim")
    assert_same(clean.folder / "scores", output / "scores")


def analysis(clean: Clean, name: str, **cluster: Any) -> tuple[Path, Path, Path]:
    """Write an analysis; give it, its output and a folder for jobs."""
    folder = clean.folder.parent / name
    folder.mkdir()
    folder.chmod(0o777)
    config = {
        "name": name,
        "output": str(folder / "out"),
        "fileset": str(clean.fileset),
        "image": None,
        "detectors": [{"name": "kmeans"}],
        "chunk_size": CHUNK_SIZE,
        "cluster": {**JOB, **cluster},
    }
    (folder / "analysis.yaml").write_text(yaml.safe_dump(config))
    return folder / "analysis.yaml", folder / "out", folder / "jobs"


def wait_for(condor: Run, n_active: int, *, seconds: float = 90) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        states = condor("condor_q", "-af", "JobStatus").stdout.split()
        if sum(state in ("1", "2") for state in states) <= n_active:
            return
        time.sleep(1)
    pytest.fail("jobs are still in the queue")


@pytest.mark.condor
def test_submit_and_collect_survive_a_removed_and_a_held_job(
    condor: Run, python: str, clean: Clean
) -> None:
    oddjet = str(Path(python).with_name("oddjet"))
    wait = (
        "for i in $(seq 600); do [ -e ../../../../go-$(basename $PWD) ] && break; sleep 0.2; done"
    )
    config, output, jobs = analysis(clean, "batch", prologue=[wait])
    go = config.parent
    said = condor(oddjet, "submit", str(config), "-o", str(jobs), "--jobs", "3")
    assert "submitted 3 jobs" in said.stdout, said.stdout + said.stderr
    cluster = said.stdout.partition("as cluster ")[2].partition(";")[0]
    (go / "go-0").touch()
    wait_for(condor, 2)  # the first is done, the others wait
    condor("condor_rm", f"{cluster}.1")
    condor("condor_hold", f"{cluster}.2", "-reason", "to see what happens")
    wait_for(condor, 0)
    said = condor(oddjet, "collect", str(jobs))
    assert said.returncode == 1
    for text in ("2 of 6 chunks done", "removed", "held", "to see what", "--resubmit"):
        assert text in said.stdout
    for name in ("go-1", "go-2"):
        (go / name).touch()
    said = condor(oddjet, "collect", str(jobs), "--resubmit")
    assert said.returncode == 0, said.stdout + said.stderr
    wait_for(condor, 0)
    said = condor(oddjet, "collect", str(jobs))
    assert said.returncode == 0, said.stdout + said.stderr
    assert_same(clean.folder / "skim", output / "skim")
    assert "0 jobs" in condor("condor_q", "-totals").stdout  # also the held one is gone


@pytest.mark.condor
def test_files_go_both_ways_where_none_are_shared(condor: Run, python: str, clean: Clean) -> None:
    oddjet = str(Path(python).with_name("oddjet"))
    config, output, jobs = analysis(clean, "transfer", shared_files=False)
    # The skim comes as jobs left it: the second step reads it and a detector from an archive.
    for name in ("skim", "models"):
        condor("mkdir", "-p", str(output))
        condor("cp", "-r", str(clean.folder / name), str(output / name))
    condor("rm", "-r", str(output / "skim"))
    for step in ("skim", "score"):
        folder = str(jobs / step)
        said = condor(
            oddjet, "submit", str(config), "--step", step, "-o", folder, "--chunks-per-job", "3"
        )
        assert "submitted 2 jobs" in said.stdout, said.stdout + said.stderr
        wait_for(condor, 0)
        said = condor(oddjet, "collect", folder)
        assert said.returncode == 0, said.stdout + said.stderr
    assert_same(clean.folder / "skim", output / "skim")
    tables = [open_skim(clean.folder / "skim").n_jets, read_manifest(output / "scores").chunks]
    assert sum(chunk.n_jets for chunk in tables[1]) == tables[0]
    for chunk in read_manifest(clean.folder / "scores").chunks:
        part = f"{chunk.dataset}/{chunk.key}.parquet"
        one, other = (pq.read_table(f / part) for f in (clean.folder / "scores", output / "scores"))
        assert one.equals(other)
