"""Tests of what passes by mass, in a sample of jets, in permutations of their masses, and in toys.

Two families of tests look at what passes. Windows: in each window of the hunt, at each working point,
more passing jets than an efficiency that is smooth beside it gives; one family a working point. Cells: in
each bin of pt pass against fail over the whole mass range. The smallest p of each family takes its place
among the same number of samples in which the masses were permuted among the jets of each pt bin,
and the smallest place is ranked among theirs. So all that was looked at is counted, and the rank
p = (k + 1)/(n + 1) is exact for any distribution of the statistics, but for the mean of each window's, which is that of n
permutations.

References:
    B. Phipson and G. K. Smyth, "Permutation p-values should never be zero", arXiv:1603.05766.
    P. H. Westfall and S. S. Young, "Resampling-based multiple testing", Wiley (1993): the smallest
    p under permutation.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence

import numpy as np
from scipy import optimize, special, stats

from oddjet.analysis.sculpting.fakes import CONFIDENCE, Contrasts, FakeBumps, JudgedJets
from oddjet.analysis.sculpting.stratum import Passing, Stratum
from oddjet.analysis.sculpting.verdict import LEAST_POWER, LEVEL
from oddjet.typing import Floats

__all__ = ["Ranked", "Sample", "Strata"]

Strata = Mapping[tuple[float, float], Stratum]
"""Edges of a pt bin [GeV] → its jets."""

_SLACK = 1 + 1e-9
"""Sums over permuted jets differ in their last digits for one and the same table."""


@dataclasses.dataclass(frozen=True)
class Sample:
    """n samples: statistics and p of cells (n, n_cells), significances (n_points, n, n_windows)."""

    cell_t: Floats
    cell_p: Floats
    significances: Floats

    @classmethod
    def make(
        cls, strata: Sequence[Stratum], passing: Sequence[Passing], contrasts: Contrasts
    ) -> Sample:
        """Test what passes in each pt bin, and in all together."""
        tested = [s.statistics(p) for s, p in zip(strata, passing, strict=True)]
        t, p = (np.concatenate(columns, axis=1) for columns in zip(*tested, strict=True))
        sums = np.sum([p.sums for p in passing], axis=0)
        total = float(sum(stratum.weights.sum() for stratum in strata))
        z = [contrasts.significances(sums[:, k], total) for k in range(sums.shape[1])]
        return cls(t, p, np.array(z))

    def centred(self) -> Sample:
        """Take from each window what all samples have there on average.

        A score that depends on pt makes the mixture of pt bins change with the mass, in every permutation too. A hunt
        in all pt together sees that as it sees a bump, so that it is no part of the null.
        """
        z = self.significances
        return dataclasses.replace(self, significances=z - z.mean(axis=1, keepdims=True))

    def families(self) -> Floats:
        """Smallest p of the cells, and of each point's windows: (n, 1 + n_points)."""
        cells = self.cell_p.min(axis=1)
        return np.column_stack([cells, *special.ndtr(-self.significances.max(axis=2))])

    def with_bumps(
        self, jets: JudgedJets, contrasts: Contrasts, bumps: Sequence[FakeBumps], n: int
    ) -> Floats:
        """Families of `n` of the samples, each with a bump of 1σ of the hunt in one window at one point."""
        rows, points = np.resize(np.arange(len(self.cell_p)), n), np.arange(n) % len(bumps)
        efficiencies = jets.passing.sum(axis=1) / jets.weights.sum()
        families, inside = self.families()[rows], contrasts.windows.mask
        for k, bump in enumerate(bumps):
            mine = np.flatnonzero(points == k)
            where = np.linspace(0, len(inside) - 1, len(mine)).round().astype(np.int64)
            more = (bump.resolutions / bump.hunted)[where, None]  # of the efficiency
            shift = (inside[where] * jets.weights * more) @ contrasts.matrix.T
            shift /= contrasts.errors(efficiencies[k])
            significances = self.significances[k, rows[mine]] + shift
            families[mine, 1 + k] = special.ndtr(-significances.max(axis=1))
        return families


@dataclasses.dataclass(frozen=True)
class Ranked:
    """Everything that is tested, in the sample, its permutations and toys.

    Attributes:
        sample: The sample itself, n = 1.
        null: Smallest p of each family, of the sample and then of the permutations: (1 + n, n_families).
        power, power_bump: Of toys with correlation, and with a bump.
        n_needed: Judged jets with which 90 % of mass-blind scores would PASS, about.
    """

    sample: Sample
    null: Floats
    power: float
    power_bump: float
    n_needed: float

    @classmethod
    def make(
        cls,
        strata: Strata,
        jets: JudgedJets,
        contrasts: Contrasts,
        bumps: Sequence[FakeBumps],
        *,
        toys: tuple[int, int, float],
        allowed: float,
        seed: int,
    ) -> Ranked:
        """Test the sample, its permutations and toys.

        Args:
            strata: The jets by pt bin.
            jets: The same jets by mass alone.
            contrasts: Ranked of the windows.
            bumps: What each working point fakes in them.
            toys: Number of permutations, number of toys of each kind, and the correlation of the toys.
            allowed: Fake bump that is tolerated, over the hunt's resolution.
            seed: Fixes everything that is drawn.
        """
        rng = np.random.default_rng(seed)
        n, n_toys, rho = toys
        parts = list(strata.values())
        sample = Sample.make(parts, [s.observed() for s in parts], contrasts)
        permuted = Sample.make(parts, [s.permuted(n, rng) for s in parts], contrasts).centred()
        correlated = Sample.make(parts, [s.correlated(rho, n_toys, rng) for s in parts], contrasts)
        null = permuted.families()
        bumped = permuted.with_bumps(jets, contrasts, bumps, n_toys)
        needed = (
            jets.n_jets * (_bound_of_blind(permuted, bumps) / allowed) ** 2,
            _jets_for_power(parts, correlated, null),
        )
        return cls(
            sample=sample,
            null=np.concatenate([sample.families(), null]),
            power=_noticed(correlated.families(), null),
            power_bump=_noticed(bumped, null),
            n_needed=max(needed),
        )

    @functools.cached_property
    def places(self) -> Floats:
        """Smallest place of the sample and of each permutation, shape (1 + n,)."""
        smallest: Floats = _places(self.null, self.null).min(axis=1)
        return smallest

    @property
    def overall_p(self) -> float:
        """The global p of the sample."""
        return float(np.mean(self.places <= self.places[0] * _SLACK))

    def global_p(self, local_p: Floats, family: int) -> Floats:
        """Global p of the sample's local ones (n,) of a family: their place among the smallest of all samples."""
        own = _place(local_p, np.sort(self.null[:, family]))
        k = np.searchsorted(np.sort(self.places), own * _SLACK, side="right")
        return np.asarray(k / len(self.null))


def _place(p: Floats, ordered: Floats) -> Floats:
    """Number of samples with as small a p; of equal numbers p itself, which is below 1, decides."""
    return np.asarray(np.searchsorted(ordered, p * _SLACK, side="right") + p * (1 - 1e-6))


def _places(p: Floats, null: Floats) -> Floats:
    """Place of each p in its family: (n, n_families)."""
    columns = zip(p.T, np.sort(null, axis=0).T, strict=True)
    return np.column_stack([_place(*column) for column in columns])


def _noticed(toys: Floats, null: Floats) -> float:
    """Fraction of toys whose global p is below the level."""
    ordered = np.sort(_places(null, null).min(axis=1))
    # A permutation's place counts itself, and so does a toy's.
    places = _places(toys, null).min(axis=1) + 1
    k = np.searchsorted(ordered, places * _SLACK, side="right")
    return float(np.mean((k + 1) / (len(null) + 1) < LEVEL))


def _bound_of_blind(permuted: Sample, bumps: Sequence[FakeBumps]) -> float:
    """Largest upper bound, over σ of the hunt, that 90 % of samples without any dependence stay below."""
    z = float(stats.norm.ppf(CONFIDENCE))
    largest = [
        ((significances + z) * (bump.errors / bump.resolutions)).max(axis=1)
        for significances, bump in zip(permuted.significances, bumps, strict=True)
    ]
    return float(np.quantile(np.max(largest, axis=0), LEAST_POWER))


def _jets_for_power(strata: Sequence[Stratum], toys: Sample, null: Floats) -> float:
    """Judged jets with which the most sensitive cell alone notices the toys' correlation; 0 if unknown."""
    dof = np.concatenate([stratum.n_merged for stratum in strata]) - 1.0
    central = np.maximum(toys.cell_t.mean(axis=0) - dof, 0.0)
    best = int(np.argmax(np.where(dof > 0, central / np.sqrt(np.maximum(dof, 1.0)), -1.0)))
    if dof[best] < 1 or central[best] <= 0:
        return 0.0
    threshold = stats.chi2.isf(np.quantile(null[:, 0], LEVEL / null.shape[1]), dof[best])
    wanted = optimize.brentq(
        lambda c: stats.ncx2.sf(threshold, dof[best], c) - LEAST_POWER, 1e-9, 1e6
    )
    return float(sum(stratum.n_jets for stratum in strata) * wanted / central[best])
