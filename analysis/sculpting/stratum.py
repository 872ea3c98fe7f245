"""Jets of one pt bin: counts over mass and working points, permutations of the mass, and toys.

Of the jets of a stratum only three things matter: their bin in mass, their weight, and how many of
the nested working points they pass. With u = w (pass − ε), ε the efficiency of the stratum, and S_b
the sum of u over the n_b jets of mass bin b, the statistic of a working point is

    T = (N − 1) Σ_b (S_b² / n_b) / Σ u².

It is the Kruskal–Wallis form of Pearson's χ² of pass against fail over the mass bins: for equal
weights T = χ² (N − 1)/N exactly. Over permutations of the mass S_b has the variance
(1 − n_b/N) n_b Σ u² / (N − 1), so that T has the mean n_bins − 1, and about a χ² distribution with as
many degrees of freedom. Weights that follow the mass spoil this, but not the permutations: there mass
and weight stay together, and what is permuted against them is the score.
"""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
from scipy import stats

from oddjet.typing import Bools, Floats, Ints

__all__ = ["Stratum", "equal_bins"]


LEAST_EXPECTED = 5.0
"""Least expected number of passing (and of failing) jets a mass bin, as is usual for χ²."""

INTEGRATION_POINTS = 64


def equal_bins(mass: Floats, n_bins: int) -> Ints:
    """Find which of `n_bins` equally full bins each mass is in; equal masses share a bin.

    Returns:
        Shape (n,), every number from 0 to the largest being used.

    >>> equal_bins(np.array([3.0, 1.0, 2.0, 4.0]), 2).tolist()
    [1, 0, 0, 1]
    """
    edges = np.quantile(mass, np.linspace(0, 1, n_bins + 1)[1:-1], method="lower")
    place = np.searchsorted(edges, mass, side="left")
    return np.unique(place, return_inverse=True)[1].astype(np.int64)


@dataclasses.dataclass(frozen=True)
class Stratum:
    """Jets of one pt bin.

    Attributes:
        place: Mass bin of each jet, shape (n,).
        level: Number of working points each jet passes, shape (n,); the points are nested.
        weights: Shape (n,), positive.
        n_points: Number of working points, from loose to tight.
    """

    place: Ints
    level: Ints
    weights: Floats
    n_points: int

    @property
    def n_jets(self) -> int:
        """Jets in it."""
        return len(self.place)

    @functools.cached_property
    def bin_sizes(self) -> Ints:
        """Jets in each mass bin."""
        return np.bincount(self.place).astype(np.int64)

    @functools.cached_property
    def is_equal(self) -> bool:
        """Whether all weights are the same, so that counts are all that matters."""
        return bool(np.ptp(self.weights) <= 1e-9 * self.weights.max())

    @functools.cached_property
    def passes(self) -> Bools:
        """What each jet passes, shape (n_points, n)."""
        passes: Bools = self.level > np.arange(self.n_points)[:, None]
        return passes

    @functools.cached_property
    def efficiencies(self) -> Floats:
        """Weighted efficiency of each working point, shape (n_points,)."""
        efficiencies: Floats = self.passes @ self.weights / self.weights.sum()
        return efficiencies

    @functools.cached_property
    def excesses(self) -> Floats:
        """Values u = w (pass − ε), shape (n_points, n)."""
        excesses: Floats = (self.passes - self.efficiencies[:, None]) * self.weights
        return excesses

    @functools.cached_property
    def effective_passing(self) -> Floats:
        """Effective numbers (Σw)²/Σw² of the passing or failing jets, whichever are fewer."""
        passes = self.passes

        def effective(mask: Bools) -> Floats:
            squares: Floats = mask @ self.weights**2
            number: Floats = (mask @ self.weights) ** 2 / np.where(squares > 0, squares, 1.0)
            return number

        fewer: Floats = np.minimum(effective(passes), effective(~passes))
        return fewer

    @functools.cached_property
    def n_merged(self) -> Ints:
        """Mass bins that each working point can be tested in; below 2, it can not be tested."""
        wanted = np.minimum(self.effective_passing // LEAST_EXPECTED, len(self.bin_sizes))
        return wanted.astype(np.int64)

    def sums(self) -> Floats:
        """Observed S_b, shape (1, n_points, n_bins)."""
        n_bins = len(self.bin_sizes)
        rows = [np.bincount(self.place, weights=u, minlength=n_bins) for u in self.excesses]
        return np.array(rows, np.float64)[None]

    def permuted_sums(self, n: int, rng: np.random.Generator) -> Floats:
        """Sums S_b after `n` permutations of the mass, shape (n, n_points, n_bins).

        For equal weights no jet is permuted: the passing jets of a bin are drawn from the
        multivariate hypergeometric distribution, a tighter point's out of the looser one's.
        """
        if self.is_equal:
            return self._sums_of_counts(self._permuted_counts(n, rng))
        return np.array([self._sums_in_order(rng.permutation(self.n_jets)) for _ in range(n)])

    def correlated_sums(self, rho: float, n: int, rng: np.random.Generator) -> Floats:
        """Sums S_b of `n` toys whose score and mass ranks have a Gaussian copula.

        Args:
            rho: Correlation of the two Gaussians.
            n: Toys.
            rng: Draws them.

        Returns:
            Shape (n, n_points, n_bins). For equal weights each mass bin's jets are spread over the
            bands between working points; else the scores of the jets are
            reordered.
        """
        if self.is_equal:
            return self._sums_of_counts(self._correlated_counts(rho, n, rng))
        by_score = np.argsort(self.level, kind="stable")
        ranks = np.argsort(np.argsort(self.place, kind="stable"), kind="stable")
        latent = stats.norm.ppf((ranks + 0.5) / self.n_jets)
        toys = []
        for _ in range(n):
            noise = rng.standard_normal(self.n_jets)
            order = np.argsort(rho * latent + np.sqrt(1 - rho**2) * noise)
            # The jet that is k-th in the toy's score gets the k-th score of the sample.
            drawn = np.empty(self.n_jets, np.int64)
            drawn[order] = by_score
            toys.append(self._sums_in_order(drawn))
        return np.array(toys)

    def statistics(self, sums: Floats) -> tuple[Floats, Floats]:
        """Statistic T of each working point and its local p, for sums S_b (n, n_points, n_bins).

        T and p = P(χ² ≥ T) have shape (n, n_points); p is 1 where a point cannot be tested.
        """
        t, p = np.zeros(sums.shape[:2]), np.ones(sums.shape[:2])
        for k, n_merged in enumerate(self.n_merged):
            if n_merged >= 2:
                t[:, k], p[:, k] = self._statistic(sums[:, k], k, int(n_merged))
        return t, p

    def variations(self, sums: Floats) -> Floats:
        """RMS over the mass of ε_b/ε − 1, less what chance gives, shape (n, n_points).

        With RMS² = Σ_b (n_b/N) (S_b / (n_b ε w̄))², what chance gives is the fraction dof / T of it.
        """
        t, _ = self.statistics(sums)
        efficiencies, variations = self.efficiencies, np.zeros(t.shape)
        for k, n_merged in enumerate(self.n_merged):
            if n_merged < 2:
                continue
            merged, sizes = self._merge(sums[:, k], int(n_merged))
            scale = efficiencies[k] * self.weights.mean()
            rms = np.sqrt(np.sum(merged**2 / sizes, axis=1) / self.n_jets) / scale
            chance = (len(sizes) - 1) / np.maximum(t[:, k], 1e-300)
            variations[:, k] = rms * np.sqrt(np.maximum(1 - chance, 0.0))
        return variations

    def _statistic(self, sums: Floats, k: int, n_merged: int) -> tuple[Floats, Floats]:
        merged, sizes = self._merge(sums, n_merged)
        squares = float(np.sum(self.excesses[k] ** 2))
        t: Floats = (self.n_jets - 1) * np.sum(merged**2 / sizes, axis=1) / squares
        return t, stats.chi2.sf(t, len(sizes) - 1)

    def _merge(self, sums: Floats, n_merged: int) -> tuple[Floats, Ints]:
        """Add neighbouring bins so that about `n_merged` equally full ones are left."""
        sizes = self.bin_sizes
        middle = (np.cumsum(sizes) - sizes / 2) / self.n_jets
        group = np.minimum((middle * n_merged).astype(np.int64), n_merged - 1)
        starts = np.unique(group, return_index=True)[1]
        return np.add.reduceat(sums, starts, axis=1), np.add.reduceat(sizes, starts)

    def _sums_in_order(self, order: Ints) -> Floats:
        """S_b where jet i has the score of jet order[i] and keeps its own mass and weight.

        So weights may follow the mass: what is permuted is whether jets pass. Σ u² changes then, and
        S_b is scaled so that `statistics`, which divides by that of the sample, divides by its own.
        """
        passes, n_bins = self.passes[:, order], len(self.bin_sizes)
        efficiencies = passes @ self.weights / self.weights.sum()
        excesses = (passes - efficiencies[:, None]) * self.weights
        squares = np.sum(excesses**2, axis=1)
        own = np.sum(self.excesses**2, axis=1)
        scale = np.sqrt(np.divide(own, squares, out=np.ones_like(own), where=squares > 0))
        rows = [np.bincount(self.place, weights=u, minlength=n_bins) for u in excesses]
        sums: Floats = np.array(rows) * scale[:, None]
        return sums

    def _sums_of_counts(self, counts: Ints) -> Floats:
        # Toys of free margins have their own efficiency; permutations have the sample's.
        efficiencies = counts.sum(axis=2, keepdims=True) / self.n_jets
        sums: Floats = (counts - efficiencies * self.bin_sizes) * self.weights[0]
        return sums

    def _permuted_counts(self, n: int, rng: np.random.Generator) -> Ints:
        left = np.tile(self.bin_sizes, (n, 1))
        counts = []
        for passing in self.passes.sum(axis=1):
            left = _draw_without_replacement(left, int(passing), rng)
            counts.append(left)
        return np.stack(counts, axis=1)

    def _correlated_counts(self, rho: float, n: int, rng: np.random.Generator) -> Ints:
        sizes = self.bin_sizes
        with np.errstate(divide="ignore"):
            cuts = stats.norm.isf(self.passes.mean(axis=1))
        counts = []
        start = 0.0
        for size in sizes:
            stop = start + size / self.n_jets
            points = (np.arange(INTEGRATION_POINTS) + 0.5) / INTEGRATION_POINTS
            latent = stats.norm.ppf(start + points * (stop - start))
            shifted = (cuts[:, None] - rho * latent) / np.sqrt(1 - rho**2)
            survival = np.concatenate([[1.0], stats.norm.sf(shifted).mean(axis=1), [0.0]])
            bands = np.maximum(-np.diff(survival), 0.0)
            drawn = rng.multinomial(size, bands / bands.sum(), size=n)
            counts.append(drawn[:, ::-1].cumsum(axis=1)[:, ::-1][:, 1:])
            start = stop
        return np.stack(counts, axis=2)


def _draw_without_replacement(sizes: Ints, n_drawn: int, rng: np.random.Generator) -> Ints:
    """Draw `n_drawn` jets out of each row of bins, shapes (n, n_bins) → (n, n_bins)."""
    drawn = np.zeros_like(sizes)
    wanted = np.full(len(sizes), n_drawn)
    behind = sizes.sum(axis=1)
    for b in range(sizes.shape[1]):
        behind = behind - sizes[:, b]
        drawn[:, b] = rng.hypergeometric(sizes[:, b], behind, wanted)
        wanted = wanted - drawn[:, b]
    return drawn
