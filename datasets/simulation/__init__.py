"""Simulation of the built-in samples: Pythia 8, a simple CMS-like detector, NanoAOD-like files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oddjet.datasets.simulation.processes import PROCESSES, Process, process_names
from oddjet.lazy import lazy_names

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

# It compiles kernels; the names of processes do not.
__getattr__ = lazy_names(
    __name__, dict.fromkeys(("SimulationSummary", "simulate", "summary_path"), "run")
)
