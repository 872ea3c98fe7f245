"""Work that is done once: results kept under keys, made in several processes, and gone on with later.

A `Task` knows the file of its result, how to read it and how to make it; the file's name is a key of
all that the result depends on. `run_tasks` makes what is missing and gives the results of all.
"""

from __future__ import annotations

import contextlib
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from oddjet.condor.cluster import open_executor
from oddjet.condor.site import Cluster
from oddjet.datasets.disk.atomic import write_text
from oddjet.datasets.disk.state import read_state, write_state
from oddjet.errors import ProcessingError
from oddjet.processors.engine.progress import Reporter, SilentReporter

__all__ = ["Task", "keep_json", "local_cluster", "read_json", "resumable", "run_tasks"]

T = TypeVar("T")

LOOK_SECONDS = 1.0
FAILED = ".failed"


@dataclass(frozen=True)
class Task(Generic[T]):
    """A piece of work with a result on disk.

    Attributes:
        label: What messages call it.
        file: Written last by `run`; it exists once the work is done. Tasks of one file are one work.
        read: Reads the result; None if it is missing or not whole.
        run: Makes and writes it, in a worker.
        cost: Rough seconds; the longest work begins first.
    """

    label: str
    file: Path
    read: Callable[[], T | None]
    run: Callable[[], object]
    cost: float = 0.0


def run_tasks(
    tasks: Sequence[Task[T]],
    *,
    cluster: Cluster,
    step: str,
    unit: str,
    reporter: Reporter | None = None,
) -> list[T]:
    """Do the work that has no result yet, and give the results of all.

    A failure does not stop the others; all are named at the end.

    Args:
        tasks: The work.
        cluster: Where it is done; workers use one thread each.
        step: What is done, for the progress.
        unit: What one task is called, in the plural.
        reporter: Receives progress.

    Returns:
        One result a task, in the order given.

    Raises:
        ProcessingError: Tasks failed or a worker died; the results of the others are kept.
    """
    reporter = reporter or SilentReporter()
    results = [task.read() for task in tasks]
    missing = {
        task.file: task for task, result in zip(tasks, results, strict=True) if result is None
    }
    n_files = len({task.file for task in tasks})
    reporter.log(f"{n_files} {unit}, {n_files - len(missing)} of them done before")
    if missing:
        _run(sorted(missing.values(), key=lambda task: -task.cost), cluster, step, unit, reporter)
    results = [
        task.read() if result is None else result
        for task, result in zip(tasks, results, strict=True)
    ]
    lost = [task.label for task, result in zip(tasks, results, strict=True) if result is None]
    if lost:
        msg = (
            f"{len(lost)} of {len(tasks)} {unit} left no result: {'; '.join(lost[:5])}. Call again."
        )
        raise ProcessingError(msg)
    return [result for result in results if result is not None]


def _run(
    tasks: Sequence[Task[Any]], cluster: Cluster, step: str, unit: str, reporter: Reporter
) -> None:
    for task in tasks:
        task.file.parent.mkdir(parents=True, exist_ok=True)
        task.file.unlink(missing_ok=True)  # not whole, or it would have been read
        task.file.with_suffix(FAILED).unlink(missing_ok=True)
    try:
        with open_executor(cluster) as executor, _watched(tasks, step, unit, reporter):
            executor([(task.run, task.file.with_suffix(FAILED)) for task in tasks], _attempt, None)
    except BrokenExecutor as error:
        msg = (
            f"a worker died, most likely for want of memory: use fewer workers, and call again to "
            f"continue. {error}"
        )
        raise ProcessingError(msg) from error
    failures = [
        f"{task.label}: {file.read_text(encoding='utf-8')}"
        for task in tasks
        if (file := task.file.with_suffix(FAILED)).exists()
    ]
    if failures:
        msg = (
            f"{len(failures)} of {len(tasks)} {unit} failed; what has succeeded is kept and is not run "
            f"again:\n" + "\n".join(failures)
        )
        raise ProcessingError(msg)


def _attempt(item: tuple[Callable[[], object], Path]) -> dict[str, int]:
    """Do one task in a worker; its error goes to a file, so that the others go on."""
    run, failed = item
    try:
        run()
    except Exception as error:  # noqa: BLE001 - reported at the end, with the others
        write_text(failed, f"{type(error).__name__}: {error}")
        return {"failed": 1}
    return {"done": 1}


@contextlib.contextmanager
def _watched(
    tasks: Sequence[Task[Any]], step: str, unit: str, reporter: Reporter
) -> Iterator[None]:
    """Report results and failures as their files appear, whichever worker wrote them."""
    pending, ended = list(tasks), threading.Event()
    with reporter.track(step, len(tasks), unit) as update:

        def look() -> None:
            for task in tuple(pending):
                failed = task.file.with_suffix(FAILED)
                if failed.exists():
                    reporter.log(f"{task.label} failed: {failed.read_text(encoding='utf-8')}")
                elif task.file.exists():
                    reporter.log(task.label)
                else:
                    continue
                pending.remove(task)
            update(len(tasks) - len(pending))

        def watch() -> None:
            while not ended.wait(LOOK_SECONDS):
                look()

        thread = threading.Thread(target=watch, daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
            look()


def local_cluster(workers: int) -> Cluster:
    """Describe work on this machine: in this process for one worker, else in a pool."""
    return Cluster(executor="futures" if workers > 1 else "iterative", workers=workers)


def keep_json(function: Callable[..., dict[str, Any]], item: Any, file: Path) -> None:
    """Call a function of one item and keep what it gives, ready for JSON, in a file."""
    write_state(file, function(item))


def read_json(file: Path) -> dict[str, Any] | None:
    """Read what `keep_json` kept; None if it is missing, or not what was written."""
    return read_state(file, dict[str, Any])


@contextlib.contextmanager
def resumable(folder: Path | None) -> Iterator[Path | None]:
    """Give work a folder for its state, which stays after an interruption and not after the end."""
    yield folder
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)
