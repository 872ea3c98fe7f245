"""Watching a local Dask cluster, which may end up with no worker that works and wait for ever."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from coffea.processor.executor import ExecutorBase

from oddjet.errors import ProcessingError

__all__ = ["NoWorkersError", "watch_workers"]

_INTERVAL = 1.0


class NoWorkersError(ProcessingError):
    """A cluster on this machine has no worker left that does anything."""


@contextmanager
def watch_workers(executor: ExecutorBase, *, patience: float = 30.0) -> Iterator[None]:
    """End the block's run when a cluster on this machine has no worker that works.

    Dask starts workers again that were killed for their memory, but does not always succeed, and it
    gives nothing to a worker that is paused since its memory is nearly full. Of a batch pool nothing
    is asked: its workers may have to wait for hours.

    Anything but a local Dask cluster is left alone; `patience` [s] is without a worker.

    Raises:
        NoWorkersError: If the run was ended.
    """
    client = getattr(executor, "client", None)
    if client is None or type(getattr(client, "cluster", None)).__name__ != "LocalCluster":
        yield
        return
    stop, gone = threading.Event(), threading.Event()

    def watch() -> None:
        idle_since: float | None = None
        while not stop.wait(_INTERVAL):
            # A scheduler that is just being closed does not answer.
            with contextlib.suppress(Exception):
                if any_works(client.scheduler_info(n_workers=-1)):
                    idle_since = None
                    continue
                idle_since = idle_since or time.monotonic()
                if time.monotonic() - idle_since > patience:
                    gone.set()
                    cancel_all(client)
                    return

    thread = threading.Thread(target=watch, name="oddjet-workers", daemon=True)
    thread.start()
    try:
        yield
    except Exception as error:
        if gone.is_set():
            msg = f"no worker has been able to work for {patience:g} s"
            raise NoWorkersError(msg) from error
        raise
    finally:
        stop.set()
        thread.join()


def any_works(scheduler_info: dict[str, Any]) -> bool:
    """Whether a worker takes tasks, or is running one."""
    return any(
        worker.get("status") == "running"
        or worker.get("metrics", {}).get("task_counts", {}).get("executing", 0)
        for worker in scheduler_info.get("workers", {}).values()
    )


def cancel_all(client: Any) -> None:
    """Cancel everything a client waits for; waiting callers get a `CancelledError`."""
    from distributed import Future  # noqa: PLC0415

    client.cancel([Future(key, client) for key in list(client.futures)], force=True)
