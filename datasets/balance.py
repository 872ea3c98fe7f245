"""Constituents against their jet: does what was linked to a jet add up to it?

NanoAOD's constituents are not corrected, so the pt of their sum is that of the jet without its
corrections, pt · (1 − rawFactor), within the half per cent that rounding costs (ten bits a number).
Wrong links, missing or stale PUPPI weights and padding show here and nowhere else.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from typing import Any

import awkward as ak
import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from oddjet.typing import Floats

__all__ = ["Balance"]

_STEP = 2e-4
_LARGEST = 50_000
"""Bins beyond a factor e^±10 are one."""


class Balance(BaseModel):
    """Ratios of the constituents' sum to the jet, as a histogram that adds up over chunks.

    Attributes:
        counts: Number of jets by bin: bin i is around a ratio of e^(i / 5000).
        is_raw: Whether the jets are without corrections; False where the file has no rawFactor, so that
            the ratio holds the corrections too.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    counts: dict[int, int] = Field(default_factory=dict)
    is_raw: bool = True

    @classmethod
    def measure(cls, constituents: Any, pt: Floats, *, is_raw: bool = True) -> Balance:
        """Compare constituents with their jets.

        Args:
            constituents: n_jets * var * {pt [GeV], phi, …}; jets without any do not count.
            pt: The jets' pt, without corrections if `is_raw` [GeV] (n_jets).
            is_raw: See the class.
        """
        transverse = [
            ak.sum(constituents.pt * f(constituents.phi), axis=1) for f in (np.cos, np.sin)
        ]
        summed = np.hypot(*(np.asarray(component, np.float64) for component in transverse))
        has_any = np.asarray(ak.num(constituents.pt, axis=1)) > 0
        with np.errstate(divide="ignore", invalid="ignore"):
            bins = np.rint(np.log(summed / np.asarray(pt, np.float64)) / _STEP)[has_any]
        bins = np.clip(np.nan_to_num(bins, nan=_LARGEST), -_LARGEST, _LARGEST).astype(np.int64)
        values, numbers = np.unique(bins, return_counts=True)
        return cls(counts=dict(zip(values.tolist(), numbers.tolist(), strict=True)), is_raw=is_raw)

    @classmethod
    def add_up(cls, parts: Iterable[Balance | None]) -> Balance | None:
        """Add up what chunks or files have; None if none has anything."""
        known = [part for part in parts if part is not None and part.n_jets]
        if not known:
            return None
        counts: Counter[int] = Counter()
        for part in known:
            counts.update(part.counts)
        return cls(counts=dict(sorted(counts.items())), is_raw=all(part.is_raw for part in known))

    @property
    def n_jets(self) -> int:
        """Number of jets."""
        return sum(self.counts.values())

    def quantile(self, share: float) -> float:
        """Give the ratio below or at which a share of the jets is, to 0.01 %; NaN without jets."""
        wanted, passed = share * self.n_jets, 0
        for place, number in sorted(self.counts.items()):
            passed += number
            if passed >= wanted:
                return math.exp(place * _STEP)
        return math.nan

    @property
    def median(self) -> float:
        """The median ratio; NaN without jets."""
        return self.quantile(0.5)

    @property
    def tails(self) -> tuple[float, float]:
        """The ratios that 1 % of the jets are below, and 1 % above."""
        return self.quantile(0.01), self.quantile(0.99)

    def describe(self) -> str:
        """Describe the ratio in a line."""
        jet = "raw pt" if self.is_raw else "pt (no rawFactor in the file: maybe corrected)"
        low, high = self.tails
        return (
            f"Σ constituents / {jet}: median {self.median:.3f}, 1 % below {low:.3f}, 1 % above {high:.3f}"
            f" ({self.n_jets:,} jets)"
        )
