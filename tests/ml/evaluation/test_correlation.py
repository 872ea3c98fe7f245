from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from oddjet.errors import InputError, NonFiniteError, TooFewJetsError
from oddjet.ml.evaluation.correlation import correlate

RNG = np.random.default_rng(1)
MASS = RNG.gamma(2, 20, 400)
PT = RNG.exponential(80, 400) + 200
SCORE = np.round(MASS / 20 + RNG.normal(size=400), 1)  # with ties


def test_coefficients_are_scipys() -> None:
    correlations = correlate({"a": SCORE, "b": -PT}, {"mass": MASS, "pt": PT}, replicas=5)
    assert [(correlation.score, correlation.variable) for correlation in correlations] == [
        ("a", "mass"),
        ("a", "pt"),
        ("b", "mass"),
        ("b", "pt"),
    ]
    columns = {"a": SCORE, "b": -PT, "mass": MASS, "pt": PT}
    for correlation in correlations:
        pair = columns[correlation.score], columns[correlation.variable]
        assert correlation.spearman.value == pytest.approx(stats.spearmanr(*pair).statistic)
        assert correlation.pearson.value == pytest.approx(stats.pearsonr(*pair).statistic)
    assert correlations[3].spearman.value == pytest.approx(-1)


def test_weights_act_like_repeated_jets() -> None:
    times = RNG.integers(0, 4, 400)
    (weighted,) = correlate({"a": SCORE}, {"mass": MASS}, times.astype(float))
    repeated = np.repeat(SCORE, times), np.repeat(MASS, times)
    assert weighted.spearman.value == pytest.approx(stats.spearmanr(*repeated).statistic)
    assert weighted.pearson.value == pytest.approx(stats.pearsonr(*repeated).statistic)


def test_intervals_cover_as_often_as_they_say() -> None:
    rho, covered = 0.6, np.zeros(2)
    for seed in range(150):
        rng = np.random.default_rng(seed)
        x = rng.normal(size=300)
        y = rho * x + np.sqrt(1 - rho**2) * rng.normal(size=300)
        (correlation,) = correlate({"y": y}, {"x": x}, replicas=100, seed=seed)
        spearman = 6 / np.pi * np.arcsin(rho / 2)  # of two normal variables
        covered[0] += correlation.pearson.low <= rho <= correlation.pearson.high
        covered[1] += correlation.spearman.low <= spearman <= correlation.spearman.high
    assert (covered >= 132).all()  # 95 % of 150 is 142.5 ± 2.7
    assert (covered <= 150).all()


def test_a_rising_dependence_has_rank_correlation_1() -> None:
    (correlation,) = correlate({"s": np.exp(MASS / 5)}, {"mass": MASS})
    assert correlation.spearman.value == pytest.approx(1)
    assert correlation.spearman.low == pytest.approx(1)
    assert correlation.pearson.value < 0.9


def test_a_score_that_is_all_alike_has_no_coefficient() -> None:
    constant, other = correlate({"c": np.full(400, 0.1), "s": SCORE}, {"mass": MASS})
    for interval in (constant.spearman, constant.pearson):
        assert np.isnan([interval.value, interval.low, interval.high]).all()
    assert other.pearson.value > 0.5


def test_small_numbers_are_not_taken_for_constant() -> None:
    (correlation,) = correlate({"mse": SCORE * 1e-9}, {"mass": MASS}, replicas=5)
    assert correlation.pearson.value == pytest.approx(stats.pearsonr(SCORE, MASS).statistic)


def test_nothing_to_correlate() -> None:
    assert correlate({}, {"mass": MASS}) == []
    assert correlate({"s": SCORE}, {}) == []


def test_refusals() -> None:
    with pytest.raises(NonFiniteError, match="1 of 400 variable mass"):
        correlate({"s": SCORE}, {"mass": np.append(MASS[:-1], np.inf)})
    with pytest.raises(InputError, match="shape"):
        correlate({"s": SCORE}, {"mass": MASS[:-1]})
    with pytest.raises(InputError, match="negative"):
        correlate({"s": SCORE}, {"mass": MASS}, -np.ones(400))
    with pytest.raises(TooFewJetsError, match="at least 3"):
        correlate({"s": SCORE[:2]}, {"mass": MASS[:2]})
