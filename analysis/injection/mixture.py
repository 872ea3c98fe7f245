"""The jets of one experiment: a share of the background's events and a few events of signal."""

from __future__ import annotations

import awkward as ak
import numpy as np
import numpy.typing as npt

from oddjet.datasets.folds import event_hash
from oddjet.datasets.jets import Jets, concatenate
from oddjet.errors import TooFewJetsError
from oddjet.processors.pseudodata import uniform_of
from oddjet.typing import Bools

__all__ = ["draw_mixture", "left_out"]


def draw_mixture(
    background: tuple[Jets, Bools],
    signal: tuple[Jets, Bools],
    *,
    share: float,
    fraction: float,
    seed: int,
) -> Jets:
    """Draw whole events of background and of signal.

    Every event has a number that is fixed by dataset, event and seed: background events are in where it
    is below `share`, signal events in its order until enough of their jets are hunted in. So a larger
    fraction contains a smaller one, and adds to the same background.

    `share` is of the background's events; `fraction` is signal jets over background jets among
    those hunted in. The background's jets come first.

    Raises:
        TooFewJetsError: There is not enough signal, or no background jet is hunted in.
    """
    jets, hunted = background
    keep = _uniform(jets, seed) < share
    n_background = int(np.count_nonzero(keep & hunted))
    if n_background == 0:
        msg = (
            f"injection: none of {len(jets)} background jets is hunted in at a share of {share:g}: "
            "simulate more events, or widen hunt.range"
        )
        raise TooFewJetsError(msg)
    chosen = _first_events(signal, round(fraction * n_background), seed)
    return concatenate([jets[keep], signal[0][chosen]])


def left_out(jets: Jets, *, share: float, seed: int) -> Jets:
    """The background jets of the events that are in no mixture of this share and seed."""
    return jets[_uniform(jets, seed) >= share]


def _first_events(signal: tuple[Jets, Bools], wanted: int, seed: int) -> Bools:
    """Take whole events, in the order of their numbers, until `wanted` of their jets are hunted in."""
    jets, hunted = signal
    if wanted == 0:
        return np.zeros(len(jets), dtype=np.bool_)
    available = int(np.count_nonzero(hunted))
    if wanted > available:
        msg = (
            f"injection: {wanted} signal jets are wanted and the sample has {available}: simulate more "
            "signal, or lower injection.fractions or background_share"
        )
        raise TooFewJetsError(msg)
    number = _uniform(jets, seed)
    last = np.sort(number[hunted])[wanted - 1]
    return np.asarray(number <= last)


def _uniform(jets: Jets, seed: int) -> npt.NDArray[np.float64]:
    names = np.asarray(ak.to_numpy(jets["dataset"]), dtype=np.str_)
    hashes = event_hash(*(np.asarray(jets[name]) for name in ("run", "luminosityBlock", "event")))
    numbers = np.zeros(len(jets))
    for name in np.unique(names):
        rows = names == name
        numbers[rows] = uniform_of(hashes[rows], f"injection {name}", seed)
    return numbers
