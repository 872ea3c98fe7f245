from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy import stats

from oddjet.analysis.sculpting.stratum import Stratum, equal_bins


def _stratum(n: int = 4000, *, n_bins: int = 6, seed: int = 1) -> Stratum:
    rng = np.random.default_rng(seed)
    scores = rng.random(n)
    level = (scores > 0.5).astype(np.int64) + (scores > 0.9)
    return Stratum(equal_bins(rng.exponential(50, n), n_bins), level, np.ones(n), 2, n_bins)


def _weighted(stratum: Stratum) -> Stratum:
    """The same jets, on the way of unequal weights, which are all but equal."""
    weights = 1 + 1e-6 * np.random.default_rng(2).random(stratum.n_jets)
    return dataclasses.replace(stratum, weights=weights)


def test_bins_are_equally_full_and_equal_masses_stay_together() -> None:
    mass = np.random.default_rng(1).random(1000)
    assert np.bincount(equal_bins(mass, 8)).tolist() == [125] * 8
    half_zero = np.concatenate([np.zeros(500), mass[:500]])
    place = equal_bins(half_zero, 8)
    assert len(set(place[:500])) == 1
    assert np.bincount(place).tolist() == [500, 125, 125, 125, 125]
    assert equal_bins(np.ones(10), 4).tolist() == [0] * 10


def test_the_statistic_is_pearson_s_for_equal_weights() -> None:
    stratum = _stratum()
    t, p = stratum.statistics(stratum.observed())
    for k, passes in enumerate(stratum.passes):
        table = [np.bincount(stratum.place, weights=mask) for mask in (passes, ~passes)]
        pearson = stats.chi2_contingency(table, correction=False)
        n = stratum.n_jets
        assert t[0, k] == pytest.approx(pearson.statistic * (n - 1) / n, rel=1e-9)
        assert p[0, k] == pytest.approx(pearson.pvalue, rel=0.02)
    scaled = dataclasses.replace(stratum, weights=np.full(stratum.n_jets, 7.0))
    assert scaled.statistics(scaled.observed())[0] == pytest.approx(t, rel=1e-9)


def test_counts_drawn_without_jets_are_distributed_as_permuted_jets() -> None:
    stratum = _stratum(300, n_bins=4)
    drawn = stratum.permuted(2000, np.random.default_rng(3)).sums
    real = _weighted(stratum).permuted(2000, np.random.default_rng(4)).sums
    assert drawn.shape == real.shape == (2000, 2, 4)
    for k in range(2):
        for b in range(4):
            # Rounding makes the counts of both comparable; they are whole numbers.
            counts = [np.round(sums[:, k, b]) for sums in (drawn, real)]
            assert stats.ks_2samp(*counts).pvalue > 1e-3
            # The marginal of the multivariate hypergeometric.
            passing = int(stratum.passes[k].sum())
            exact = stats.hypergeom(300, passing, int(stratum.bin_sizes[b]))
            assert counts[0].mean() == pytest.approx(exact.mean(), abs=4 * exact.std() / 2000**0.5)
            assert counts[0].std() == pytest.approx(exact.std(), rel=0.08)
    # Nested points share jets: their sums are correlated alike, by √(ε₂(1−ε₁)/(ε₁(1−ε₂))) = 1/3.
    for sums in (drawn, real):
        rho = np.corrcoef(sums[:, 0, 0], sums[:, 1, 0])[0, 1]
        first, second = stratum.efficiencies
        wanted = (second * (1 - first) / (first * (1 - second))) ** 0.5
        assert rho == pytest.approx(wanted, abs=0.08)


def test_permuted_statistics_have_their_mean_for_any_weights() -> None:
    weights = np.random.default_rng(5).exponential(1, 4000)
    stratum = dataclasses.replace(_stratum(), weights=weights)
    t, p = stratum.statistics(stratum.permuted(1500, np.random.default_rng(6)))
    assert t.mean(axis=0) == pytest.approx([5, 5], abs=0.35)
    for k in range(2):
        assert stats.kstest(p[:, k], "uniform").pvalue > 1e-3


def test_correlated_toys_of_counts_and_of_jets_agree() -> None:
    stratum = _stratum(5000, n_bins=5)
    counts = stratum.correlated(0.2, 300, np.random.default_rng(7)).sums
    jets = _weighted(stratum).correlated(0.2, 300, np.random.default_rng(8)).sums
    error = np.hypot(counts.std(axis=0), jets.std(axis=0)) / 300**0.5
    # Mass bins are bins of rank in both; their jets are not ordered by mass within one.
    assert (abs(counts.mean(axis=0) - jets.mean(axis=0)) < 5 * error).all()
    flat = stratum.efficiencies * stratum.bin_sizes[-1]
    assert (counts.mean(axis=0)[:, -1] - flat > 20 * error[:, -1]).all()


def test_the_variation_is_the_copula_s() -> None:
    rho, n = 0.3, 200_000
    rng = np.random.default_rng(9)
    z = rng.standard_normal(n)
    scores = rho * z + (1 - rho**2) ** 0.5 * rng.standard_normal(n)
    stratum = Stratum(equal_bins(z, 8), (scores > 0).astype(np.int64), np.ones(n), 1, 8)
    inner = (np.arange(8 * 200) + 0.5) / 1600
    efficiency = stats.norm.cdf(rho * stats.norm.ppf(inner) / (1 - rho**2) ** 0.5)
    expected = np.std(2 * efficiency.reshape(8, 200).mean(axis=1))
    assert stratum.variations(stratum.observed())[0, 0] == pytest.approx(expected, rel=0.03)


def test_a_cut_with_too_few_passing_jets_is_tested_in_fewer_bins_or_not() -> None:
    level = np.zeros(1000, np.int64)
    level[:25] = 1
    level[:7] = 2
    place = np.arange(1000) % 8
    stratum = Stratum(place, level, np.ones(1000), 2, 8)
    assert stratum.n_merged.tolist() == [5, 1]
    t, p = stratum.statistics(stratum.observed())
    assert t[0, 1] == 0
    assert p[0, 1] == 1


def test_narrow_bins_are_grouped_and_empty_ones_do_not_matter() -> None:
    wide = _stratum(n_bins=8)
    narrow = dataclasses.replace(wide, place=3 * wide.place + 1, n_bins=30)
    for one, other in zip(
        wide.statistics(wide.observed()), narrow.statistics(narrow.observed()), strict=True
    ):
        assert one == pytest.approx(other, rel=1e-12)
    drawn = narrow.correlated(0.2, 5, np.random.default_rng(1)).sums
    assert drawn.shape == (5, 2, 30)
    assert (drawn[:, :, narrow.bin_sizes == 0] == 0).all()
