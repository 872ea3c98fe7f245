"""Folds: which events train, which calibrate and which are searched, fixed for ever.

The fold of an event is a 64-bit mix of (run, luminosityBlock, event) modulo k. It depends on
nothing else: not on the order of files, the chunk size, the machine, or the version of this
package. All jets of an event share a fold.

References:
    Steele, Lea, Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014 (splitmix64).
"""

from __future__ import annotations

from typing import Any

import awkward as ak
import numpy as np
import numpy.typing as npt

from oddjet.datasets.jets import Jets, require_columns
from oddjet.errors import ConfigError, InputError

__all__ = ["event_hash", "fold_of", "jets_hash", "mix64"]

_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_MIX1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX2 = np.uint64(0x94D049BB133111EB)


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
