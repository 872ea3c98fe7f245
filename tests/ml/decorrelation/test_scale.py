from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from oddjet.ml.decorrelation.scale import StandardScale, TailSurvival


def test_scores_become_normal() -> None:
    scores = np.random.default_rng(1).exponential(size=50_000)
    z = StandardScale.fit(scores, np.ones(50_000))(scores)
    for level in (0.001, 0.1, 0.5, 0.9, 0.999):
        assert np.mean(z <= norm.ppf(level)) == pytest.approx(level, abs=2e-4)


def test_no_two_scores_become_equal() -> None:
    scale = StandardScale.fit(np.arange(100.0), np.ones(100))
    assert np.all(np.diff(scale(np.linspace(-1000, 1000, 500))) > 0)


def test_survival_of_exponential_values_goes_on_beyond_the_sample() -> None:
    """The tail of an exponential is an exponential: e⁻ᵗ, where only 1 in 20,000 was seen."""
    values = np.random.default_rng(2).exponential(size=20_000)
    survival = TailSurvival.fit(values, np.ones(20_000))
    for t in (0.5, 2.0, 4.0):
        assert survival(np.array([t]))[0] == pytest.approx(t / np.log(10), rel=0.05)
    beyond = np.log(100_000)
    assert survival(np.array([beyond]))[0] == pytest.approx(5, rel=0.15)
    assert survival(np.array([1e6]))[0] == survival.cap == pytest.approx(np.log10(20_001) + 1)
    assert survival(np.array([-1.0]))[0] == 0


def test_survival_is_the_weighted_fraction_at_or_above() -> None:
    values = np.repeat([1.0, 2.0, 3.0], 400)
    weights = np.repeat([1.0, 2.0, 5.0], 400)
    rarity = TailSurvival.fit(values, weights)(np.array([1.0, 2.0, 3.0]))
    np.testing.assert_allclose(10**-rarity, [1, 7 / 8, 5 / 8])


def test_thinned_knots_change_little() -> None:
    values = np.random.default_rng(3).normal(size=100_000)
    survival = TailSurvival.fit(values, np.ones(100_000))
    assert len(survival.knots) <= 2000
    for level in (0.9, 0.5, 0.1, 0.01, 0.001):
        survived = 10 ** -survival(np.array([np.quantile(values, 1 - level)]))[0]
        assert survived == pytest.approx(level, rel=0.01)
