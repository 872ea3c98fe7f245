"""Roles of events: which train, which calibrate and which are hunted in, fixed for ever.

Events are divided twice, by independent numbers. The fold of an event is a 64-bit mix of (run,
luminosityBlock, event) modulo k; whether it is held out from learning follows from another mix
of the same. Both depend on nothing else: not on the order of files, the chunk size, the machine, or the
version of this package. All jets of an event share both.

References:
    Steele, Lea, Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014 (splitmix64).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import awkward as ak
import numpy as np
import numpy.typing as npt

from oddjet.datasets.jets import Jets, require_columns
from oddjet.errors import ConfigError, InputError
from oddjet.typing import Bools, Ints

__all__ = ["HELD_OUT", "EventRoles", "event_hash", "fold_of", "held_out", "jets_hash", "mix64"]

HELD_OUT = 0.5
"""Share of the events that is held out from learning unless another is given."""

_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_MIX1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX2 = np.uint64(0x94D049BB133111EB)
_SALT = np.uint64(0x68656C642D6F7574)
"""Salt of what is held out: "held-out" in ASCII. With another, calibrating events would be hunted in."""


def mix64(x: npt.ArrayLike) -> npt.NDArray[np.uint64]:
    """Mix 64 bits: the first output of splitmix64 seeded with x.

    Args:
        x: Unsigned 64-bit integers of any shape.

    Returns:
        uint64 of the same shape; a bijection of the 64-bit integers.

    >>> hex(int(mix64(0)))
    '0xe220a8397b1dcdaf'
    """
    z = np.atleast_1d(_as_uint64(x))  # arithmetic on arrays wraps silently, on scalars it warns
    z = z + _GAMMA
    z = (z ^ (z >> np.uint64(30))) * _MIX1
    z = (z ^ (z >> np.uint64(27))) * _MIX2
    z = z ^ (z >> np.uint64(31))
    return z.reshape(np.shape(x))


def event_hash(
    run: npt.ArrayLike, luminosityBlock: npt.ArrayLike, event: npt.ArrayLike
) -> npt.NDArray[np.uint64]:
    """Hash events: mix(mix(mix(run) xor luminosityBlock) xor event), uint64 (n,).

    Args:
        run: Run numbers (n,).
        luminosityBlock: Luminosity-block numbers (n,).
        event: Event numbers (n,).

    Raises:
        InputError: If a number is negative or not an integer.
    """
    mixed = mix64(mix64(run) ^ _as_uint64(luminosityBlock))
    return mix64(mixed ^ _as_uint64(event))


def jets_hash(jets: Jets) -> npt.NDArray[np.uint64]:
    """Hash the event of each jet: uint64 (n,).

    Raises:
        InputError: If the jets do not have run, luminosityBlock and event.
    """
    require_columns(jets, ("run", "luminosityBlock", "event"), where="events' folds and hashes")
    return event_hash(*(ak.to_numpy(jets[name]) for name in ("run", "luminosityBlock", "event")))


def fold_of(jets: Jets | npt.NDArray[np.uint64], k: int) -> npt.NDArray[np.int64]:
    """Give the fold of each jet's event, int64 (n,), 0 … k − 1.

    Args:
        jets: Jets with run, luminosityBlock and event (n), or their event hashes, uint64 (n,).
        k: Number of folds, at least 2.

    Raises:
        ConfigError: If k is below 2.
        InputError: If the jets lack run, luminosityBlock or event.
    """
    if k < 2:
        msg = f"folds: expected k of at least 2, received {k}"
        raise ConfigError(msg)
    hashes = jets_hash(jets) if isinstance(jets, ak.Array) else _as_uint64(jets)
    return (hashes % np.uint64(k)).astype(np.int64)


def held_out(jets: Jets | npt.NDArray[np.uint64], share: float) -> Bools:
    """Mark the jets whose events are held out from learning, to be hunted in and judged: (n,).

    Independent of the folds. The events of a smaller share are among those of a larger one.

    Args:
        jets: Jets with run, luminosityBlock and event (n), or their event hashes, uint64 (n,).
        share: Share of the events that is held out, 0 to 1.

    Raises:
        ConfigError: If the share is not between 0 and 1.
        InputError: If the jets lack run, luminosityBlock or event.
    """
    if not 0 <= share <= 1:
        msg = f"held_out: expected a share of events between 0 and 1, received {share}"
        raise ConfigError(msg)
    hashes = jets_hash(jets) if isinstance(jets, ak.Array) else _as_uint64(jets)
    # The upper 53 bits fill a double's mantissa.
    uniform = (mix64(hashes ^ _SALT) >> np.uint64(11)) * 2.0**-53
    return np.asarray(uniform < share)


@dataclass(frozen=True, eq=False)
class EventRoles:
    """What the jets of a dataset that something is learned on are there for.

    Model f is trained on learning jets of the other folds and calibrated on learning jets of fold
    f, which it has not seen; it scores fold f, and what is held out there is hunted in and judged.
    So a jet that is hunted in has neither trained nor calibrated anything.

    Attributes:
        fold: 0 … k − 1, shape (n,).
        learning: Not held out, shape (n,).
        events: Hashes of their events, uint64 (n,).
    """

    fold: Ints
    learning: Bools
    events: npt.NDArray[np.uint64]

    @classmethod
    def from_jets(
        cls, jets: Jets | npt.NDArray[np.uint64], *, k: int, held_out_share: float
    ) -> EventRoles:
        """Divide jets with run, luminosityBlock and event (n), or event hashes, uint64 (n,).

        Raises:
            ConfigError: If k is below 2, or the share is not between 0 and 1.
            InputError: If the jets lack run, luminosityBlock or event.
        """
        hashes = jets_hash(jets) if isinstance(jets, ak.Array) else _as_uint64(jets)
        return cls(fold_of(hashes, k), ~held_out(hashes, held_out_share), hashes)

    def training(self, fold: int) -> Bools:
        """The jets that the model of a fold is trained on, shape (n,)."""
        return np.asarray(self.learning & (self.fold != fold))

    def calibrating(self, fold: int) -> Bools:
        """The jets that thresholds and maps of a fold are learned on, shape (n,)."""
        return np.asarray(self.learning & (self.fold == fold))


def _as_uint64(values: Any) -> npt.NDArray[np.uint64]:
    array = np.asarray(values)
    if array.dtype == np.uint64:
        return array
    if array.dtype.kind not in "iu" and array.size:
        msg = f"event numbers must be integers; received {array.dtype}"
        raise InputError(msg)
    if array.dtype.kind == "i" and array.size and array.min() < 0:
        msg = f"event numbers must not be negative; received {array.min()}"
        raise InputError(msg)
    return array.astype(np.uint64)
