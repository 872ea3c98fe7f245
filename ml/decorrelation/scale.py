"""Monotone scales learned from weighted background: normal scores, and survival with a tail."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy

from oddjet.typing import Floats

__all__ = ["StandardScale", "TailSurvival"]


MAX_KNOTS = 2000
TAIL_JETS = 50
TAIL_FRACTION = 0.05


@dataclass(frozen=True, eq=False)
class StandardScale:
    """A rising, piecewise linear map of a score to a scale on which background is normal.

    Beyond the first and last knot it goes on in a straight line, so that no two scores become
    equal that were not.

    Attributes:
        knots: Scores, ascending, shape (m,).
        values: What they become, ascending, shape (m,).
    """

    knots: Floats
    values: Floats

    @classmethod
    def fit(cls, scores: Floats, weights: Floats) -> StandardScale:
        """Learn from finite scores (n,) of background, with positive weights (n,)."""
        knots, at = np.unique(scores, return_inverse=True)
        mass = np.bincount(at, weights=weights)
        middle = (np.cumsum(mass) - mass / 2) / mass.sum()
        chosen = _spread(middle)
        return cls(knots[chosen], np.asarray(scipy.special.ndtri(middle[chosen])))

    def __call__(self, scores: Floats) -> Floats:
        """Map scores: (n,) → (n,)."""
        if len(self.knots) == 1:
            return np.asarray(scores - self.knots[0])
        # The slopes beyond the ends are those of the outer tenths of the knots: steadier than
        # the distance of two jets.
        n_outer = max(1, len(self.knots) // 10)
        low = (self.values[n_outer] - self.values[0]) / (self.knots[n_outer] - self.knots[0])
        high = (self.values[-1] - self.values[-1 - n_outer]) / (
            self.knots[-1] - self.knots[-1 - n_outer]
        )
        inside = np.interp(scores, self.knots, self.values)
        below = np.minimum(scores - self.knots[0], 0.0) * low
        above = np.maximum(scores - self.knots[-1], 0.0) * high
        return np.asarray(inside + below + above)

    def arrays(self) -> dict[str, Floats]:
        """Give its fields, to be saved."""
        return {"knots": self.knots, "values": self.values}


@dataclass(frozen=True, eq=False)
class TailSurvival:
    """−log10 of the weighted fraction of background at or above a value, with a tail.

    The fraction is the empirical one, interpolated in its logarithm, down to where about
    `TAIL_JETS` effective jets, or `TAIL_FRACTION` of them if that is fewer, lie above. From there
    on it falls exponentially, with the mean excess of these jets as scale. Where the true tail
    falls faster than an exponential, the rarity of jets beyond the last one seen is understated.
    Values below 1/(n_eff + 1) are an extrapolation; it ends at a tenth of that, beyond which jets tie.

    Attributes:
        knots: Values of background, ascending, shape (m,).
        log_survival: ln of the fraction at or above each, shape (m,), from 0 downwards.
        tail_scale: Mean excess above the last knot, shape ().
        n_effective: (Σw)²/Σw² of the background, shape ().
    """

    knots: Floats
    log_survival: Floats
    tail_scale: Floats
    n_effective: Floats

    @classmethod
    def fit(cls, values: Floats, weights: Floats) -> TailSurvival:
        """Learn from finite values (n,) of background, with positive weights (n,)."""
        n_effective = weights.sum() ** 2 / np.sum(weights**2)
        knots, at = np.unique(values, return_inverse=True)
        mass = np.bincount(at, weights=weights)
        survival = np.cumsum(mass[::-1])[::-1] / mass.sum()
        start = min(TAIL_JETS / n_effective, TAIL_FRACTION)
        last = max(int(np.count_nonzero(survival >= start)) - 1, 0)
        excess = np.average(knots[last:] - knots[last], weights=mass[last:])
        kept = _spread(-np.log(survival[: last + 1]), last + 1)
        return cls(
            knots[kept],
            np.log(survival[kept]),
            np.asarray(max(excess, np.finfo(np.float64).tiny)),
            np.asarray(n_effective),
        )

    @property
    def cap(self) -> float:
        """The largest value it gives."""
        return float(np.log10(self.n_effective + 1) + 1)

    def __call__(self, values: Floats) -> Floats:
        """Give −log10 of the survival: (n,) → (n,), in [0, `cap`]."""
        inside = np.interp(values, self.knots, self.log_survival)
        tail = np.maximum(values - self.knots[-1], 0.0) / self.tail_scale
        rarity = (tail - inside) / np.log(10)
        return np.asarray(np.clip(rarity, 0.0, self.cap) + 0.0)

    def values_at(self, rarities: Floats) -> Floats:
        """Give the values (n,) of which −log10 of the survival is given: the inverse of a call."""
        logs = -np.log(10) * rarities
        inside = np.interp(-logs, -self.log_survival, self.knots)
        beyond = np.maximum(self.log_survival[-1] - logs, 0.0) * self.tail_scale
        return np.asarray(inside + beyond)

    def arrays(self) -> dict[str, Floats]:
        """Give its fields, to be saved."""
        return {
            "knots": self.knots,
            "log_survival": self.log_survival,
            "tail_scale": self.tail_scale,
            "n_effective": self.n_effective,
        }


def _spread(levels: Floats, n: int | None = None) -> npt.NDArray[np.int64]:
    """Choose at most about MAX_KNOTS of ascending levels, the ends included; denser at the ends."""
    n = len(levels) if n is None else n
    if n <= MAX_KNOTS:
        return np.arange(n)
    ends = np.arange(MAX_KNOTS // 4)
    even = np.linspace(0, n - 1, MAX_KNOTS // 2).round().astype(np.int64)
    return np.unique(np.concatenate([ends, even, n - 1 - ends]))
