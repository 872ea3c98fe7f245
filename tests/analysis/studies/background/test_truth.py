"""Experiments of the study: means, distorted cuts and what spectra are refused."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import integrate, stats

from oddjet.analysis.statistics.spectrum import Spectrum
from oddjet.analysis.studies.background.truth import (
    DISTORTIONS,
    Cut,
    Truth,
    built_in,
    built_in_names,
)
from oddjet.errors import ConfigError, FitError

CUT = Cut(0.1, 0.55)


def test_built_in_spectra_are_shares() -> None:
    assert {"gamma", "qcd", "qcd450", "qcd550", "qcd650", "qcd1000"} == set(built_in_names())
    for name in built_in_names():
        truth = built_in(name)
        assert truth.background.sum() == pytest.approx(1)
        assert truth.background.min() > 0
        assert 0.5 < truth.signal.sum() <= 1
        assert truth.edges[truth.bins.start] == truth.window[0] == 150
        assert truth.edges[truth.bins.stop] == truth.window[1] == 200
    with pytest.raises(ConfigError, match="qcd45"):
        built_in("qcd45")


def test_experiments_have_the_means_that_were_asked_for() -> None:
    truth = built_in("gamma")
    drawn = truth.draw(10_000, 0.02, CUT, 400, np.random.default_rng(1))
    passed = 1000 * truth.background + 110 * truth.signal
    failed = 9000 * truth.background + 90 * truth.signal
    for counts, mean in ((drawn.passed, passed), (drawn.failed, failed)):
        chi2 = ((counts.mean(axis=0) - mean) ** 2 / (mean / 400)).sum()
        assert stats.chi2.sf(chi2, mean.size) > 1e-3


@pytest.mark.parametrize("name", DISTORTIONS)
def test_a_distorted_cut_moves_jets_and_makes_none(name: str) -> None:
    truth = built_in("gamma")
    rng = np.random.default_rng(2)
    given = truth.draw(50_000, 0.0, CUT, 200, rng)
    moved = truth.distorted(given, name, rng)
    np.testing.assert_array_equal(moved.scores.sum(axis=1), given.scores.sum(axis=1))
    assert moved.scores.min() >= 0
    jets = moved.scores.sum(axis=(0, 1))
    for first, share in enumerate((0.2, 0.1, 0.05), 1):
        seen = moved.scores[:, first:].sum(axis=(0, 1)) / jets
        error = np.sqrt(share * (1 - share) / jets)
        assert (np.abs(seen - DISTORTIONS[name](truth, share)) < 4.5 * error).all()


def test_score_bins_add_up_to_the_cut() -> None:
    assert CUT.signal.sum() == pytest.approx(1)
    assert CUT.signal[2:].sum() == pytest.approx(0.55)
    assert CUT.signal[3] / 0.05 > CUT.signal[2] / 0.05 > CUT.signal[1] / 0.1 > CUT.signal[0] / 0.8


def test_the_correlated_cut_is_that_of_a_gaussian_copula() -> None:
    """Its efficiency at the median mass by numerical integration; over all masses it is that of the cut."""
    truth = built_in("gamma")
    efficiency = DISTORTIONS["rho"](truth, 0.1)
    assert truth.background @ efficiency == pytest.approx(0.1, rel=2e-3)
    rank = 0.9
    place = int(np.searchsorted(np.cumsum(truth.background), rank))
    mean = np.cumsum(truth.background)[place] - 0.5 * truth.background[place]
    rho, cut = 0.1, stats.norm.isf(0.1)
    joint = stats.multivariate_normal([0, 0], [[1, rho], [rho, 1]])
    x = stats.norm.ppf(mean)
    density = integrate.quad(lambda y: joint.pdf([x, y]), cut, 8)[0]
    assert efficiency[place] == pytest.approx(density / stats.norm.pdf(x), rel=1e-3)


def test_a_spectrum_of_ones_own_is_smoothed() -> None:
    edges = np.linspace(40, 240, 41)
    mean = 400 * np.exp(-(edges[:-1] - 40) / 60)
    counts = np.random.default_rng(3).poisson(mean).astype(float)
    truth = Truth.of_spectrum(Spectrum(edges, counts, name="mine"), mass=120, width=10)
    assert np.abs(truth.background / (mean / mean.sum()) - 1)[:30].max() < 0.1
    assert truth.window == (100, 140)
    assert truth.signal.sum() == pytest.approx(1)
    with pytest.raises(FitError, match="leaves no bins beside it"):
        Truth.of_spectrum(Spectrum(edges, counts), mass=50, width=10)
    with pytest.raises(FitError, match="blinded"):
        Truth.of_spectrum(Spectrum(edges, counts, blind_window=(100, 140)), mass=120, width=10)
