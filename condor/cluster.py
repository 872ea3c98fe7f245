"""Open the executor a configuration asks for, and close it again."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from coffea.processor.executor import ExecutorBase

from oddjet.condor.executors import LastingPool, PoolExecutor, SerialExecutor
from oddjet.condor.site import Cluster
from oddjet.condor.submit import WORKER_ENVIRONMENT
from oddjet.errors import ConfigError
from oddjet.extras import install_command
from oddjet.processes import safe_children

__all__ = ["open_executor"]


@contextmanager
def open_executor(
    cluster: Cluster | None = None, *, report: Path | None = None
) -> Iterator[ExecutorBase]:
    """Open an executor for `coffea.processor.Runner`, and close its workers at the end.

    Scripts that use ``futures`` or ``dask`` need the usual ``if __name__ == "__main__":``, since
    the workers import the script.

    Args:
        cluster: Where to run; this process when not given.
        report: HTML file for Dask's report of what every worker did when; None for none.

    Yields:
        The executor; it draws no progress bar.

    Raises:
        ConfigError: If the cluster cannot be had as it is described, or cannot write a report.
        ProcessingError: If no worker of a batch pool came in time.
    """
    cluster = cluster or Cluster()
    if report is not None:
        _check_report(cluster)
    with safe_children(), _opened(cluster, report) as executor:
        yield executor


@contextmanager
def _opened(cluster: Cluster, report: Path | None) -> Iterator[ExecutorBase]:
    if cluster.executor == "iterative":
        yield SerialExecutor(retries=cluster.retries)
    elif cluster.executor == "futures":
        with LastingPool(cluster.workers, WORKER_ENVIRONMENT) as pool:
            yield PoolExecutor(pool=pool, workers=cluster.workers, retries=cluster.retries)
    else:
        from oddjet.condor import jobqueue  # noqa: PLC0415 (imports Dask's scheduler and client)

        opened = {"dask": jobqueue.open_local, "address": jobqueue.open_address}
        with (
            opened.get(cluster.executor, jobqueue.open_jobs)(cluster) as executor,
            jobqueue.write_report(executor, report),
        ):
            yield executor


def _check_report(cluster: Cluster) -> None:
    if cluster.executor in ("iterative", "futures"):
        msg = "performance report: expected a Dask executor (dask, htcondor, slurm or address)"
        raise ConfigError(msg)
    if importlib.util.find_spec("bokeh") is None:
        msg = f"performance report: Bokeh draws it: {install_command('batch')}"
        raise ConfigError(msg)
