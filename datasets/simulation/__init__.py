"""Simulation of the built-in samples: Pythia 8, a simple CMS-like detector, NanoAOD-like files."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from oddjet.datasets.simulation.processes import PROCESSES, Process, process_names

if TYPE_CHECKING:
    from oddjet.datasets.simulation.run import SimulationSummary, simulate, summary_path

__all__ = [
    "PROCESSES",
    "Process",
    "SimulationSummary",
    "process_names",
    "simulate",
    "summary_path",
]


def __getattr__(name: str) -> Any:
    """Import what simulates when it is asked for: it compiles kernels, the names do not."""
    if name in __all__:
        return getattr(import_module("oddjet.datasets.simulation.run"), name)
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)
