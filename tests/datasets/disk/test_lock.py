"""Two writers in one folder: the second is told, the first's death frees it."""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from oddjet.datasets.disk.lock import LOCK, lock_folder
from oddjet.errors import ProcessingError

HOLD = """
import sys, time
from oddjet.datasets.disk.lock import lock_folder
with lock_folder(sys.argv[1]):
    print("held", flush=True)
    time.sleep(60)
"""


def test_the_second_writer_is_told_who_the_first_is(tmp_path: Path) -> None:
    with (
        lock_folder(tmp_path / "new"),
        pytest.raises(ProcessingError, match=rf"new: process {os.getpid()} on .* also writes here"),
        lock_folder(tmp_path / "new"),
    ):
        pass
    with lock_folder(tmp_path / "new"), lock_folder(tmp_path / "other"):
        assert (tmp_path / "new" / LOCK).exists()
        (tmp_path / "new" / "a").touch()
    assert not list(tmp_path.rglob(".*"))
    assert [path.name for path in tmp_path.iterdir()] == ["new"]  # the other stayed empty


def test_a_killed_writer_holds_nothing(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "held\n"
        with (
            pytest.raises(ProcessingError, match=f"process {writer.pid} on "),
            lock_folder(tmp_path),
        ):
            pass
        writer.kill()
        writer.wait()
        with lock_folder(tmp_path):
            assert (tmp_path / LOCK).exists()
    assert not (tmp_path / LOCK).exists()


def test_an_error_inside_frees_it(tmp_path: Path) -> None:
    with pytest.raises(KeyError), lock_folder(tmp_path):
        raise KeyError
    with lock_folder(tmp_path):
        pass


def test_a_file_that_was_replaced_meanwhile_is_not_the_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first holder removes its file just before the second one gets a lock on it."""
    flock = fcntl.flock
    calls: list[int] = []

    def late(descriptor: int, operation: int) -> None:
        if not calls:
            (tmp_path / LOCK).unlink()
        calls.append(descriptor)
        flock(descriptor, operation)

    monkeypatch.setattr("oddjet.datasets.disk.lock.fcntl.flock", late)
    with lock_folder(tmp_path):
        assert len(calls) == 2
        assert (tmp_path / LOCK).exists()


def test_without_locks_there_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def none(*_: Any) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("oddjet.datasets.disk.lock.fcntl.flock", none)
    caplog.set_level("WARNING", "oddjet")
    with lock_folder(tmp_path):
        pass
    assert "no locks here" in caplog.text
