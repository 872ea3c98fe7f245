"""Doing a chunk, again where that can help, and turning what fails for good into a result."""

from __future__ import annotations

import logging
import random
import time
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from coffea.processor.executor import ExecutorBase

from oddjet.datasets.disk.garbage import collect_garbage
from oddjet.datasets.disk.remote import (
    is_remote,
    is_transient,
    is_unreachable,
    open_options,
    open_root,
    server_of,
)
from oddjet.datasets.skims.parts import read_part_record
from oddjet.errors import (
    BadFileError,
    ChunkTooLargeError,
    OddjetError,
    UnreachableError,
    without_queries,
)
from oddjet.processors.engine.chunkwise import Failure
from oddjet.processors.events.source import ChunkSource

__all__ = ["Attempts", "attempt_chunk", "attempt_item", "failure_of", "without_retries"]

logger = logging.getLogger(__name__)

_SILENT_UNTIL: dict[tuple[str, str], float] = {}
"""Run and server to when it may be asked again, in this worker."""


@dataclass(frozen=True)
class Attempts:
    """How often and how patiently a chunk is tried.

    A wait is `first_wait` · 2ⁿ, at most `longest_wait`, times a random number between ½ and 1, so that
    a thousand workers do not come back together. A server that does not answer is given up so that
    no more than four timeouts go by; the worker then fails what else is on it at once, and asks
    again after another timeout.

    Attributes:
        retries: Further tries after the first one.
        first_wait: Before the first of them [s].
        longest_wait: Before any [s].
        output: Folder where a part may exist already, made by a worker that was lost afterwards.
        images: Whether such a part has images.
        run: Distinguishes runs.
    """

    retries: int = 3
    first_wait: float = 1.0
    longest_wait: float = 60.0
    output: Path | None = None
    images: bool = False
    run: str = field(default_factory=lambda: uuid.uuid4().hex)

    @classmethod
    def from_executor(cls, executor: ExecutorBase) -> Attempts:
        """Give the attempts of an executor: its `retries`, and at least the default."""
        return cls(retries=max(getattr(executor, "retries", 0), cls.retries))

    def wait(self, n_tries: int) -> float:
        """Give the seconds to wait after a number of tries."""
        longest = min(self.first_wait * 2.0 ** (n_tries - 1), self.longest_wait)
        return float(longest * random.uniform(0.5, 1.0))


def without_retries(executor: ExecutorBase) -> ExecutorBase:
    """Copy an executor so that it does not try again what has been tried already.

    A copy also because coffea's Runner leaves the processor in Dask executors.
    """
    return executor.copy(**({"retries": 0} if hasattr(executor, "retries") else {}))


def attempt_chunk(
    source: ChunkSource, work: Callable[[int], dict[str, Any]], attempts: Attempts
) -> dict[str, Any]:
    """Do a chunk; try again what is transient; give what fails as a result.

    Returns:
        The accumulator, or one with nothing but the failure under `failures`.
    """
    if attempts.output is not None:
        record = read_part_record(attempts.output, source.dataset, source.key)
        if record is not None and record.images == attempts.images:
            return {"records": {source.key: record.model_dump(mode="json")}}
    silent = (attempts.run, server_of(source.file))
    if time.monotonic() < _SILENT_UNTIL.get(silent, 0.0):
        msg = f"{source.where}: not tried, {silent[1]} has just not answered for another chunk"
        return failure_of(source, UnreachableError(msg))
    silent_since: float | None = None
    n_tries = 0
    while True:
        started = time.monotonic()
        try:
            with collect_garbage():
                return work(n_tries)
        except Exception as error:  # noqa: BLE001 (every failure is listed with its chunk)
            n_tries += 1
            wait = attempts.wait(n_tries)
            again = n_tries <= attempts.retries and _may_help(error, source)
            if again and is_remote(source.file) and is_unreachable(error):
                silent_since = silent_since or started
                # A try may take two timeouts: one to read, one to close.
                given_up = silent_since + 1.5 * source.timeout
                if time.monotonic() + wait > given_up:
                    again = False
            if not again:
                if is_remote(source.file) and is_unreachable(error):
                    _SILENT_UNTIL[silent] = time.monotonic() + source.timeout
                return failure_of(source, error, n_tries=n_tries)
            logger.warning("%s: %s; trying again in %.1f s", source.where, _describe(error), wait)
            time.sleep(wait)


def attempt_item(
    function: Callable[..., dict[str, Any]], attempts: Attempts, *args: Any, **options: Any
) -> dict[str, Any]:
    """Do a work item of coffea's; each try opens the file again, at the next of its places."""
    *before, last = args
    item = last[0] if isinstance(last, tuple) else last
    source = ChunkSource.from_metadata(item.usermeta)
    places = source.places

    def work(n_tries: int) -> dict[str, Any]:
        place = places[n_tries % len(places)]
        moved = replace(item, filename=place)
        if n_tries % len(places):
            _check_uuid(source, place)
        uproot_options = {
            **options["uproot_options"],
            **open_options(place, timeout=source.timeout),
        }
        last_again = (moved, *last[1:]) if isinstance(last, tuple) else moved
        result = function(*before, last_again, **{**options, "uproot_options": uproot_options})
        return dict(result["out"])

    return {"out": attempt_chunk(source, work, attempts), "processed": {item}}


def failure_of(source: ChunkSource, error: Exception, *, n_tries: int = 1) -> dict[str, Any]:
    """Write an error down as a chunk's result.

    Returns:
        An accumulator with nothing but the failure under `failures`.
    """
    name = type(error).__name__ if isinstance(error, OddjetError) else "ProcessingError"
    if not isinstance(error, OddjetError):
        if isinstance(_cause(error), MemoryError):
            name = ChunkTooLargeError.__name__
        elif is_remote(source.file) and is_unreachable(error):
            name = UnreachableError.__name__
    times = f" (tried {n_tries} times)" if n_tries > 1 else ""
    failure = Failure(name, f"{_describe(error)}{times}", source.where, len(source))
    return {"failures": {source.key: asdict(failure)}}


def _may_help(error: Exception, source: ChunkSource) -> bool:
    """Whether to try again; a file missing on one server may be on the next."""
    return is_transient(error) or (
        len(source.places) > 1 and isinstance(_cause(error), OSError | BadFileError)
    )


def _cause(error: BaseException) -> BaseException:
    """What coffea's wrapping hides: it raises bare exceptions that carry the cause."""
    while type(error) is Exception and error.__cause__ is not None:
        error = error.__cause__
    return error


def _describe(error: Exception) -> str:
    cause = _cause(error)
    if isinstance(cause, OddjetError):
        return str(cause)
    if isinstance(cause, MemoryError):
        return f"out of memory ({cause}); give a smaller chunk_size; of a skim that is scored, when it is made"
    text = " ".join(str(cause).split())
    return f"{type(cause).__name__}: {without_queries(text)}"


def _check_uuid(source: ChunkSource, place: str) -> None:
    """Another server must have the same file, not one of the same name."""
    with open_root(place, timeout=source.timeout) as file:
        actual = str(file.file.uuid)
    if actual != source.file_uuid:
        msg = (
            f"{place} is another file (uuid {actual}) than {source.file} (uuid {source.file_uuid})"
        )
        raise BadFileError(msg)
