"""Dask's own report of a run: what every worker did when, as one HTML page."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from coffea.processor.executor import ExecutorBase

from oddjet.errors import ConfigError

__all__ = ["performance_report"]


@contextmanager
def performance_report(executor: ExecutorBase, path: Path | None) -> Iterator[None]:
    """Write Dask's performance report of what runs in the block.

    Args:
        executor: Where it runs.
        path: The HTML file; None for no report.

    Yields:
        Nothing; the run is the block.

    Raises:
        ConfigError: If the executor is not a Dask cluster, or Bokeh, which draws it, is not there.
    """
    if path is None:
        yield
        return
    client = getattr(executor, "client", None)
    if client is None:
        msg = "performance report: expected a Dask executor (dask, htcondor, slurm or address)"
        raise ConfigError(msg)
    if importlib.util.find_spec("bokeh") is None:
        msg = "performance report: Bokeh draws it: pip install 'oddjet[batch]'"
        raise ConfigError(msg)
    from distributed import performance_report as dask_report  # noqa: PLC0415 (slow import)

    path.parent.mkdir(parents=True, exist_ok=True)
    with client.as_current(), dask_report(filename=str(path)):
        yield
