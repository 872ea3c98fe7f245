"""Speed of the simulation, against Pythia alone."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path

from oddjet.analysis.studies.benchmarks.timing import timed
from oddjet.datasets.simulation.blocks import Block, simulate_block
from oddjet.datasets.simulation.generator import open_pythia, read_batches
from oddjet.datasets.simulation.identifiers import BLOCK_EVENTS, Slice, pythia_seed
from oddjet.datasets.simulation.processes import PROCESSES
from oddjet.datasets.simulation.run import simulate

__all__ = ["benchmark_simulation"]

_PROCESS = "qcd"
_SLICE = Slice(350)
_WARM_UP_EVENTS = 20


def benchmark_simulation(n_events: int = 2 * BLOCK_EVENTS, seed: int = 1) -> dict[str, float]:
    """Time the simulation of QCD jets (pt_hat > 350 GeV) on one core, block by block.

    The two take turns: Pythia generates a block, then the simulation generates (with the same
    seed), reconstructs and writes the same block. Times are CPU time, so that other processes
    count little. Pythia's initialisation is part of both; compiled functions are warmed up before.

    Returns:
        `bare_events_per_second`, `events_per_second` and their `ratio`; `n_events`.
    """
    simulate_block(Block(_PROCESS, _SLICE, seed, 0, 0, _WARM_UP_EVENTS))
    bare = full = 0.0
    with tempfile.TemporaryDirectory() as folder:
        for start in range(0, n_events, BLOCK_EVENTS):
            n_block = min(BLOCK_EVENTS, n_events - start)
            run_seed = seed + start // BLOCK_EVENTS
            bare += timed(functools.partial(_generate, n_block, run_seed))[0]
            work = functools.partial(
                simulate,
                _PROCESS,
                n_block,
                seed=run_seed,
                output=Path(folder) / "events.root",
                pt_hat_min=_SLICE.pt_hat_min,
            )
            full += timed(work)[0]
    return {
        "n_events": float(n_events),
        "bare_events_per_second": n_events / bare,
        "events_per_second": n_events / full,
        "ratio": bare / full,
    }


def _generate(n_events: int, seed: int) -> None:
    """Generate the events of one block with Pythia alone, its initialisation included."""
    process = PROCESSES[_PROCESS]
    pythia = open_pythia(process, _SLICE, pythia_seed(process, _SLICE, seed, 0), where=_PROCESS)
    for _ in read_batches(pythia, n_events, where=_PROCESS):
        pass
