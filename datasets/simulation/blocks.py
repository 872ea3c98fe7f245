"""Blocks: the unit of work, of randomness and of writing."""

from __future__ import annotations

from dataclasses import dataclass

from oddjet.datasets.simulation.finalstate import count_dark_hadrons
from oddjet.datasets.simulation.generator import open_pythia, read_batches, read_record
from oddjet.datasets.simulation.identifiers import (
    BLOCK_EVENTS,
    Slice,
    event_numbers,
    pythia_seed,
    response_generator,
)
from oddjet.datasets.simulation.layout import Events, concatenate
from oddjet.datasets.simulation.processes import PROCESSES
from oddjet.datasets.simulation.reconstruction import reconstruct_events

__all__ = ["Block", "BlockResult", "plan_blocks", "simulate_block"]

_PB_PER_MB = 1e9


@dataclass(frozen=True)
class Block:
    """What one worker simulates at a time.

    Attributes:
        index: Which of the run's blocks it is.
        start: Events of the run before it.
        n_events: Events in it.
    """

    process: str
    pt_slice: Slice
    seed: int
    index: int
    start: int
    n_events: int


@dataclass(frozen=True)
class BlockResult:
    """What came out of a block.

    Attributes:
        n_tried: Phase-space points Pythia tried.
        cross_section_pb, cross_section_error_pb: Pythia's estimate from this block, and its
            statistical uncertainty.
        n_dark_hadrons: Dark hadrons in all events.
        n_invisible: Those of them that ended invisibly.
    """

    events: Events
    n_tried: int
    cross_section_pb: float
    cross_section_error_pb: float
    n_dark_hadrons: int
    n_invisible: int


def plan_blocks(process: str, pt_slice: Slice, seed: int, n_events: int) -> list[Block]:
    """Divide a run into blocks of `BLOCK_EVENTS` events, the last one smaller where it must be."""
    starts = range(0, n_events, BLOCK_EVENTS)
    return [
        Block(process, pt_slice, seed, index, start, min(BLOCK_EVENTS, n_events - start))
        for index, start in enumerate(starts)
    ]


def simulate_block(block: Block) -> BlockResult:
    """Generate and reconstruct the events of a block; depends on nothing but the block.

    Raises:
        ProcessingError: Pythia does not initialise or yields no events.
    """
    process = PROCESSES[block.process]
    identity = (process, block.pt_slice, block.seed)
    pythia = open_pythia(
        process, block.pt_slice, pythia_seed(*identity, block.index), where=block.process
    )
    rng = response_generator(*identity, block.index)
    parts: list[Events] = []
    n_dark = n_invisible = done = 0
    for batch in read_batches(pythia, block.n_events, where=block.process):
        record = read_record(batch)
        numbers = event_numbers(*identity, start=block.start + done, n_events=record.n_events)
        parts.append(
            reconstruct_events(
                record,
                pythia.particleData.charge,
                rng,
                numbers=numbers,
                luminosity_block=block.index + 1,
            )
        )
        dark, invisible = count_dark_hadrons(record, process.dark_hadrons)
        n_dark, n_invisible = n_dark + dark, n_invisible + invisible
        done += record.n_events
    info = pythia.infoPython()
    return BlockResult(
        events=concatenate(parts),
        n_tried=info.nTried(),
        cross_section_pb=info.sigmaGen() * _PB_PER_MB,
        cross_section_error_pb=info.sigmaErr() * _PB_PER_MB,
        n_dark_hadrons=n_dark,
        n_invisible=n_invisible,
    )
