"""Jets of one pt bin: what passes by mass, permutations of the mass, toys, and the test of a broad change.

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
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from scipy import special, stats

from oddjet.typing import Bools, Floats, Ints

__all__ = ["Passing", "Stratum", "equal_bins"]


LEAST_EXPECTED = 5.0
"""Least expected number of passing (and of failing) jets a mass bin, as is usual for χ²."""

INTEGRATION_POINTS = 16


class Passing(NamedTuple):
    """What passes in n samples of the jets of a stratum.

    Attributes:
        sums: Σw of passing jets, shape (n, n_points, n_bins).
        squares: Their Σw² over all bins, shape (n, n_points).
    """

    sums: Floats
    squares: Floats


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
        n_bins: Number of mass bins.
        n_groups: Equally full groups of bins that a broad change is tested in.
    """

    place: Ints
    level: Ints
    weights: Floats
    n_points: int
    n_bins: int
    n_groups: int = 8

    @property
    def n_jets(self) -> int:
        """Jets in it."""
        return len(self.place)

    @functools.cached_property
    def bin_sizes(self) -> Ints:
        """Jets in each mass bin."""
        return np.bincount(self.place, minlength=self.n_bins).astype(np.int64)

    @functools.cached_property
    def bin_weights(self) -> Floats:
        """Σw of each mass bin."""
        return np.asarray(np.bincount(self.place, self.weights, self.n_bins), np.float64)

    @functools.cached_property
    def bin_squares(self) -> Floats:
        """Σw² of each mass bin."""
        return np.asarray(np.bincount(self.place, self.weights**2, self.n_bins), np.float64)

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
        """Groups of bins that each working point can be tested in; below 2, it can not be tested."""
        most = min(self.n_groups, int(np.count_nonzero(self.bin_sizes)))
        return np.minimum(self.effective_passing // LEAST_EXPECTED, most).astype(np.int64)

    def observed(self) -> Passing:
        """What passes, n = 1."""
        return self._in_order([np.arange(self.n_jets)])

    def permuted(self, n: int, rng: np.random.Generator) -> Passing:
        """What passes after `n` permutations of the mass.

        For equal weights no jet is permuted: the passing jets of a bin are drawn from the
        multivariate hypergeometric distribution, a tighter point's out of the looser one's.
        """
        if self.is_equal:
            return self._of_counts(self._permuted_counts(n, rng))
        return self._in_order(rng.permutation(self.n_jets) for _ in range(n))

    def correlated(self, rho: float, n: int, rng: np.random.Generator) -> Passing:
        """What passes in `n` toys whose score and mass ranks have a Gaussian copula.

        For equal weights each mass bin's jets are spread over the bands between working points; else
        the scores of the jets are reordered.

        Args:
            rho: Correlation of the two Gaussians.
            n: Toys.
            rng: Draws them.
        """
        if self.is_equal:
            return self._of_counts(self._correlated_counts(rho, n, rng))
        by_score = np.argsort(self.level, kind="stable")
        ranks = np.argsort(np.argsort(self.place, kind="stable"), kind="stable")
        latent = stats.norm.ppf((ranks + 0.5) / self.n_jets)
        orders = []
        for _ in range(n):
            noise = rng.standard_normal(self.n_jets)
            order = np.argsort(rho * latent + np.sqrt(1 - rho**2) * noise)
            # The jet that is k-th in the toy's score gets the k-th score of the sample.
            drawn = np.empty(self.n_jets, np.int64)
            drawn[order] = by_score
            orders.append(drawn)
        return self._in_order(orders)

    def statistics(self, passing: Passing) -> tuple[Floats, Floats]:
        """Statistic T of each working point and its local p = P(χ² ≥ T), both (n, n_points).

        p is 1 where a point cannot be tested.
        """
        excesses, squares = self._excesses(passing)
        t, p = np.zeros(squares.shape), np.ones(squares.shape)
        for k, n_merged in enumerate(self.n_merged):
            if n_merged >= 2:
                merged, sizes = self._merge(excesses[:, k], int(n_merged))
                sums = np.sum(merged**2 / sizes, axis=1)
                t[:, k] = (self.n_jets - 1) * np.divide(
                    sums, squares[:, k], out=np.zeros(len(sums)), where=squares[:, k] > 0
                )
                p[:, k] = special.chdtrc(len(sizes) - 1, t[:, k])
        return t, p

    def variations(self, passing: Passing) -> Floats:
        """RMS over the mass of ε_b/ε − 1, less what chance gives, shape (n, n_points).

        With RMS² = Σ_b (n_b/N) (S_b / (n_b ε w̄))², what chance gives is the fraction dof / T of it.
        """
        t, _ = self.statistics(passing)
        excesses, _ = self._excesses(passing)
        efficiencies, variations = self.efficiencies, np.zeros(t.shape)
        for k, n_merged in enumerate(self.n_merged):
            if n_merged < 2:
                continue
            merged, sizes = self._merge(excesses[:, k], int(n_merged))
            scale = efficiencies[k] * self.weights.mean()
            rms = np.sqrt(np.sum(merged**2 / sizes, axis=1) / self.n_jets) / scale
            chance = (len(sizes) - 1) / np.maximum(t[:, k], 1e-300)
            variations[:, k] = rms * np.sqrt(np.maximum(1 - chance, 0.0))
        return variations

    def _excesses(self, passing: Passing) -> tuple[Floats, Floats]:
        """S_b of each sample, shape (n, n_points, n_bins), and its Σ u², shape (n, n_points)."""
        efficiencies = passing.sums.sum(axis=2) / self.weights.sum()
        excesses = passing.sums - efficiencies[:, :, None] * self.bin_weights
        squares = passing.squares * (1 - 2 * efficiencies) + efficiencies**2 * np.sum(
            self.weights**2
        )
        return excesses, np.maximum(squares, 0.0)

    def _merge(self, sums: Floats, n_merged: int) -> tuple[Floats, Ints]:
        """Add neighbouring bins so that about `n_merged` equally full ones are left."""
        filled = self.bin_sizes > 0
        sizes, sums = self.bin_sizes[filled], sums[:, filled]
        middle = (np.cumsum(sizes) - sizes / 2) / self.n_jets
        group = np.minimum((middle * n_merged).astype(np.int64), n_merged - 1)
        starts = np.unique(group, return_index=True)[1]
        return np.add.reduceat(sums, starts, axis=1), np.add.reduceat(sizes, starts)

    def _in_order(self, orders: Iterable[Ints]) -> Passing:
        """What passes where jet i has the score of jet order[i] and keeps its own mass and weight.

        So weights may follow the mass: what is permuted is whether jets pass.
        """
        sums, squares = [], []
        for order in orders:
            level = self.level[order]
            cell = self.place * (self.n_points + 1) + level
            size = self.n_bins * (self.n_points + 1)
            table = np.bincount(cell, self.weights, minlength=size).reshape(self.n_bins, -1)
            sums.append(table[:, ::-1].cumsum(axis=1)[:, ::-1][:, 1:].T)
            square = np.bincount(level, self.weights**2, minlength=self.n_points + 1)
            squares.append(square[::-1].cumsum()[::-1][1:])
        return Passing(np.array(sums), np.array(squares))

    def _of_counts(self, counts: Ints) -> Passing:
        weight = self.weights[0]
        return Passing(counts * weight, counts.sum(axis=2) * weight**2)

    def _permuted_counts(self, n: int, rng: np.random.Generator) -> Ints:
        left = np.tile(self.bin_sizes, (n, 1))
        counts = []
        for passing in self.passes.sum(axis=1):
            left = _draw_without_replacement(left, int(passing), rng)
            counts.append(left)
        return np.stack(counts, axis=1)

    def _correlated_counts(self, rho: float, n: int, rng: np.random.Generator) -> Ints:
        with np.errstate(divide="ignore"):
            cuts = stats.norm.isf(self.passes.mean(axis=1))
        stops = np.cumsum(self.bin_sizes) / self.n_jets
        starts = np.concatenate([[0.0], stops[:-1]])
        inner = (np.arange(INTEGRATION_POINTS) + 0.5) / INTEGRATION_POINTS
        latent = special.ndtri(starts[:, None] + inner * (stops - starts)[:, None])
        # An empty bin at an end of the masses has no width, and no jets to draw.
        latent = np.clip(latent, -40.0, 40.0)
        shifted = (cuts[:, None, None] - rho * latent) / np.sqrt(1 - rho**2)
        survival = special.ndtr(-shifted).mean(axis=2)
        ends = np.ones((1, self.n_bins)), np.zeros((1, self.n_bins))
        bands = np.maximum(-np.diff(np.concatenate([ends[0], survival, ends[1]]), axis=0), 0.0)
        counts = np.zeros((n, self.n_points, self.n_bins), np.int64)
        for b, size in enumerate(self.bin_sizes):
            if size:
                drawn = rng.multinomial(size, bands[:, b] / bands[:, b].sum(), size=n)
                counts[:, :, b] = drawn[:, ::-1].cumsum(axis=1)[:, ::-1][:, 1:]
        return counts


def _draw_without_replacement(sizes: Ints, n_drawn: int, rng: np.random.Generator) -> Ints:
    """Draw `n_drawn` jets out of each row of bins, shapes (n, n_bins) → (n, n_bins)."""
    drawn = np.zeros_like(sizes)
    wanted = np.full(len(sizes), n_drawn)
    behind = sizes.sum(axis=1)
    for b in range(sizes.shape[1]):
        if not sizes[:, b].any():
            continue
        behind = behind - sizes[:, b]
        drawn[:, b] = rng.hypergeometric(sizes[:, b], behind, wanted)
        wanted = wanted - drawn[:, b]
    return drawn
