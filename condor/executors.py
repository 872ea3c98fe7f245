"""coffea executors that draw no progress bars and stop cleanly at the first error.

coffea's iterative and futures executors draw their bar whatever ``status`` says, and its futures
executor prints the traceback and then runs every chunk that is still queued. The three classes
here keep coffea's interface, so that `coffea.processor.Runner` takes them as its own.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from coffea.processor import DaskExecutor, FuturesExecutor, IterativeExecutor, accumulate

from oddjet.errors import ConfigError

__all__ = ["PoolExecutor", "SerialExecutor", "WorkersExecutor"]


@dataclass
class SerialExecutor(IterativeExecutor):  # type: ignore[misc]
    """One item after the other, in this process."""

    status: bool = False
    retries: int = 0

    def __call__(
        self, items: Sequence[Any], function: Callable[[Any], Any], accumulator: Any
    ) -> tuple[Any, int]:
        """Apply a function to every item and add the results up.

        Returns:
            The sum and 0 (coffea's sign for "no exception").
        """
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
        raised.

        Returns:
            The sum and 0 (coffea's sign for "no exception").

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
        except BaseException:
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

        Returns:
            The sum and 0 (coffea's sign for "no exception").
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
