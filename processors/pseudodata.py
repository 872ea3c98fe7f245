"""Pseudo-data: events drawn from weighted simulation, so that a hunt has something to hunt in.

Every simulated event is kept or dropped as a whole, with probability equal to its expected weight
w = σ L k genWeight / Σw, which therefore may not exceed 1. No event is taken twice, as none is in data.

**How it fluctuates.** Simulation of a fixed size that is thinned has, given that simulation, a
variance Σ w (1 − w), less than Poisson's Σ w. But the contents of the simulated sample in a bin
fluctuate themselves, as Poisson numbers around the true spectrum, and a Poisson number thinned
with probability w is exactly Poisson with mean w times its own. So each bin of the pseudo-data
follows Poisson around the **true** spectrum, which is what a fit of a smooth function and a bump
hunt assume, at any w up to 1. (The fixed total number of simulated events makes the bins
multinomial: only their overall sum is stiffer.) Two uses do not hold: comparing pseudo-data with a
template from the *same* simulation, whose fluctuations it shares, and treating several drawings
from one sample as independent experiments.

The alternative, keeping each event Poisson(w) times, has variance Σ w given the simulation, but
repeats events: then Poisson's variance around the true spectrum is exceeded by a factor 1 + w, the
folds and tables hold duplicates, and two identical jets are a bump no data have.

**Reproducible.** The uniform number of an event is a fixed 64-bit mix of dataset, event and seed:
it does not depend on the order of rows or files, nor on which other datasets are drawn, and is not
correlated with the fold of the event.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from oddjet.datasets.folds import mix64
from oddjet.errors import ConfigError, InputError, NonFiniteError
from oddjet.typing import Bools, Floats

__all__ = [
    "ExpectedWeights",
    "draw_events",
    "draw_pseudodata",
    "largest_luminosity",
    "uniform_of",
]


def uniform_of(events: npt.NDArray[np.uint64], dataset: str, seed: int) -> Floats:
    """A uniform number in [0, 1) for each event hash (n,), fixed by dataset, event and seed."""
    text = f"pseudo-data\0{dataset}\0{seed}".encode()
    salt = np.uint64(int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little"))
    # The upper 53 bits fill a double's mantissa.
    return np.asarray((mix64(events ^ salt) >> np.uint64(11)) * 2.0**-53)


def largest_luminosity(expected: npt.ArrayLike, lumi_ifb: float) -> float:
    """Largest luminosity at which no event is expected more than once [1/fb]."""
    expected = np.asarray(expected, dtype=np.float64)
    return float("inf") if expected.size == 0 else lumi_ifb / float(expected.max())


@dataclass(frozen=True)
class ExpectedWeights:
    """What has to be known of all expected weights before events are drawn with them.

    Parts of a table are summarised one by one, and their summaries added.

    Attributes:
        n_rows: Number of weights.
        n_not_finite: Those that are NaN or infinite.
        n_negative: Those below 0.
        n_above_one: Those above 1.
        largest: The largest.
    """

    n_rows: int = 0
    n_not_finite: int = 0
    n_negative: int = 0
    n_above_one: int = 0
    largest: float = 0.0

    @classmethod
    def from_weights(cls, expected: Floats) -> ExpectedWeights:
        """Summarise the expected weights of some rows, shape (n_rows,)."""
        return cls(
            expected.size,
            int(np.count_nonzero(~np.isfinite(expected))),
            int(np.count_nonzero(expected < 0)),
            int(np.count_nonzero(expected > 1)),
            float(np.max(expected, initial=0.0)),
        )

    def __add__(self, other: ExpectedWeights) -> ExpectedWeights:
        """Add the summary of other rows."""
        return ExpectedWeights(
            self.n_rows + other.n_rows,
            self.n_not_finite + other.n_not_finite,
            self.n_negative + other.n_negative,
            self.n_above_one + other.n_above_one,
            max(self.largest, other.largest),
        )

    @property
    def usable(self) -> bool:
        """Whether events can be drawn with them."""
        return not (self.n_not_finite or self.n_negative or self.n_above_one)

    def check(self, lumi_ifb: float) -> None:
        """Refuse weights that no event can be drawn with.

        Raises:
            NonFiniteError: A weight is NaN or infinite.
            InputError: A weight is negative.
            ConfigError: A weight exceeds 1.
        """
        if self.n_not_finite:
            msg = f"{self.n_not_finite} expected weights are NaN or infinite"
            raise NonFiniteError(msg)
        if self.n_negative:
            msg = (
                f"{self.n_negative} of {self.n_rows} expected weights are negative: "
                "pseudo-data cannot be drawn from them; use a sample without negative weights"
            )
            raise InputError(msg)
        if self.n_above_one:
            largest = largest_luminosity(self.largest, lumi_ifb)
            msg = (
                f"a luminosity of {lumi_ifb:g}/fb is too large for the simulated statistics: "
                f"{self.n_above_one} of {self.n_rows} rows stand for more than one event (up to "
                f"{self.largest:.3g}): draw at most {largest:.4g}/fb, or simulate more events"
            )
            raise ConfigError(msg)


def draw_events(expected: Floats, events: npt.NDArray[np.uint64], dataset: str, seed: int) -> Bools:
    """Choose the jets of one dataset whose events are in the pseudo-data: mask (n_jets,).

    An event is chosen by itself alone, so parts of a dataset may be drawn one by one.

    Expected weights and event hashes have shape (n_jets,); events are not divided between calls.

    Raises:
        InputError: Jets of one event differ in weight.
    """
    _check_events(expected, events, dataset)
    return np.asarray(uniform_of(events, dataset, seed) < expected)


def _check_events(expected: Floats, events: npt.NDArray[np.uint64], dataset: str) -> None:
    order = np.argsort(events, kind="stable")
    same = events[order][1:] == events[order][:-1]
    if not np.allclose(expected[order][1:][same], expected[order][:-1][same], rtol=1e-9, atol=0):
        msg = (
            f"jets of one event of '{dataset}' have different weights: an event is kept or "
            "dropped as a whole, so weights must be by event"
        )
        raise InputError(msg)


def draw_pseudodata(
    expected: npt.ArrayLike,
    events: npt.ArrayLike,
    datasets: Sequence[str] | npt.NDArray[np.str_],
    *,
    lumi_ifb: float,
    seed: int,
) -> Bools:
    """Choose the jets of the events that are in the pseudo-data.

    Args:
        expected: Expected weight of each jet's event, shape (n_jets,), 0 to 1.
        events: Event hash of each jet, uint64 (n_jets,).
        datasets: Dataset of each jet, (n_jets,).
        lumi_ifb: Luminosity the weights were computed for [1/fb].
        seed: Seed of the drawing.

    Returns:
        Mask of shape (n_jets,): jets of one event are kept or dropped together.

    Raises:
        ConfigError: A weight exceeds 1: the message gives the largest possible luminosity.
        InputError: Shapes differ, weights are negative, or jets of one event differ in weight.
        NonFiniteError: A weight is NaN or infinite.
    """
    weights = np.asarray(expected, dtype=np.float64)
    hashes = np.asarray(events, dtype=np.uint64)
    names = np.asarray(datasets, dtype=np.str_)
    if not (weights.ndim == 1 and weights.shape == hashes.shape == names.shape):
        msg = (
            "expected one weight, one event hash and one dataset a jet, received shapes "
            f"{weights.shape}, {hashes.shape} and {names.shape}"
        )
        raise InputError(msg)
    ExpectedWeights.from_weights(weights).check(lumi_ifb)
    keep = np.zeros(weights.size, dtype=np.bool_)
    for name in np.unique(names):
        rows = names == name
        keep[rows] = draw_events(weights[rows], hashes[rows], str(name), seed)
    return keep
