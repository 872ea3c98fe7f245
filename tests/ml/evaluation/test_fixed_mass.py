from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from oddjet.errors import ConfigError, InputError, NonFiniteError, TooFewJetsError
from oddjet.ml.evaluation.fixed_mass import Binning, auc_at_fixed
from oddjet.ml.evaluation.roc import auc

PHI = float(norm.cdf(1 / np.sqrt(2)))


def jets(
    n_background: int = 20_000,
    n_signal: int = 5_000,
    *,
    peak: float = 80.0,
    width: float = 8.0,
    seed: int = 1,
) -> tuple[np.ndarray, np.ndarray, np.random.Generator]:
    """Masses that fall like QCD's and peak like a resonance's, and which are which."""
    rng = np.random.default_rng(seed)
    falling, peaking = rng.gamma(2, 20, n_background), abs(rng.normal(peak, width, n_signal))
    is_signal = np.arange(n_background + n_signal) >= n_background
    return np.concatenate([falling, peaking]), is_signal, rng


@pytest.mark.parametrize(("peak", "width"), [(80, 8), (30, 3), (80, 40)])
def test_the_mass_itself_tells_nothing_at_fixed_mass(peak: float, width: float) -> None:
    mass, is_signal, _ = jets(peak=peak, width=width, seed=2)
    assert abs(auc(mass, is_signal, replicas=1).value - 0.5) > 0.05
    at_fixed = auc_at_fixed(mass, is_signal, mass)
    assert at_fixed.auc.value == pytest.approx(0.5, abs=0.012)
    assert at_fixed.mass_auc == at_fixed.auc.value
    assert at_fixed.used > 0.95
    assert auc_at_fixed(mass**2, is_signal, mass).auc == at_fixed.auc


def test_a_peak_in_the_tail_needs_more_background() -> None:
    mass, is_signal, _ = jets(100_000, 10_000, peak=170, width=15)
    at_fixed = auc_at_fixed(mass, is_signal, mass, replicas=1)
    assert at_fixed.auc.value == pytest.approx(0.5, abs=0.02)
    assert 0.5 < at_fixed.used < 1


def test_a_score_that_ignores_the_mass_keeps_its_auc() -> None:
    mass, is_signal, rng = jets(seed=8)
    score = rng.normal(is_signal * 1.0)
    at_fixed = auc_at_fixed(score, is_signal, mass)
    assert at_fixed.auc.low < PHI < at_fixed.auc.high
    assert at_fixed.auc.value == pytest.approx(PHI, abs=0.015)


def test_only_the_shift_is_left_of_mass_and_shift() -> None:
    mass, is_signal, rng = jets(seed=4)
    score = mass / 15 + rng.normal(is_signal * 1.0)
    assert auc(score, is_signal, replicas=1).value > 0.9
    at_fixed = auc_at_fixed(score, is_signal, mass)
    assert at_fixed.auc.value == pytest.approx(PHI, abs=0.02)
    inverse = auc_at_fixed(-mass / 15 + rng.normal(is_signal * 1.0), is_signal, mass)
    assert inverse.auc.value == pytest.approx(PHI, abs=0.02)


def test_the_mean_is_that_of_sklearns_areas_in_the_bins() -> None:
    mass, is_signal, rng = jets(3_000, 800, seed=5)
    score = np.round(rng.normal(is_signal * 0.7), 1)  # with ties
    weights = rng.uniform(0.2, 2, len(mass))
    at_fixed = auc_at_fixed(score, is_signal, mass, weights, replicas=1)
    areas, shares = [], []
    for bin_ in at_fixed.bins:
        last = bin_ is at_fixed.bins[-1]
        inside = (mass >= bin_.low) & ((mass <= bin_.high) if last else (mass < bin_.high))
        assert np.count_nonzero(inside & is_signal) == bin_.n_signal
        assert np.count_nonzero(inside & ~is_signal) == bin_.n_background
        if bin_.auc is None:
            continue
        area = roc_auc_score(is_signal[inside], score[inside], sample_weight=weights[inside])
        assert bin_.auc == pytest.approx(area)
        areas.append(area)
        shares.append(weights[inside & is_signal].sum())
    assert at_fixed.auc.value == pytest.approx(np.average(areas, weights=shares))
    assert at_fixed.used == pytest.approx(sum(shares) / weights[is_signal].sum())
    assert len(areas) > 5


def test_bins_with_few_jets_are_left_out_and_reported() -> None:
    rng = np.random.default_rng(6)
    # Half of the signal where there is no background at all.
    mass = np.concatenate([rng.uniform(0, 100, 3000), rng.uniform(0, 200, 1000)])
    is_signal = np.arange(4000) >= 3000
    at_fixed = auc_at_fixed(rng.normal(is_signal * 1.0), is_signal, mass)
    # The last bin reaches from the last background down; what separates there is left out.
    assert at_fixed.used == pytest.approx(0.5, abs=0.06)
    assert at_fixed.bins[-1].auc is None
    assert at_fixed.auc.low < PHI < at_fixed.auc.high


def test_interval_covers_as_often_as_it_says() -> None:
    covered = 0
    for seed in range(100):
        mass, is_signal, rng = jets(800, 400, width=30, seed=seed)
        at_fixed = auc_at_fixed(
            rng.normal(is_signal * 1.0), is_signal, mass, replicas=100, seed=seed
        )
        covered += at_fixed.auc.low <= PHI <= at_fixed.auc.high
    assert 88 <= covered <= 100


def test_same_seed_same_interval() -> None:
    mass, is_signal, rng = jets(1000, 300)
    score = rng.normal(size=len(mass))
    assert auc_at_fixed(score, is_signal, mass) == auc_at_fixed(score, is_signal, mass)
    assert auc_at_fixed(score, is_signal, mass) != auc_at_fixed(score, is_signal, mass, seed=2)


def test_equal_masses_are_one_bin() -> None:
    rng = np.random.default_rng(7)
    is_signal = np.arange(400) % 2 == 0
    score = rng.normal(is_signal * 1.0)
    at_fixed = auc_at_fixed(score, is_signal, np.full(400, 80.0))
    assert len(at_fixed.bins) == 1
    assert at_fixed.auc.value == pytest.approx(auc(score, is_signal).value)


def test_refusals() -> None:
    mass, is_signal, _ = jets(50, 50)
    with pytest.raises(TooFewJetsError, match="no bin of mass"):
        auc_at_fixed(mass, is_signal, np.where(is_signal, 100.0, 10.0))
    with pytest.raises(NonFiniteError, match="1 of 100 mass"):
        auc_at_fixed(mass, is_signal, np.append(mass[:-1], np.nan))
    with pytest.raises(InputError, match="shape"):
        auc_at_fixed(mass, is_signal, mass[:-1])
    with pytest.raises(ConfigError, match="bins"):
        Binning(bins=0)
    with pytest.raises(InputError, match="replicas"):
        auc_at_fixed(*jets()[:2], jets()[0], replicas=0)
