"""A signal ends a command and all that it started, with the exit code that shells expect."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from oddjet.processes import START, safe_children, safe_command

pytestmark = pytest.mark.usefixtures("heard_signals")

COMMAND = """
import subprocess, sys, time
from oddjet import processes
from oddjet.analysis.cli import app as command_line
from oddjet.analysis.cli.console import exit_on_error

processes._GRACE = 3.0
child = [sys.executable, "-c", "import time; time.sleep(60)"]

def close():
    print("closed", flush=True)

{body}
def app():
    with exit_on_error():
        command()

command_line.app = app
command_line.main()
"""
WORK = """
def command():
    subprocess.Popen(child)
    try:
        print("ready", flush=True)
        time.sleep(60)
    finally:
        close()
"""
DEAF_LIBRARY = """
def command():
    subprocess.Popen(child)
    ready = iter(["ready"])
    while True:
        try:
            print(next(ready, "again"), flush=True)
            time.sleep(60)
        except BaseException:
            close()
"""
SLOW_TO_CLOSE = """
processes._GRACE = 60.0
def command():
    subprocess.Popen(child)
    try:
        print("ready", flush=True)
        time.sleep(60)
    finally:
        close()
        time.sleep(60)
"""
CHILD_IN_THE_BLOCK = """
def command():
    with processes.deaf_children():
        deaf = subprocess.Popen(child)
    try:
        print("ready", flush=True)
        time.sleep(60)
    finally:
        time.sleep(0.5)
        print("closed", deaf.poll(), flush=True)
"""


SIGNAL_IN_THE_BLOCK = """
def command():
    subprocess.Popen(child)
    try:
        with processes.deaf_children():
            print("ready", flush=True)
            until = time.monotonic() + 1
            while time.monotonic() < until:
                time.sleep(0.01)
            print("started", flush=True)
        time.sleep(60)
    finally:
        close()
"""


def run(
    body: str, end: Callable[[subprocess.Popen[str]], None], *before: str
) -> tuple[int, str, str]:
    """Run a command until it is ready, end it, and see that nothing it started is left."""
    with subprocess.Popen(
        [*before, sys.executable, "-c", COMMAND.format(body=body)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        started = psutil.Process(process.pid).children(recursive=True)
        assert started
        end(process)
        output, errors = process.communicate(timeout=20)
    _, left = psutil.wait_procs(started, timeout=5)
    for child in left:
        child.kill()
    assert not left
    assert "Traceback" not in errors
    return process.returncode, output, errors


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_a_signal_closes_what_is_open_and_tells_the_shell(number: int, code: int) -> None:
    returned, output, errors = run(WORK, lambda process: process.send_signal(number))
    assert returned == code
    assert output == "closed\n"
    assert f"interrupted: {signal.Signals(number).name}" in errors


def test_a_library_that_swallows_the_exception_ends_as_well() -> None:
    returned, output, _ = run(DEAF_LIBRARY, lambda process: process.terminate())
    assert (returned, output) == (143, "closed\nagain\n")


def test_the_second_signal_waits_for_nothing() -> None:
    def twice(process: subprocess.Popen[str]) -> None:
        process.send_signal(signal.SIGINT)
        assert process.stdout is not None
        assert process.stdout.readline() == "closed\n"
        process.send_signal(signal.SIGINT)  # to the group as well: the same one
        time.sleep(0.8)
        process.terminate()

    assert run(SLOW_TO_CLOSE, twice)[0] == 143


def test_nohup_is_respected() -> None:
    def twice(process: subprocess.Popen[str]) -> None:
        process.send_signal(signal.SIGHUP)
        process.terminate()

    assert run(WORK, twice, "nohup")[0] == 143


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_what_is_being_started_is_started_whole(number: int, code: int) -> None:
    returned, output, _ = run(SIGNAL_IN_THE_BLOCK, lambda process: process.send_signal(number))
    assert (returned, output) == (code, "started\nclosed\n")


def test_workers_do_not_hear_what_a_terminal_sends_to_all() -> None:
    returned, output, _ = run(
        CHILD_IN_THE_BLOCK, lambda process: os.killpg(process.pid, signal.SIGINT)
    )
    assert (returned, output) == (130, "closed None\n")


def test_the_environment_is_as_before_after_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    for before in (None, "", "1"):
        if before is None:
            monkeypatch.delenv("PYTHONSAFEPATH", raising=False)
        else:
            monkeypatch.setenv("PYTHONSAFEPATH", before)
        with safe_children():
            assert os.environ["PYTHONSAFEPATH"] == "1"
        assert os.environ.get("PYTHONSAFEPATH") == before


@pytest.mark.parametrize("options", [["-c", "import runpy, platform"], ["-m", "platform"]])
def test_commands_are_safe_without_the_variable(tmp_path: Path, options: list[str]) -> None:
    """As with Python 3.10, which does not know it."""
    for module in ("runpy", "platform"):
        (tmp_path / f"{module}.py").write_text("raise SystemExit(7)\n", encoding="utf-8")
    plain = [sys.executable, *options]
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONSAFEPATH"}
    for command, code in ((plain, 7), (safe_command(plain), 0)):
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, check=False, timeout=20
        )
        assert done.returncode == code, done.stderr
    assert safe_command(["python", "-m", "a", "b"]) == ["python", "-c", START, "a", "b"]


def test_python_without_the_variable_starts_workers_safely(tmp_path: Path) -> None:
    """`-E` makes Python ignore it, as version 3.10 does."""
    (tmp_path / "threading.py").write_text(
        "open('ran', 'w')\nraise SystemExit(7)\n", encoding="utf-8"
    )
    work = (
        "import sys; sys.path[:] = sys.argv[1:]\n"
        "from oddjet.condor import Cluster, open_executor\n"
        "with open_executor(Cluster(executor='futures', workers=1)) as executor:\n"
        "    print(executor([1, 2], abs, 0)[0])\n"
    )
    command = [sys.executable, "-E", "-W", "ignore", "-c", work, *filter(None, sys.path)]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.stdout, done.returncode) == ("3\n", 0), done.stderr
    assert not (tmp_path / "ran").exists()
