"""Ranks against plain loops; a sparse spectrum beside a rich one; up-crossings against many toys."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from oddjet.analysis.statistics.bumphunt.joint import JointTable
from oddjet.analysis.statistics.bumphunt.pvalues import toy_p
from oddjet.analysis.statistics.bumphunt.ranks import extrapolate, ranks
from oddjet.analysis.statistics.bumphunt.scan import scan_jointly
from oddjet.analysis.statistics.bumphunt.settings import ScanSettings
from oddjet.typing import Floats

EDGES = np.linspace(40, 240, 41)


def global_p(smallest: Floats) -> float:
    """As a scan has it: the first row is the data."""
    first = ranks(smallest).min(axis=1)
    return float(toy_p(np.sum(first[1:] <= first[0] * (1 + 1e-6)), len(first) - 1))


def test_places_are_counted_but_for_the_first_which_follow_an_exponential() -> None:
    p = np.random.default_rng(1).random((400, 2)) ** np.array([1.0, 30.0])
    places = ranks(p)
    for spectrum in range(2):
        own = p[:, spectrum]
        limit = np.sort(own)[19]
        depths = [np.log(limit / value) for value in own if value < limit]
        for value, place in zip(own, places[:, spectrum], strict=True):
            wanted = sum(other <= value for other in own) / 400
            if value < limit:
                wanted = 20 / 400 * np.exp(-np.log(limit / value) / (sum(depths) / 20))
            assert place == pytest.approx(wanted, rel=1e-6)


def test_one_spectrum_is_ordered_as_its_p() -> None:
    p = np.random.default_rng(2).random((500, 1)) ** 5
    assert np.array_equal(np.argsort(ranks(p)[:, 0]), np.argsort(p[:, 0]))
    assert global_p(p) == np.mean(p <= p[0])


def test_ties_and_spectra_without_an_excess() -> None:
    p = np.ones((50, 2))
    assert np.all(ranks(p) == 1.0)
    assert global_p(p) == 1.0
    p[:5, 0] = 0.0  # so small that they are zero
    places = ranks(p)
    assert np.ptp(places[:5, 0]) == 0
    assert places[0, 0] < places[5, 0]


def test_a_spectrum_with_wrong_local_p_does_not_drown_another() -> None:
    """One spectrum's −ln p has a tail ten times as long: its smallest p says nothing against the other's."""
    rng = np.random.default_rng(3)
    null, signal, old = [], [], []
    for _ in range(400):
        pool = np.exp(-rng.exponential([1.0, 10.0], size=(200, 2)))
        null.append(global_p(pool))
        pool[0, 0] = 1e-4
        signal.append(global_p(pool))
        old.append(toy_p(np.sum(pool[1:].min(axis=1) <= pool[0].min()), 199))
    assert stats.kstest(np.array(null) - 0.0025, "uniform").pvalue > 0.01
    assert np.mean(np.array(signal) <= 0.05) > 0.95
    assert np.mean(np.array(old) <= 0.05) < 0.2


def test_extrapolation_finds_a_rare_p_from_few_toys() -> None:
    """The largest of 40 correlated Gaussian numbers: its tail is known from ten million of them."""
    rng = np.random.default_rng(4)

    def smallest(n: int) -> Floats:
        walk = rng.normal(size=(n, 44))
        smooth = np.stack([walk[:, i : i + 5].sum(axis=1) for i in range(40)], axis=1) / 5**0.5
        return np.asarray(stats.norm.sf(smooth.max(axis=1)))

    truth = np.mean([np.mean(smallest(100_000) < 2e-6) for _ in range(10)])
    results = [extrapolate(2e-6, smallest(1000), 1.0) for _ in range(30)]
    known = [result for result in results if result is not None]
    ratios = np.array([result.p for result in known]) / truth
    assert len(ratios) >= 28
    assert 0.6 < np.median(ratios) < 1.6
    pulls = [(result.p - truth) / result.error for result in known]
    assert np.mean(np.abs(pulls) < 2) > 0.8


def test_no_extrapolation_where_local_p_are_wrong_or_toys_too_few() -> None:
    rng = np.random.default_rng(5)
    sparse = np.exp(-rng.exponential(15.0, size=2000))
    assert extrapolate(1e-30, sparse, 1.0) is None
    assert extrapolate(1e-9, rng.random(100) * 0.1, 1.0) is None
    assert extrapolate(0.0, rng.random(2000) * 0.1, 1.0) is None


def global_p_of(cuts: tuple[float, ...], seed: int, share: float) -> float:
    """Global p where 7,500 jets of a smooth spectrum hold a share of signal, of which 10 % cuts keep 55 %."""
    rng = np.random.default_rng([9, seed])
    mass = 10 + rng.gamma(1.3, 38.0, 80_000)
    mass = mass[(mass > 40) & (mass < 240)][:7500]
    n_signal = rng.poisson(share * 7500)
    mass = np.concatenate([mass, rng.normal(172, 12, n_signal)])
    survival = np.concatenate(
        [rng.random(7500), rng.random(n_signal) ** (np.log(0.1) / np.log(0.55))]
    )
    inside = np.searchsorted(EDGES, mass, side="right")[:, None] == np.arange(1, EDGES.size)
    passes = np.stack([survival < cut for cut in cuts])
    labels = tuple(f"{cut:g}" for cut in cuts)
    jets = JointTable(labels, EDGES, passes, inside.astype(float))
    table = jets.select(range(len(cuts))).checked()
    return scan_jointly(table, ScanSettings(n_toys=199, seed=seed), workers=2).global_p


@pytest.mark.long
@pytest.mark.parametrize(("cuts", "least"), [((0.1, 0.01), 0.75), ((0.2, 0.1, 0.05, 0.01), 0.85)])
def test_a_sparse_cut_costs_no_power(cuts: tuple[float, ...], least: float) -> None:
    share = np.mean([global_p_of(cuts, seed, 0.02) <= 0.05 for seed in range(40)])
    print(f"{cuts}: found in {100 * share:.0f} %")  # noqa: T201
    assert share >= least - 0.12  # two standard deviations of 40 experiments


@pytest.mark.long
def test_global_p_of_a_sparse_cut_is_uniform() -> None:
    p = np.array([global_p_of((0.1, 0.01), seed, 0.0) for seed in range(100)])
    assert stats.kstest(p - 0.0025, "uniform").pvalue > 0.01
    assert np.mean(p <= 0.05) < 0.12
