"""Open the executor a configuration asks for, and close it again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Literal

from coffea.processor.executor import ExecutorBase
from pydantic import Field, model_validator

from oddjet.condor.executors import LastingPool, PoolExecutor, SerialExecutor, WorkersExecutor
from oddjet.condor.jobqueue import open_address, open_jobs
from oddjet.condor.site import Site, read_site
from oddjet.condor.submit import WORKER_ENVIRONMENT
from oddjet.errors import ConfigError

__all__ = ["WORKER_ENVIRONMENT", "Cluster", "open_executor"]


class Cluster(Site):
    """Where chunks run: how, and the keys of a site profile, which may be named or given here.

    Attributes:
        executor: ``iterative`` in this process; ``futures`` in a pool of processes; ``dask`` in the
            workers of a Dask cluster on this machine; ``htcondor`` and ``slurm`` in Dask workers
            that are jobs of a batch pool; ``address`` in the workers of a Dask scheduler that runs.
        workers: Workers, one core each; ignored by ``iterative`` and ``address``.
        retries: How often a failing chunk is tried again, for files read over a network.
        site: Name or path of a site profile; keys given beside it win.
        adaptive: Replace jobs that are lost.
        start_timeout: Longest wait for the first worker [s].
        address: Of the scheduler, ``tls://HOST:PORT``.
        tls_ca: Certificate of the authority; temporary certificates by default.
        tls_cert: Our certificate.
        tls_key: Its key.
    """

    executor: Literal["iterative", "futures", "dask", "htcondor", "slurm", "address"] = "iterative"
    workers: int = Field(default=1, ge=1)
    retries: int = Field(default=0, ge=0)
    site: str | None = None
    adaptive: bool = True
    start_timeout: float = Field(default=3600.0, gt=0)
    address: str | None = None
    tls_ca: Path | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None

    @model_validator(mode="before")
    @classmethod
    def _from_site(cls, data: Any) -> Any:
        """Fill in what the site says."""
        if not isinstance(data, dict) or not isinstance(data.get("site"), str):
            return data
        try:
            return {**read_site(data["site"]), **data}
        except ConfigError as error:
            raise ValueError(str(error)) from error

    @model_validator(mode="after")
    def _consistent(self) -> Cluster:
        if (self.executor == "address") != (self.address is not None):
            msg = "expected an address with executor: address, and with no other"
            raise ValueError(msg)
        given = [name for name in ("tls_ca", "tls_cert", "tls_key") if getattr(self, name)]
        if given and len(given) < 3:
            msg = f"expected tls_ca, tls_cert and tls_key together, received {', '.join(given)}"
            raise ValueError(msg)
        return self


@contextmanager
def open_executor(cluster: Cluster | None = None) -> Iterator[ExecutorBase]:
    """Open an executor for `coffea.processor.Runner`, and close its workers at the end.

    Scripts that use ``futures`` or ``dask`` need the usual ``if __name__ == "__main__":``, since
    the workers import the script.

    Args:
        cluster: Where to run; this process when not given.

    Yields:
        The executor; it draws no progress bar.

    Raises:
        ConfigError: If the cluster cannot be had as it is described.
        ProcessingError: If no worker of a batch pool came in time.
    """
    cluster = cluster or Cluster()
    with _BUILDERS[cluster.executor](cluster) as executor:
        yield executor


@contextmanager
def _open_iterative(cluster: Cluster) -> Iterator[ExecutorBase]:
    yield SerialExecutor(retries=cluster.retries)


@contextmanager
def _open_futures(cluster: Cluster) -> Iterator[ExecutorBase]:
    with LastingPool(cluster.workers, WORKER_ENVIRONMENT) as pool:
        yield PoolExecutor(pool=pool, workers=cluster.workers, retries=cluster.retries)


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
    "htcondor": open_jobs,
    "slurm": open_jobs,
    "address": open_address,
}
