"""Replicas of calibrations: how far the efficiency of a cut is off, told from one sample alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from oddjet.datasets.folds import mix64
from oddjet.ml.calibration import SurvivalCalibration
from oddjet.ml.decorrelation import Decorrelation, create, load
from oddjet.ml.replicas import LEVELS, N_MIXED, CutReplicas, Replicas, bootstrap_weights
from oddjet.typing import Floats

MASSES = np.array([55.0, 80.0, 120.0, 160.0])


def jets(n: int, seed: int) -> tuple[Floats, Floats, Floats]:
    """Scores that know nothing of mass and pt."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=n), 20 * rng.gamma(4.0, size=n), 500 + rng.exponential(100, n)


def events(n: int, seed: int) -> np.ndarray:
    return mix64(np.arange(n, dtype=np.uint64) + np.uint64(seed * 1_000_000))


def true_efficiencies(method: Decorrelation, efficiency: float) -> Floats:
    """What a cut keeps of normal scores at `MASSES`, in truth."""
    ladder = np.linspace(0, 3, 1000)
    cut_at = [
        ladder[
            np.argmax(
                method(ladder, np.full(1000, m), np.full(1000, 580.0)) >= -np.log10(efficiency)
            )
        ]
        for m in MASSES
    ]
    return np.asarray(stats.norm.sf(cut_at))


@pytest.mark.parametrize("name", ["quantile_polynomial", "ddt", "quantile_map"])
def test_they_scatter_as_calibrations_on_other_jets_do(name: str) -> None:
    n, n_samples = 1500, 30
    kept = [true_efficiencies(create(name).fit(*jets(n, seed)), 0.1) for seed in range(n_samples)]
    truth = np.log(kept).std(axis=0)
    told = []
    for seed in range(2):
        replicas = create(name).fit(*jets(n, seed), events=events(n, seed)).replicas
        assert replicas is not None
        told.append(np.log(replicas.factors(0.1, MASSES)).std(axis=0))
    ratios = np.sqrt(np.mean(np.square(told), axis=0)) / truth
    # Each standard deviation from 30 samples has an error of 13 %.
    assert np.exp(np.log(ratios).mean()) == pytest.approx(1.0, abs=0.25)


def test_thresholds_scatter_as_those_of_other_jets_do() -> None:
    n = 2000
    kept = []
    for seed in range(200):
        scores = jets(n, seed)[0]
        kept.append(stats.norm.sf(np.quantile(scores, 0.9)))
    calibration = SurvivalCalibration.fit(jets(n, 1)[0], events=events(n, 1))
    assert calibration.replicas is not None
    told = np.log(calibration.replicas.factors(0.1, MASSES))
    assert told.std(axis=0) == pytest.approx(np.full(4, np.log(kept).std()), rel=0.25)
    assert SurvivalCalibration.fit(jets(n, 1)[0]).replicas is None


def test_scores_of_the_same_events_change_together() -> None:
    scores, mass, pt = jets(3000, 1)
    other = 0.95 * scores + np.sqrt(1 - 0.95**2) * jets(3000, 2)[0]
    fits = [
        create("quantile_polynomial").fit(values, mass, pt, events=events(3000, 1))
        for values in (scores, other)
    ]
    one, two = (np.log(fit.replicas.factors(0.1, MASSES)[:, 1]) for fit in fits if fit.replicas)
    apart = create("quantile_polynomial").fit(scores, mass, pt, events=events(3000, 3)).replicas
    assert apart is not None
    assert np.corrcoef(one, two)[0, 1] > 0.5
    assert abs(np.corrcoef(one, np.log(apart.factors(0.1, MASSES)[:, 1]))[0, 1]) < 0.35


def test_weights_of_an_event_are_poisson_numbers() -> None:
    weights = bootstrap_weights(events(2000, 5), 50)
    assert weights.mean() == pytest.approx(1.0, abs=0.01)
    assert weights.var() == pytest.approx(1.0, abs=0.02)
    np.testing.assert_array_equal(weights[:, 7], bootstrap_weights(events(2000, 5)[7:8], 50)[:, 0])


def test_folds_are_averaged_and_unknown_ones_spoil_all() -> None:
    rng = np.random.default_rng(1)

    def fold(size: float) -> Replicas:
        logs = rng.normal(0, size, (100, 1, 1)) + np.zeros((100, len(LEVELS), 2))
        return Replicas.from_ratios(np.array([0.0, 300.0]), np.exp(logs))

    both = CutReplicas.from_folds([100.0, 50.0], [fold(0.1), fold(0.1)])
    assert both.n_effective == 150
    changes = both.changes(0.1, MASSES)
    assert changes.shape == (N_MIXED, 4)
    assert changes.std() == pytest.approx(0.1 / np.sqrt(2), rel=0.15)
    np.testing.assert_allclose(changes.mean(axis=0), 0, atol=1e-12)
    half = CutReplicas.from_folds([100.0, 50.0], [fold(0.1), None])
    assert half.folds == ()
    assert not half.changes(0.1, MASSES).any()


def test_saved_ones_are_the_same(tmp_path: Path) -> None:
    fit = create("ddt").fit(*jets(1000, 1), events=events(1000, 1))
    fit.save(tmp_path / "d.npz")
    calibration = SurvivalCalibration.fit(jets(1000, 1)[0], events=events(1000, 1))
    calibration.save(tmp_path / "c.npz")
    for one, other in (
        (fit, load(tmp_path / "d.npz")),
        (calibration, SurvivalCalibration.load(tmp_path / "c.npz")),
    ):
        assert one.replicas is not None
        assert other.replicas is not None
        np.testing.assert_array_equal(
            one.replicas.factors(0.07, MASSES), other.replicas.factors(0.07, MASSES)
        )


@pytest.mark.parametrize("efficiency", [0.995, 0.97, 0.85, 0.3, 0.0005])
def test_cuts_of_any_efficiency_scatter_as_binomial_numbers(efficiency: float) -> None:
    n = 30_000
    calibration = SurvivalCalibration.fit(jets(n, 1)[0], events=events(n, 1))
    assert calibration.replicas is not None
    told = np.log(calibration.replicas.factors(efficiency, MASSES[:1])).std()
    assert told == pytest.approx(np.sqrt((1 - efficiency) / efficiency / n), rel=0.35)
