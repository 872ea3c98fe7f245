"""A run that is ended at any moment leaves no process, and goes on to what a clean run gives."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest
import yaml
from toy_tables import SMALL_HUNT

MOMENTS = 30
KINDS = ("iterative", "futures", "dask")
CODES = {
    signal.SIGINT: (130, -signal.SIGINT),  # the latter while Python itself starts
    signal.SIGTERM: (143, -signal.SIGTERM),
    signal.SIGKILL: (-signal.SIGKILL,),
}


class Clean(NamedTuple):
    """An analysis, what a clean run of it gives, and how long it takes with each executor [s]."""

    config: Path
    outputs: dict[str, str]
    seconds: dict[str, float]


def start(config: Path, output: Path, kind: str) -> subprocess.Popen[str]:
    """Run an analysis in a session of its own."""
    command = [str(Path(sys.executable).with_name("oddjet")), "run", str(config)]
    changes = {"output": output, "cluster.executor": kind, "cluster.workers": 2}
    for key, value in changes.items():
        command += ["--set", f"{key}={value}"]
    return subprocess.Popen(
        command,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def session(leader: int) -> list[psutil.Process]:
    """Every process of a session: the command's, whoever its parent is now."""
    members = []
    for process in psutil.process_iter():
        try:
            if os.getsid(process.pid) == leader and process.status() != psutil.STATUS_ZOMBIE:
                members.append(process)
        except (OSError, psutil.Error):
            continue
    return members


def outputs(folder: Path) -> dict[str, str]:
    """What a run gives: digests of rows and histograms, and the report's numbers."""
    files = [p for name in ("skim", "scores") for p in sorted((folder / name).rglob("*.parquet"))]
    files.append(folder / "scores" / "histograms.json")
    digests = {str(p.relative_to(folder)): sha256(p.read_bytes()).hexdigest() for p in files}
    report = json.loads((folder / "report.json").read_text())
    return {**digests, "summary": json.dumps(report["summary"], sort_keys=True)}


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Clean:
    folder = tmp_path_factory.mktemp("signals")
    simulated = {
        name: {
            "kind": kind,
            "simulate": {"process": name, "n_events": n, "seed": 1, "pt_hat_min": 350},
        }
        for name, kind, n in (("qcd", "background", 1000), ("w", "signal", 300))
    }
    content = {
        "name": "ended by signals",
        "output": str(folder / "first"),
        "samples": str(folder / "samples"),
        "fileset": {"datasets": simulated},
        "selection": {"pt_min": 350},
        "detectors": [{"name": "kmeans", "hyper_parameters": {"k": 5}}],
        "decorrelation": {"methods": ["ddt"]},
        "hunt": SMALL_HUNT,
        "pseudo_data": {"lumi_ifb": 0.00012, "seed": 1},
        "folds": 2,
        "chunk_size": 100,
    }
    config = folder / "analysis.yaml"
    config.write_text(yaml.safe_dump(content))
    seconds: dict[str, float] = {}
    results: dict[str, dict[str, str]] = {}
    for kind in ("iterative", *KINDS):  # the first one also simulates
        output = folder / f"{kind}{len(seconds)}"
        began = time.monotonic()
        run = start(config, output, kind)
        assert run.wait(600) == 0, run.communicate()[1]
        seconds[kind] = time.monotonic() - began
        results[kind] = outputs(output)
    assert results["iterative"] == results["futures"] == results["dask"]
    return Clean(config, results["iterative"], seconds)


def end_and_repeat(clean: Clean, output: Path, kind: str, number: int, after: float) -> int:
    """End a run after some seconds, and repeat it; gives the first one's exit code."""
    run = start(clean.config, output, kind)
    time.sleep(after)
    run.send_signal(number)
    errors = run.communicate(timeout=40)[1]
    until = time.monotonic() + 5
    while (left := session(run.pid)) and time.monotonic() < until:
        time.sleep(0.1)
    for process in left:
        process.kill()
    assert not left
    assert run.returncode in (*CODES[signal.Signals(number)], 0)
    if run.returncode > 0:
        assert "Traceback" not in errors
    again = start(clean.config, output, kind)
    errors = again.communicate(timeout=600)[1]
    assert again.returncode == 0, errors
    assert outputs(output) == clean.outputs
    return run.returncode


@pytest.mark.long
@pytest.mark.usefixtures("heard_signals")
@pytest.mark.parametrize("number", list(CODES), ids=lambda number: signal.Signals(number).name)
@pytest.mark.parametrize("kind", KINDS)
def test_a_run_that_is_ended_anywhere_goes_on(
    clean: Clean, tmp_path: Path, kind: str, number: int
) -> None:
    moments = random.Random(f"{kind} {number}")
    codes = [
        end_and_repeat(
            clean, tmp_path / str(i), kind, number, moments.uniform(0, clean.seconds[kind])
        )
        for i in range(MOMENTS)
    ]
    assert sum(code != 0 for code in codes) > MOMENTS // 2
