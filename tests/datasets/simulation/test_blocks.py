"""Dividing a run into blocks, and what comes out of one."""

from __future__ import annotations

import numpy as np

from oddjet.datasets.simulation.blocks import Block, plan_blocks, simulate_block
from oddjet.datasets.simulation.identifiers import BLOCK_EVENTS, Slice


def test_blocks_cover_the_run() -> None:
    blocks = plan_blocks("qcd", Slice(350), 3, 2 * BLOCK_EVENTS + 7)
    assert [block.n_events for block in blocks] == [BLOCK_EVENTS, BLOCK_EVENTS, 7]
    assert [block.index for block in blocks] == [0, 1, 2]
    assert [block.start for block in blocks] == [0, BLOCK_EVENTS, 2 * BLOCK_EVENTS]
    assert [block.n_events for block in plan_blocks("qcd", Slice(350), 3, BLOCK_EVENTS)] == [
        BLOCK_EVENTS
    ]


def test_a_block_depends_on_nothing_that_ran_before() -> None:
    wanted = Block("aachen", Slice(0), 3, 1, BLOCK_EVENTS, 6)
    first = simulate_block(wanted)
    simulate_block(Block("aachen", Slice(0), 3, 0, 0, 9))
    again = simulate_block(wanted)
    assert first.cross_section_pb == again.cross_section_pb
    assert (first.n_dark_hadrons, first.n_invisible) == (again.n_dark_hadrons, again.n_invisible)
    assert 0 < first.n_invisible < first.n_dark_hadrons
    for name, collection in first.events.collections.items():
        other = again.events.collections[name]
        assert np.array_equal(collection.counts, other.counts)
        for key, values in collection.columns.items():
            assert np.array_equal(values, other.columns[key]), f"{name}_{key}"


def test_events_of_a_block_are_numbered_from_its_place_in_the_run() -> None:
    result = simulate_block(Block("w", Slice(350), 3, 2, 2 * BLOCK_EVENTS, 4))
    numbers = result.events.scalars["event"]
    assert (numbers % np.uint64(2**21)).tolist() == [2 * BLOCK_EVENTS + i for i in range(4)]
    assert result.events.scalars["luminosityBlock"].tolist() == [3] * 4
