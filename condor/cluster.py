"""Open the executor a configuration asks for, and close it again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Literal

from coffea.processor.executor import ExecutorBase
from pydantic import BaseModel, ConfigDict, Field

from oddjet.condor.executors import PoolExecutor, SerialExecutor, WorkersExecutor

__all__ = ["Cluster", "open_executor"]

# A worker is one core: libraries with thread pools of their own must not take the others.
WORKER_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "NUMBA_NUM_THREADS": "1",
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
    "TF_CPP_MIN_LOG_LEVEL": "3",
}


class Cluster(BaseModel):
    """Where chunks run.

    Attributes:
        executor: ``iterative`` in this process, ``futures`` in a pool of processes, ``dask`` in
            the workers of a Dask cluster on this machine.
        workers: Worker processes, one core each; ignored by ``iterative``.
        retries: How often a failing chunk is tried again, for files read over a network.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    executor: Literal["iterative", "futures", "dask"] = "iterative"
    workers: int = Field(default=1, ge=1)
    retries: int = Field(default=0, ge=0)


@contextmanager
def open_executor(cluster: Cluster | None = None) -> Iterator[ExecutorBase]:
    """Open an executor for `coffea.processor.Runner`, and close its workers at the end.

    Scripts that use ``futures`` or ``dask`` need the usual ``if __name__ == "__main__":``, since
    the workers import the script.

    Args:
        cluster: Where to run; this process when not given.

    Yields:
        The executor; it draws no progress bar.
    """
    cluster = cluster or Cluster()
    with _BUILDERS[cluster.executor](cluster) as executor:
        yield executor


@contextmanager
def _open_iterative(cluster: Cluster) -> Iterator[ExecutorBase]:
    yield SerialExecutor(retries=cluster.retries)


@contextmanager
def _open_futures(cluster: Cluster) -> Iterator[ExecutorBase]:
    import loky  # noqa: PLC0415

    pool = loky.ProcessPoolExecutor(max_workers=cluster.workers, env=WORKER_ENVIRONMENT)
    try:
        yield PoolExecutor(pool=pool, workers=cluster.workers, retries=cluster.retries)
    finally:
        pool.shutdown(wait=True)


@contextmanager
def _open_dask(cluster: Cluster) -> Iterator[ExecutorBase]:
    """Start a scheduler and workers on loopback only: whoever reaches a scheduler can run code."""
    from distributed import Client, LocalCluster  # noqa: PLC0415

    with (
        LocalCluster(
            n_workers=cluster.workers,
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            env=WORKER_ENVIRONMENT,
        ) as workers,
        Client(workers, set_as_default=False) as client,
    ):
        yield WorkersExecutor(client=client, retries=cluster.retries)


_BUILDERS: dict[str, Callable[[Cluster], AbstractContextManager[ExecutorBase]]] = {
    "iterative": _open_iterative,
    "futures": _open_futures,
    "dask": _open_dask,
}
