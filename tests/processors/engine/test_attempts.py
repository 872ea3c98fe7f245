"""What is tried again, how long is waited, and what a failure becomes."""

from __future__ import annotations

import errno
from typing import Any

import pytest

from oddjet.errors import LinkError, UnreachableError
from oddjet.processors.engine import attempts as module
from oddjet.processors.engine.attempts import Attempts, attempt_chunk
from oddjet.processors.events.source import ChunkSource


def chunk(file: str = "/data/a.root", **more: Any) -> ChunkSource:
    fields: dict[str, Any] = {
        "dataset": "some", "kind": "background", "truth": (), "file": file, "file_uuid": "u",
        "tree": "Events", "entry_start": 0, "entry_stop": 10, "reader_name": "", "key": "k",
    }  # fmt: skip
    return ChunkSource(**fields | more)


class Clock:
    """Time that only goes on when somebody sleeps or works."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.waits: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


def failing(errors: list[Exception], clock: Clock, seconds: float = 0.0) -> Any:
    """Work that raises these errors, one a try, and then ends well."""

    def work(n_tries: int) -> dict[str, Any]:
        clock.now += seconds
        if n_tries < len(errors):
            raise errors[n_tries]
        return {"tries": n_tries + 1}

    return work


def test_transient_errors_are_tried_again_with_growing_waits(clock: Clock) -> None:
    work = failing([OSError("a"), TimeoutError("b"), OSError(errno.EIO, "c")], clock)
    assert attempt_chunk(chunk(), work, Attempts(retries=3)) == {"tries": 4}
    for n, wait in enumerate(clock.waits):
        assert 0.5 * 2**n <= wait <= 2**n
    assert len(clock.waits) == 3


def test_waits_differ_and_have_a_limit() -> None:
    attempts = Attempts(first_wait=1, longest_wait=8)
    waits = {attempts.wait(20) for _ in range(50)}
    assert len(waits) > 40
    assert all(4 <= wait <= 8 for wait in waits)


@pytest.mark.parametrize(
    "error",
    [
        LinkError("an index is out of range"),
        FileNotFoundError("gone"),
        PermissionError("not yours"),
        OSError(errno.ENOSPC, "disk is full"),
        ValueError("damaged"),
        MemoryError("a lot"),
    ],
)
def test_lasting_errors_are_not_tried_again(clock: Clock, error: Exception) -> None:
    result = attempt_chunk(chunk(), failing([error] * 9, clock), Attempts())
    (failure,) = result["failures"].values()
    assert clock.waits == []
    assert str(error).split("]")[-1].strip() in failure["message"]
    assert "tried" not in failure["message"]
    expected = {"LinkError": "LinkError", "MemoryError": "ChunkTooLargeError"}
    assert failure["error"] == expected.get(type(error).__name__, "ProcessingError")


def test_what_fails_for_good_is_listed_with_its_error(clock: Clock) -> None:
    result = attempt_chunk(chunk(), failing([OSError("broken disk")] * 9, clock), Attempts())
    assert result["failures"]["k"] == {
        "error": "ProcessingError",
        "message": "OSError: broken disk (tried 4 times)",
        "where": "/data/a.root, entries [0, 10)",
        "n_events": 10,
    }


def test_the_cause_behind_coffeas_error_counts(clock: Clock) -> None:
    def work(n_tries: int) -> dict[str, Any]:
        if n_tries:
            return {"tries": n_tries + 1}
        try:
            raise ConnectionResetError
        except ConnectionResetError as error:
            raise Exception from error  # noqa: TRY002

    assert attempt_chunk(chunk(), work, Attempts()) == {"tries": 2}


def test_a_silent_server_is_given_up_within_four_timeouts_and_left_alone(clock: Clock) -> None:
    url, timeout = "root://one.org//a.root", 60.0
    attempts = Attempts(retries=50, longest_wait=5)
    started = clock.now
    work = failing([TimeoutError("Operation expired")] * 99, clock, seconds=timeout)
    result = attempt_chunk(chunk(url, timeout=timeout), work, attempts)
    assert result["failures"]["k"]["error"] == "UnreachableError"
    assert 2 * timeout < clock.now - started <= 4 * timeout

    started = clock.now
    result = attempt_chunk(chunk(url, timeout=timeout), work, attempts)
    assert "root://one.org" in result["failures"]["k"]["message"]
    assert clock.now == started
    healthy = failing([], clock)
    assert attempt_chunk(chunk("root://two.org//a.root"), healthy, attempts) == {"tries": 1}
    assert attempt_chunk(chunk(url), healthy, Attempts()) == {"tries": 1}  # another run
    clock.now += timeout + 1
    assert attempt_chunk(chunk(url), healthy, attempts) == {"tries": 1}


def test_a_slow_chunk_is_tried_again_when_its_disk_fails(clock: Clock) -> None:
    work = failing([OSError("stale file handle")], clock, seconds=3600)
    assert attempt_chunk(chunk(timeout=60.0), work, Attempts()) == {"tries": 2}


def test_a_file_that_one_server_lacks_may_be_on_the_next(clock: Clock) -> None:
    source = chunk("root://one.org//a.root", fallbacks=("root://two.org//a.root",))
    work = failing([FileNotFoundError("no such file")], clock)
    assert attempt_chunk(source, work, Attempts()) == {"tries": 2}
    error = UnreachableError("one.org is down")
    assert attempt_chunk(source, failing([error], clock), Attempts()) == {"tries": 2}
