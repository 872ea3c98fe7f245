"""Jets ranked by a score, once, so that each resampling costs a few cumulative sums."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from oddjet.typing import Bools, Floats, Ints

__all__ = ["Ranking"]


@dataclass(frozen=True, eq=False)
class Ranking:
    """Jets sorted by bin and falling score.

    Attributes:
        order: Indices by bin, then by falling score, shape (n,).
        signal: In that order, shape (n,).
        first: Positions in that order of the first jet of each bin and score, shape (m,).
        bins: The bin of each of these, shape (m,).
        scores: The score of each of these, shape (m,).
    """

    order: Ints
    signal: Bools
    first: Ints
    bins: Ints
    scores: Floats
    n_bins: int

    @classmethod
    def from_scores(
        cls, scores: Floats, signal: Bools, place: Ints | None = None, n_bins: int = 1
    ) -> Ranking:
        """Rank n ≥ 1 jets by their scores, signal or not, within the bins `place`, each (n,)."""
        place = np.zeros(len(scores), dtype=np.int64) if place is None else place
        order = np.lexsort((-scores, place))
        ranked, where = scores[order], place[order]
        is_new = np.append(True, (np.diff(ranked) != 0) | (np.diff(where) != 0))
        first = np.flatnonzero(is_new)
        return cls(order, signal[order], first, where[first], ranked[first], n_bins)

    def rates(self, weights: Floats) -> tuple[Floats, Floats]:
        """Give fpr and tpr, (m + 1,) each, of a single bin from the highest score down."""
        ranked = weights[self.order]
        last = np.append(self.first[1:], len(ranked)) - 1

        def rate(ranked: Floats) -> Floats:
            passed = np.concatenate([[0.0], np.cumsum(ranked)[last]])
            return np.asarray(passed / passed[-1])

        return rate(np.where(self.signal, 0.0, ranked)), rate(np.where(self.signal, ranked, 0.0))

    def areas(self, weights: Floats) -> tuple[Floats, Floats]:
        """Give each bin's area, NaN where a kind has no weight, and signal weight: (n_bins,)."""
        ranked = weights[self.order]
        signal = np.add.reduceat(np.where(self.signal, ranked, 0.0), self.first)  # (m,)
        background = np.add.reduceat(np.where(self.signal, 0.0, ranked), self.first)
        in_bin = np.bincount(self.bins, signal, self.n_bins)
        before_bin = np.cumsum(in_bin) - in_bin
        # Signal above each background score of the same bin; equal scores count half.
        above = np.cumsum(signal) - signal - before_bin[self.bins] + 0.5 * signal
        won = np.bincount(self.bins, above * background, self.n_bins)
        pairs = in_bin * np.bincount(self.bins, background, self.n_bins)
        areas = np.divide(won, pairs, out=np.full(self.n_bins, np.nan), where=pairs > 0)
        return areas, np.asarray(in_bin, dtype=np.float64)

    def mean_area(self, weights: Floats) -> float:
        """Average the areas over the signal of the bins that have one."""
        areas, signal = self.areas(weights)
        known = np.isfinite(areas)
        return float(np.average(areas[known], weights=signal[known])) if known.any() else np.nan
