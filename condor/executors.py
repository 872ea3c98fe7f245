"""coffea executors that draw no progress bars and stop cleanly at the first error.

coffea's iterative and futures executors draw their bar whatever ``status`` says, and its futures
executor prints the traceback and then runs every chunk that is still queued. The three executors
here keep coffea's interface, so that `coffea.processor.Runner` takes them as its own.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import logging
import os
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import loky
from coffea.processor import DaskExecutor, FuturesExecutor, IterativeExecutor, accumulate
from loky.backend import resource_tracker

from oddjet.errors import ConfigError
from oddjet.processes import deaf_children, end_with_owner

__all__ = ["LastingPool", "PoolExecutor", "SerialExecutor", "WorkersExecutor"]


class LastingPool(concurrent.futures.Executor):
    """A pool of processes that outlives the death of a worker, and does not outlive its owner.

    A pool that lost a worker fails what it had and takes nothing more; here, what is submitted then
    goes to a new one. A worker whose owner was killed would wait for work for ever, or go on with
    what was queued; here it ends. What Ctrl-C or another signal interrupts is not waited for: parts
    appear whole or not at all, so workers are killed.

    Args:
        workers: Number of processes.
        env: Environment variables of theirs.
    """

    def __init__(self, workers: int, env: dict[str, str]) -> None:
        self._workers, self._env = workers, env
        self._pool = self._open()

    def _open(self) -> Any:
        resource_tracker.ensure_running()  # its start would let workers hear Ctrl-C
        return loky.ProcessPoolExecutor(
            max_workers=self._workers,
            env=self._env,
            initializer=end_with_owner,
            initargs=(os.getpid(),),
        )

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        """End the workers: once they are done, or at once after an interruption."""
        is_interrupted = error is not None and not isinstance(error, Exception)
        # loky complains of what is cancelled when it kills.
        with _quiet("concurrent.futures") if is_interrupted else contextlib.nullcontext():
            self._pool.shutdown(wait=True, kill_workers=is_interrupted)

    def submit(
        self, function: Callable[..., Any], /, *args: Any, **kwargs: Any
    ) -> concurrent.futures.Future[Any]:
        """Hand out a call; see `concurrent.futures.Executor.submit`."""
        future: concurrent.futures.Future[Any]
        with deaf_children():
            try:
                future = self._pool.submit(function, *args, **kwargs)
            except concurrent.futures.BrokenExecutor:
                self._pool.shutdown(wait=True)
                self._pool = self._open()
                future = self._pool.submit(function, *args, **kwargs)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the workers once they are done; see `concurrent.futures.Executor.shutdown`."""
        del cancel_futures  # loky has none
        self._pool.shutdown(wait=wait)


@contextlib.contextmanager
def _quiet(name: str) -> Iterator[None]:
    """Let a library's logger say nothing in the block."""
    log = logging.getLogger(name)
    was, log.disabled = log.disabled, True
    try:
        yield
    finally:
        log.disabled = was


@dataclass
class SerialExecutor(IterativeExecutor):  # type: ignore[misc]
    """One item after the other, in this process."""

    status: bool = False
    retries: int = 0

    def __call__(
        self, items: Sequence[Any], function: Callable[[Any], Any], accumulator: Any
    ) -> tuple[Any, int]:
        """Apply a function to every item and add the results up."""
        if len(items) == 0:
            return accumulator, 0
        return accumulate(map(function, items), accumulator), 0


@dataclass
class PoolExecutor(FuturesExecutor):  # type: ignore[misc]
    """Items spread over the processes of a pool that the caller opens and closes."""

    status: bool = False
    retries: int = 0
    compression: int | None = None

    def __call__(
        self, items: Sequence[Any], function: Callable[[Any], Any], accumulator: Any
    ) -> tuple[Any, int]:
        """Apply a function to every item and add the results up as they come.

        At the first error what is queued is cancelled, what runs is waited for, and the error
        raised; an interruption is raised at once.

        Raises:
            ConfigError: ``pool`` is a class, not an open pool.
        """
        pool = self.pool
        if not isinstance(pool, concurrent.futures.Executor):
            msg = (
                f"expected an open process pool, received {pool!r}: use oddjet.condor.open_executor"
            )
            raise ConfigError(msg)
        futures = [pool.submit(function, item) for item in items]
        try:
            for future in concurrent.futures.as_completed(futures):
                accumulator = accumulate([future.result()], accumulator)
        except Exception:
            for future in futures:
                future.cancel()
            concurrent.futures.wait(futures)
            raise
        return accumulator, 0


@dataclass
class WorkersExecutor(DaskExecutor):  # type: ignore[misc]
    """Items spread over the workers of a Dask client that the caller opens and closes."""

    status: bool = False
    retries: int = 0
    compression: int | None = None
    drain_seconds: float = 60.0

    def __call__(
        self, items: Sequence[Any], function: Callable[[Any], Any], accumulator: Any
    ) -> tuple[Any, Any]:
        """Apply a function to every item and add the results up in a tree.

        At the first error what is queued is released and what runs is waited for, up to
        ``drain_seconds``, so that no worker writes behind the caller's back.

        The 0 beside the sum is coffea's sign for "no exception".
        """
        if len(items) == 0:
            return accumulator, 0
        try:
            result: tuple[Any, Any] = super().__call__(items, function, accumulator)
        except Exception as error:
            # The frames hold the futures, and the scheduler keeps running what is held.
            traceback.clear_frames(error.__traceback__)
            self._drain()
            raise
        return result

    def _drain(self) -> None:
        """Wait until every worker is free: until it has got to a task that comes after all others."""
        workers = list(self.client.scheduler_info(n_workers=-1)["workers"])
        last = [self.client.submit(int, workers=[worker], pure=False) for worker in workers]
        # The error that led here is the one to show, not that of a worker lost on the way.
        with contextlib.suppress(Exception):
            for future in last:
                future.result(timeout=self.drain_seconds)
