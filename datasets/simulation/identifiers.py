"""Event numbers and random seeds: a function of process, slice, seed and position only.

An event number packs, from the highest bit to the lowest::

    0 | process (4 bits) | slice (22) | seed (16) | event in the run (21)

so that two events of the same number come from the same process, slice, seed and position. The
slice is the place of (pt_hat_min, pt_hat_max), both whole GeV, in the triangle of all such pairs;
"no upper edge" counts as the largest `pt_hat_max`. The highest bit stays free: the number fits a
signed 64-bit integer too, into which some tools put it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from oddjet.datasets.simulation.processes import Process
from oddjet.errors import ConfigError

__all__ = [
    "BLOCK_EVENTS",
    "MAX_EVENTS",
    "MAX_PT_HAT",
    "MAX_SEED",
    "Slice",
    "event_numbers",
    "make_slice",
    "pythia_seed",
    "response_generator",
]

BLOCK_EVENTS = 1000
"""Events of one block: what one Pythia initialisation and one random stream are used for."""

_SEED_BITS = 16
_EVENT_BITS = 21
MAX_SEED = 2**_SEED_BITS - 1
"""The largest seed `simulate` takes."""
MAX_EVENTS = 2**_EVENT_BITS
"""The most events of one call; more need another seed."""
MAX_PT_HAT = 2895
"""Both edges of a slice are below this, GeV: the 22 bits of the slice hold no more pairs."""

_PYTHIA_SEEDS = 899_999_999  # Random:seed takes 1 … 900 000 000


@dataclass(frozen=True)
class Slice:
    """A range of the hard process's transverse momentum, in whole GeV.

    Attributes:
        pt_hat_min: Lower edge.
        pt_hat_max: Upper edge; None for none.
    """

    pt_hat_min: int
    pt_hat_max: int | None = None

    @property
    def code(self) -> int:
        """The slice's place among all slices, 0 to 2**22 - 1."""
        upper = MAX_PT_HAT if self.pt_hat_max is None else self.pt_hat_max
        return upper * (upper - 1) // 2 + self.pt_hat_min


def make_slice(
    process: Process, name: str, pt_hat_min: float | None, pt_hat_max: float | None
) -> Slice:
    """Check the edges of a slice [GeV] and fill in the process's default for None.

    Raises:
        ConfigError: An edge is not a whole number of GeV in range, the edges are in the wrong
            order, or the process cannot be sliced.
    """
    if process.pt_hat_min is None:
        if pt_hat_min is not None or pt_hat_max is not None:
            msg = (
                f"process '{name}' is the decay of one resonance, which Pythia cannot cut on "
                f"pt_hat: expected no pt_hat_min and no pt_hat_max, got {pt_hat_min} and "
                f"{pt_hat_max}. Leave both out"
            )
            raise ConfigError(msg)
        return Slice(0)
    lower = process.pt_hat_min if pt_hat_min is None else pt_hat_min
    for edge, value in (("pt_hat_min", lower), ("pt_hat_max", pt_hat_max)):
        if value is not None and not (float(value).is_integer() and 0 <= value < MAX_PT_HAT):
            msg = (
                f"{edge} of process '{name}': expected a whole number of GeV from 0 to "
                f"{MAX_PT_HAT - 1} (event numbers hold no more), got {value}"
            )
            raise ConfigError(msg)
    if pt_hat_max is not None and pt_hat_max <= lower:
        msg = (
            f"pt_hat range of process '{name}': expected pt_hat_min < pt_hat_max, got "
            f"{lower} and {pt_hat_max}"
        )
        raise ConfigError(msg)
    return Slice(int(lower), None if pt_hat_max is None else int(pt_hat_max))


def event_numbers(
    process: Process, pt_slice: Slice, seed: int, *, start: int, n_events: int
) -> npt.NDArray[np.uint64]:
    """Number the `n_events` events from position `start` of the run on, as at the head of this module.

    >>> from oddjet.datasets.simulation.processes import PROCESSES
    >>> int(event_numbers(PROCESSES["qcd"], Slice(0, 1), 0, start=5, n_events=1)[0] % 2**21)
    5
    """
    head = ((process.number << 22 | pt_slice.code) << _SEED_BITS | seed) << _EVENT_BITS
    return np.uint64(head) + np.arange(start, start + n_events, dtype=np.uint64)


def pythia_seed(process: Process, pt_slice: Slice, seed: int, block: int) -> int:
    """Seed Pythia for one block of a run: a value for `Random:seed`, 1 to 899 999 999.

    The blocks of a run count up from a mixed start. Counting up keeps the streams of one run's blocks
    distinct for certain, mixing the start keeps those of other runs apart in all likelihood.
    """
    start = _sequence(process, pt_slice, seed).generate_state(1, np.uint64)[0]
    return (int(start) + block) % _PYTHIA_SEEDS + 1


def response_generator(
    process: Process, pt_slice: Slice, seed: int, block: int
) -> np.random.Generator:
    """Open the random stream of one block's detector response, independent of every other block's."""
    return np.random.default_rng(_sequence(process, pt_slice, seed, 1, block))


def _sequence(process: Process, pt_slice: Slice, seed: int, *more: int) -> np.random.SeedSequence:
    return np.random.SeedSequence([process.number, pt_slice.code, seed, *more])
