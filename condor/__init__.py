"""Where work runs: executors for one process, many processes or Dask workers; no physics."""

from __future__ import annotations

from oddjet.condor.cluster import Cluster, open_executor

__all__ = ["Cluster", "open_executor"]
