"""Spectra of one scan compared: how rare a smallest local p is within its own spectrum.

The same local p is rare in one spectrum and common in another: that of 75 events is below 10⁻⁵ in some
percent of windows without any signal. So spectra are compared by ranks: each smallest local p takes
its place among those of its own spectrum in the data and all pseudo-experiments, and the smallest place over the
spectra is the statistic of a scan. Data and pseudo-experiments are treated alike, so that the share
of pseudo-experiments with as small a place is a p-value, whatever the local p are worth.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy import stats

from oddjet.typing import Floats

__all__ = ["Extrapolation", "extrapolate", "ranks"]

TAIL = 0.05
"""Places in this part of a spectrum's pseudo-experiments follow an exponential, so that they never tie."""
FEWEST = 10
"""But not fewer than this many."""
SLACK = 1.0 + 1e-9
"""The very same content must count as equal, whatever the last bit of its p."""
TINY = 1e-300

TRUSTED = 0.2
"""Part of the pseudo-experiments that an extrapolation begins at."""
CHECKED = 0.02
"""And part where it must agree with them."""
MODEL_ERROR = 0.25
"""Relative error of the extrapolation itself: 0.77 ± 0.05 of the truth where a million could be drawn."""


def ranks(smallest: Floats) -> Floats:
    """Give each smallest local p its place in its spectrum, as a share of all.

    The few smallest ones are spread out by an exponential in −ln p of the mean that they have themselves: the
    first places of many spectra would all tie otherwise, and more pseudo-experiments would be needed for
    the same global p.

    Args:
        smallest: Smallest local p, shape (n, n_spectra): one row the data, the others pseudo-experiments;
            which is which does not matter.

    Returns:
        Shares in (0, 1], of the same shape; they rise with p in each spectrum.

    >>> ranks(np.array([[0.1], [0.3], [0.2], [0.4]])).ravel()
    array([0.25, 0.75, 0.5 , 1.  ])
    """
    n = len(smallest)
    n_tail = min(max(FEWEST, round(TAIL * n)), n)
    places = np.empty(smallest.shape)
    for spectrum, p in enumerate(smallest.T):
        ordered = np.sort(p)
        place = np.searchsorted(ordered, p * SLACK, side="right").astype(np.float64)
        depth = np.log(ordered[n_tail - 1] + TINY) - np.log(
            np.minimum(p, ordered[n_tail - 1]) + TINY
        )
        scale = float(depth[depth > 0].sum()) / n_tail
        if n > n_tail and scale > 0:
            place = np.where(depth > 0, n_tail * np.exp(-depth / scale), place)
        places[:, spectrum] = place
    return places / n


@dataclasses.dataclass(frozen=True)
class Extrapolation:
    """A global p smaller than pseudo-experiments can count.

    Attributes:
        p: Its value.
        error: One standard deviation: of their number, and of the method.
    """

    p: float
    error: float


def extrapolate(local_p: float, smallest: Floats, share_of_all: float) -> Extrapolation | None:
    """Extrapolate the p of a spectrum as the number of up-crossings: ∝ exp(−u²/2), u the significance.

    That is p · u for the local p of high u, times a constant that pseudo-experiments give.

    Args:
        local_p: The smallest local p of the data, below those of most pseudo-experiments.
        smallest: Those of the pseudo-experiments in this spectrum, shape (n_toys,).
        share_of_all: How much more often any spectrum has as small a rank, ≥ 1.

    Returns:
        The global p; None where pseudo-experiments are too few, or do not follow the rule where they
        can be counted, as with local p that are wrong.

    References:
        E. Gross and O. Vitells, arXiv:1005.1891, eqs. 2 and 3.
    """
    n, ordered = smallest.size, np.sort(smallest)
    n_trusted, n_checked = round(TRUSTED * n), round(CHECKED * n)
    if (
        n_checked < FEWEST
        or not 0 < local_p < ordered[n_checked - 1] < ordered[n_trusted - 1] < 0.1
    ):
        return None
    constant = TRUSTED / _crossings(ordered[n_trusted - 1])
    predicted = n * constant * _crossings(ordered[n_checked - 1])
    if abs(predicted - n_checked) > 3 * (n_checked + (MODEL_ERROR * n_checked) ** 2) ** 0.5:
        return None
    p = share_of_all * constant * _crossings(local_p)
    return Extrapolation(p, p * float(np.hypot(MODEL_ERROR, n_trusted**-0.5)))


def _crossings(p: float) -> float:
    return float(p * stats.norm.isf(p))
