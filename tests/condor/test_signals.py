"""Signals to a command that has workers: all of them end with it, and none says a word."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

COMMAND = """
import sys, time
from oddjet.analysis.cli import app as command_line
from oddjet.analysis.cli.console import exit_on_error
from oddjet.condor import Cluster, open_executor

def work(folder):
    open(f"{folder}/{time.monotonic_ns()}", "w").close()
    time.sleep(60)

def command():
    kind, folder = sys.argv[1:]
    with open_executor(Cluster(executor=kind, workers=1)) as executor:
        executor([folder] * 30, work, None)

def app():
    with exit_on_error():
        command()

if __name__ == "__main__":
    command_line.app = app
    command_line.main()
"""


def left_by(script: Path, kind: str, number: int, *, to_all: bool) -> tuple[int, str]:
    """End a command once its worker is at work; give its exit code and what it said."""
    folder = script.parent / "begun"
    folder.mkdir()
    with subprocess.Popen(
        [sys.executable, str(script), kind, str(folder)],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as command:
        until = time.monotonic() + 60
        while not list(folder.iterdir()):
            assert command.poll() is None
            assert time.monotonic() < until
            time.sleep(0.05)
        workers = psutil.Process(command.pid).children(recursive=True)
        assert workers
        started = time.monotonic()
        (os.killpg if to_all else os.kill)(command.pid, number)
        errors = command.communicate(timeout=30)[1]
        assert time.monotonic() - started < 15  # the work would have taken a minute
    _, left = psutil.wait_procs(workers, timeout=5)
    for process in left:
        process.kill()
    assert not left
    return command.returncode, errors


@pytest.mark.slow
@pytest.mark.usefixtures("heard_signals")
@pytest.mark.parametrize(
    ("kind", "number", "to_all", "code"),
    [
        pytest.param("futures", signal.SIGINT, True, 130, marks=pytest.mark.long),
        ("futures", signal.SIGTERM, False, 143),
        ("dask", signal.SIGINT, True, 130),
        pytest.param("dask", signal.SIGTERM, False, 143, marks=pytest.mark.long),
        ("dask", signal.SIGKILL, False, -9),
    ],
)
def test_no_worker_is_left(tmp_path: Path, kind: str, number: int, to_all: bool, code: int) -> None:
    script = tmp_path / "command.py"
    script.write_text(COMMAND)
    returned, errors = left_by(script, kind, number, to_all=to_all)
    assert returned == code
    if number != signal.SIGKILL:
        assert "Traceback" not in errors
        assert f"interrupted: {signal.Signals(number).name}" in errors
        assert len(errors.splitlines()) <= 3
