"""What a job says when it fails, which the pool keeps in its log."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from oddjet.analysis.jobs import worker
from oddjet.errors import ProcessingError


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (FileExistsError(errno.EEXIST, "File exists", "parts"), "parts: File exists"),
        (OSError(errno.ENOSPC, "No space left on device", "parts/a"), "the disk is full"),
        (PermissionError(errno.EACCES, "Permission denied", "parts"), "change the permissions"),
        (MemoryError(), "not enough memory"),
        (ProcessingError("of https://a/b?token=secret"), "of https://a/b"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_failures_are_messages(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: Exception,
    told: str,
) -> None:
    def fail(*_: Path, executor: object) -> None:
        raise error

    monkeypatch.setattr(worker, "run_job", fail)
    assert worker.main(["job.json", "parts"]) == 1
    errors = capsys.readouterr().err
    assert errors.startswith(f"error: {type(error).__name__}\n")
    assert told in errors
    assert "secret" not in errors


def test_mistakes_of_the_code_keep_their_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Path, executor: object) -> None:
        raise KeyError

    monkeypatch.setattr(worker, "run_job", fail)
    with pytest.raises(KeyError):
        worker.main(["job.json", "parts"])
