"""The spurious-signal test and the smooth templates on known spectra."""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt
import pytest

from oddjet.analysis.statistics.background import DEFAULT
from oddjet.analysis.statistics.background.functions import make_function
from oddjet.analysis.statistics.background.simulated import study_functions
from oddjet.analysis.statistics.background.smoothing import smooth
from oddjet.analysis.statistics.background.spurious import (
    mass_grid,
    spurious_signal,
)
from oddjet.analysis.statistics.spectrum import Spectrum
from oddjet.errors import ConfigError, FitError

EDGES = np.linspace(40, 240, 41)
MASSES = (70.0, 100.0, 140.0, 180.0)


def falling(total: float) -> npt.NDArray[np.float64]:
    counts = make_function("dijet3", scale=480.0).on(EDGES).expected([0.0, 1.2, 8.0])
    return np.asarray(counts * total / counts.sum())


def width(mass: float) -> float:
    return 0.1 * mass


def test_true_function_makes_no_spurious_signal_and_a_wrong_one_does() -> None:
    test = functools.partial(spurious_signal, (falling(50_000), EDGES), width=width, masses=MASSES)
    right, wrong = test(function="dijet3"), test(function="exppoly2")
    assert right.accepted
    assert max(abs(p.ratio) for p in right.points) < 0.01
    # Contents that are met exactly have errors all the same: a Gaussian on this many jets, all parameters free.
    assert [p.sigma for p in right.points] == pytest.approx(
        [p.sigma for p in wrong.points], rel=0.5
    )
    assert not wrong.accepted
    assert wrong.to_dict()["worst_mass"] == wrong.worst.mass


def test_injected_signal_is_what_is_found() -> None:
    bump = 200 * np.diff(0.5 * (1 + np.tanh((EDGES - 140) / 11)))
    test = spurious_signal(
        (falling(20_000) + bump, EDGES), function="dijet3", width=width, masses=[140.0]
    )
    assert test.points[0].n_spurious == pytest.approx(200, rel=0.25)
    assert not test.accepted


def test_sigma_mc_is_the_spread_of_n_spurious_over_simulated_samples() -> None:
    truth, factor = falling(5_000), 4.0
    rng = np.random.default_rng(21)
    numbers, quoted = [], []
    for _ in range(60):
        counts = rng.poisson(truth).astype(float)
        point = spurious_signal(
            (counts * factor, EDGES),
            function="dijet3",
            width=width,
            masses=[100.0],
            covariance=counts * factor**2,
        ).points[0]
        numbers.append(point.n_spurious)
        quoted.append(point.sigma_mc)
        # Four times the luminosity: σ_MC = σ √4.
        assert point.sigma_mc == pytest.approx(2 * point.sigma, rel=0.1)
    assert np.std(numbers) == pytest.approx(np.mean(quoted), rel=3 / np.sqrt(120))


def test_smooth_template_is_unbiased_with_an_honest_covariance() -> None:
    truth = falling(20_000)
    rng = np.random.default_rng(22)
    pulls, ratio, effective = [], [], []
    for _ in range(40):
        template = smooth((rng.poisson(truth), EDGES))
        error = np.sqrt(np.diag(template.covariance))
        pulls.append((template.counts - truth) / error)
        ratio.append(error / np.sqrt(truth))
        effective.append(template.n_effective)
    assert np.abs(np.mean(pulls, axis=0)).max() < 0.8
    # AIC takes too many now and then, so the median is what is asked of it.
    assert 3 <= np.median(effective) < 10
    # The choice of the penalty adds to the spread, hence the room above 1.
    assert 0.8 < np.std(pulls) < 1.35
    # Smoothing gains more than a factor of two in the middle.
    assert np.mean(ratio, axis=0)[5:35].max() < 0.6


def test_smooth_template_of_a_noiseless_spectrum_is_the_spectrum() -> None:
    truth = falling(1e6)
    template = smooth(Spectrum(EDGES, truth, truth, is_data=False))
    assert np.abs(template.counts / truth - 1).max() < 0.02
    assert template.p_value > 0.9


def test_the_default_function_passes_on_a_smoothed_template_of_large_simulation() -> None:
    """|N_spur| + σ_MC < 0.3 σ at every mass for a spectrum that is known to be falling."""
    counts = np.random.default_rng(23).poisson(falling(1.1e6)).astype(float)
    study = study_functions(
        Spectrum(EDGES, counts, counts), n_data=10_000, functions=[DEFAULT, "bernstein2"]
    )
    assert [test.function for test in study.accepted] == [DEFAULT]
    assert study.tests[0].has_enough_simulation
    assert study.to_dict()["accepted"] == [DEFAULT]
    assert study.tests[0].verdict == "yes"
    assert study.tests[1].verdict == "no"


def test_simulation_that_is_too_small_to_tell_accepts_nothing() -> None:
    """The true function with as many simulated events as data: its error is as large as theirs."""
    truth = falling(20_000)
    test = functools.partial(spurious_signal, (truth, EDGES), function="dijet3", width=width)
    few, many = test(masses=MASSES, covariance=truth), test(masses=MASSES, covariance=truth / 100)
    assert (few.accepted, few.verdict) == (False, "too few simulated")
    assert few.accepted_without_mc_error
    assert few.worst.bound == pytest.approx(abs(few.worst.ratio) + 1.0, rel=0.02)
    assert (many.accepted, many.verdict) == (True, "yes")


def test_masses_are_two_widths_from_the_ends() -> None:
    grid = mass_grid(EDGES, width=10.0)
    assert grid[0] == 60
    assert grid[-1] == pytest.approx(220)
    assert np.diff(grid) == pytest.approx(5.0)
    with pytest.raises(FitError, match="two widths"):
        mass_grid(EDGES, width=80.0)


def test_bad_input_is_refused() -> None:
    good = falling(1000)
    test = functools.partial(spurious_signal, function="dijet3", width=10.0)
    with pytest.raises(FitError, match="negative contents"):
        test((-good, EDGES))
    with pytest.raises(FitError, match="finite covariance"):
        test((good, EDGES), covariance=np.ones(3))
    with pytest.raises(FitError, match="variance of the template is negative"):
        test((good, EDGES), covariance=-good)
    with pytest.raises(ConfigError, match="unknown background function"):
        spurious_signal((good, EDGES), function="dijet", width=10.0)
    with pytest.raises(FitError, match="needs variances"):
        smooth(Spectrum(EDGES, good, is_data=False))
    with pytest.raises(FitError, match="8 bins"):
        smooth(([5.0, 4.0], [0.0, 1.0, 2.0]))
    with pytest.raises(ConfigError, match="number of events must be positive"):
        study_functions((good, EDGES), n_data=0.0)
