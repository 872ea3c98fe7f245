"""Event numbers and seeds."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oddjet.datasets.simulation.identifiers import (
    MAX_EVENTS,
    MAX_PT_HAT,
    MAX_SEED,
    Slice,
    event_numbers,
    make_slice,
    pythia_seed,
    response_generator,
)
from oddjet.datasets.simulation.processes import PROCESSES, Process
from oddjet.errors import ConfigError

QCD = PROCESSES["qcd"]
LARGEST = Process(number=15, settings=(), pt_hat_min=0, truth=(), description="", source="")


def unpack(number: int) -> tuple[int, int, int, int]:
    return number >> 59, number >> 37 & (2**22 - 1), number >> 21 & 0xFFFF, number & (2**21 - 1)


def test_the_largest_number_fits_a_signed_64_bit_integer() -> None:
    last = Slice(MAX_PT_HAT - 1, None)
    number = event_numbers(LARGEST, last, MAX_SEED, start=MAX_EVENTS - 1, n_events=1)
    assert number.dtype == np.uint64
    assert int(number[0]) < 2**63


@given(
    process=st.sampled_from(list(PROCESSES.values())),
    lower=st.integers(0, MAX_PT_HAT - 2),
    upper=st.one_of(st.none(), st.integers(1, MAX_PT_HAT - 1)),
    seed=st.integers(0, MAX_SEED),
    event=st.integers(0, MAX_EVENTS - 1),
)
def test_a_number_gives_back_what_it_was_made_of(
    process: Process, lower: int, upper: int | None, seed: int, event: int
) -> None:
    if upper is not None and upper <= lower:
        lower = 0
    chosen = Slice(lower, upper)
    number = int(event_numbers(process, chosen, seed, start=event, n_events=1)[0])
    assert unpack(number) == (process.number, chosen.code, seed, event)


def test_no_two_slices_share_a_code() -> None:
    edges = [0, 1, 2, 3, 99, 100, 101, MAX_PT_HAT - 2, MAX_PT_HAT - 1]
    slices = [Slice(*pair) for pair in itertools.combinations(edges, 2)]
    slices += [Slice(edge, None) for edge in edges]
    codes = [one.code for one in slices]
    assert len(set(codes)) == len(codes)
    # The triangle is filled without a gap, so it cannot fold onto itself.
    row = [Slice(lower, 50).code for lower in range(50)]
    assert row == list(range(row[0], row[0] + 50))
    assert Slice(0, 51).code == row[-1] + 1
    assert max(codes) < 2**22


def test_blocks_of_a_run_have_distinct_seeds() -> None:
    seeds = {pythia_seed(QCD, Slice(350), 3, block) for block in range(MAX_EVENTS // 1000 + 1)}
    assert len(seeds) == MAX_EVENTS // 1000 + 1
    assert min(seeds) >= 1
    assert max(seeds) <= 900_000_000


def test_response_streams_differ_between_blocks_and_repeat() -> None:
    first = response_generator(QCD, Slice(350), 3, 0).random(4)
    assert np.array_equal(first, response_generator(QCD, Slice(350), 3, 0).random(4))
    assert not np.array_equal(first, response_generator(QCD, Slice(350), 3, 1).random(4))
    assert not np.array_equal(first, response_generator(QCD, Slice(351), 3, 0).random(4))


def test_default_slice() -> None:
    assert make_slice(QCD, "qcd", None, None) == Slice(100)
    assert make_slice(QCD, "qcd", 350.0, 450) == Slice(350, 450)


@pytest.mark.parametrize(
    ("edges", "message"),
    [
        ((100.5, None), "whole number of GeV"),
        ((-1, None), "whole number of GeV"),
        ((MAX_PT_HAT, None), "whole number of GeV"),
        ((200, 100), "pt_hat_min < pt_hat_max"),
        ((200, 200), "pt_hat_min < pt_hat_max"),
        ((None, float("nan")), "whole number of GeV"),
    ],
)
def test_slices_that_cannot_be_meant(
    edges: tuple[float | None, float | None], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        make_slice(QCD, "qcd", *edges)


def test_a_resonance_cannot_be_sliced() -> None:
    with pytest.raises(ConfigError, match="decay of one resonance"):
        make_slice(PROCESSES["svj"], "svj", 100, None)
