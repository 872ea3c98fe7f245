"""Simulating a process: blocks on a pool of workers, one file, one summary."""

from __future__ import annotations

import itertools
import logging
import multiprocessing
import os
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from oddjet.datasets.disk.atomic import atomic_write
from oddjet.datasets.disk.checksums import file_sha256
from oddjet.datasets.disk.state import read_state, write_state
from oddjet.datasets.simulation.blocks import Block, BlockResult, plan_blocks, simulate_block
from oddjet.datasets.simulation.identifiers import MAX_EVENTS, MAX_SEED, make_slice
from oddjet.datasets.simulation.processes import get_process
from oddjet.datasets.simulation.rootwriter import NanoWriter
from oddjet.errors import ConfigError, ProcessingError
from oddjet.processes import deaf_children, end_with_owner

__all__ = ["SimulationSummary", "read_summary", "simulate", "summary_path"]

logger = logging.getLogger(__name__)

_BLOCKS_AHEAD = 2  # a worker, finished or under way: bounds the memory


@dataclass(frozen=True)
class SimulationSummary:
    """What a simulation made; also written as JSON beside its file.

    Attributes:
        pt_hat_min: Lower edge of the slice, GeV; None where the process has none.
        pt_hat_max: Upper edge of the slice, GeV; None for none.
        cross_section_pb: Pythia's leading-order cross section of the slice, pb.
        sumw, sumw2: Sum of the event weights, and of their squares.
        r_inv: Counted fraction of the dark hadrons that end invisibly; None without any.
        truth: The |pdgId|s signal jets are matched to.
        seconds: Wall-clock time.
        workers: Processes used; the file does not depend on it.
        file_sha256: SHA-256 of the file; None where older code made it.
    """

    process: str
    output: str
    n_events: int
    seed: int
    pt_hat_min: int | None
    pt_hat_max: int | None
    cross_section_pb: float
    cross_section_error_pb: float
    sumw: float
    sumw2: float
    r_inv: float | None
    truth: tuple[int, ...]
    seconds: float
    workers: int
    file_sha256: str | None = None


def read_summary(output: Path) -> SimulationSummary | None:
    """Read the summary beside a simulated file; None if it is absent, or, with a warning, damaged."""
    # Before there were hashes in them, summaries had no seal.
    return read_state(
        summary_path(output), SimulationSummary, is_old=lambda known: "file_sha256" not in known
    )


def summary_path(output: Path) -> Path:
    """Where the summary of a simulated file is: `qcd.root` → `qcd.summary.json`."""
    return output.with_name(f"{output.stem}.summary.json")


def simulate(
    process: str,
    n_events: int,
    *,
    seed: int,
    output: Path,
    pt_hat_min: float | None = None,
    pt_hat_max: float | None = None,
    workers: int = 1,
    progress: Callable[[int], None] | None = None,
) -> SimulationSummary:
    """Simulate a process into a NanoAODv15-like file.

    The contents are a function of process, slice, seed and number of events; the number of
    workers does not matter. File and summary appear complete or not at all.

    Args:
        process: One of `process_names()`.
        n_events: How many events, at least 1.
        seed: 0 to 65535; other seeds give other events with other event numbers.
        output: The ROOT file to write; its summary goes beside it, see `summary_path`.
        pt_hat_min: Lower edge of the hard process's transverse momentum, in whole GeV; None for
            the process's own. Choose it well below the jets' cut, or the spectrum bends.
        pt_hat_max: Upper edge; None for none.
        workers: Processes, which are spawned: scripts need ``if __name__ == "__main__":`` then.
        progress: Called with the number of events done after every block.

    Raises:
        ConfigError: An argument is invalid; the message says which. Or a folder is in the place.
        ProcessingError: Pythia does not initialise or yields no events, or a worker died.
    """
    chosen = get_process(process)
    _check_count("n_events", n_events, 1, MAX_EVENTS)
    _check_count("seed", seed, 0, MAX_SEED)
    _check_count("workers", workers, 1, 4096)
    pt_slice = make_slice(chosen, process, pt_hat_min, pt_hat_max)
    output = Path(output)
    _check_places(output, summary_path(output))
    blocks = plan_blocks(process, pt_slice, seed, n_events)
    start = time.perf_counter()

    writer, tally = _write(output, _results(blocks, workers), process, n_events, progress)
    summary = SimulationSummary(
        process=process,
        output=str(output),
        n_events=writer.n_events,
        seed=seed,
        pt_hat_min=None if chosen.pt_hat_min is None else pt_slice.pt_hat_min,
        pt_hat_max=pt_slice.pt_hat_max,
        sumw=writer.sumw,
        sumw2=writer.sumw2,
        truth=chosen.truth,
        seconds=time.perf_counter() - start,
        workers=workers,
        file_sha256=file_sha256(output),
        **tally.figures(),
    )
    write_state(summary_path(output), asdict(summary))
    return summary


def _write(
    output: Path,
    results: Iterator[BlockResult],
    process: str,
    n_events: int,
    progress: Callable[[int], None] | None,
) -> tuple[NanoWriter, _Tally]:
    """Write the blocks as they come, into a file that appears whole or not at all."""
    tally = _Tally()
    with atomic_write(output) as temporary, NanoWriter(temporary) as writer:
        for result in results:
            writer.write(result.events)
            tally.add(result)
            logger.info("%s: %d of %d events", process, writer.n_events, n_events)
            if progress is not None:
                progress(writer.n_events)
    return writer, tally


def _check_places(*files: Path) -> None:
    for file in files:
        if file.is_dir():
            msg = f"{file} is a folder, and a file is to be written there: name another, or move it away"
            raise ConfigError(msg)


def _check_count(name: str, value: int, lowest: int, highest: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        msg = f"{name}: expected a whole number, got {value!r}"
        raise ConfigError(msg)
    if not lowest <= value <= highest:
        msg = f"{name}: expected {lowest} to {highest}, got {value}"
        if name == "n_events" and value > highest:
            msg += "; simulate the rest with another seed into another file"
        raise ConfigError(msg)


class _Tally:
    """Sums over blocks."""

    def __init__(self) -> None:
        self.n_tried = 0
        self.n_dark = 0
        self.n_invisible = 0
        self._weighted = 0.0
        self._variance = 0.0

    def add(self, result: BlockResult) -> None:
        self.n_tried += result.n_tried
        self.n_dark += result.n_dark_hadrons
        self.n_invisible += result.n_invisible
        self._weighted += result.n_tried * result.cross_section_pb
        self._variance += (result.n_tried * result.cross_section_error_pb) ** 2

    def figures(self) -> dict[str, Any]:
        """Mean cross section over the points tried in all blocks, its error, and r_inv."""
        return {
            "cross_section_pb": self._weighted / self.n_tried,
            "cross_section_error_pb": float(np.sqrt(self._variance)) / self.n_tried,
            "r_inv": self.n_invisible / self.n_dark if self.n_dark else None,
        }


def _results(blocks: list[Block], workers: int) -> Iterator[BlockResult]:
    """Simulate the blocks and yield them in order, a few at most in memory."""
    if workers == 1 or len(blocks) == 1:
        yield from map(simulate_block, blocks)
        return
    context = multiprocessing.get_context("spawn")  # no threads or locks are inherited
    pool = ProcessPoolExecutor(
        min(workers, len(blocks)),
        mp_context=context,
        initializer=end_with_owner,
        initargs=(os.getpid(),),
    )

    def submit(block: Block) -> Future[BlockResult]:
        with deaf_children():  # which may start a worker
            return pool.submit(simulate_block, block)

    try:
        todo = iter(blocks)
        waiting = deque(map(submit, itertools.islice(todo, _BLOCKS_AHEAD * workers)))
        while waiting:
            result = waiting.popleft().result()
            waiting.extend(map(submit, itertools.islice(todo, 1)))
            yield result
    except BrokenProcessPool as error:
        msg = (
            "a worker of the simulation died: expected every worker to return its block. Either "
            "memory ran out (about 0.5 GB a worker; use fewer), or the calling script starts "
            'workers when it is imported (put the call under `if __name__ == "__main__":`)'
        )
        raise ProcessingError(msg) from error
    except BaseException as error:
        if not isinstance(error, Exception):  # interrupted: nobody wants a block that is half done
            for process in list(pool._processes.values()):
                process.kill()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
