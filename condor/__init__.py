"""Where work runs: executors for one process, many processes or Dask workers; no physics."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from oddjet.condor.site import Cluster

if TYPE_CHECKING:
    from oddjet.condor.cluster import open_executor

__all__ = ["Cluster", "open_executor"]


def __getattr__(name: str) -> Any:
    """Import coffea's executors only when they are asked for: settings alone are quick to read."""
    if name == "open_executor":
        return import_module("oddjet.condor.cluster").open_executor
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)
