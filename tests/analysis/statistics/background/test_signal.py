"""The signal-plus-background fit on toys with a known bump."""

from __future__ import annotations

import json

import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats

from oddjet.analysis.statistics.background import DEFAULT
from oddjet.analysis.statistics.background.functions import make_function
from oddjet.analysis.statistics.background.signal import fit_signal, gaussian_fractions
from oddjet.analysis.statistics.spectrum import Spectrum
from oddjet.datasets.disk.numbers import jsonable
from oddjet.errors import FitError

EDGES = np.linspace(40, 240, 41)


def falling(total: float) -> npt.NDArray[np.float64]:
    counts = make_function("dijet3", scale=480.0).on(EDGES).expected([0.0, 1.2, 8.0])
    return np.asarray(counts * total / counts.sum())


@pytest.mark.parametrize(
    ("function", "n_trials"),
    [
        ("dijet3", 250),
        pytest.param("dijet3", 400, marks=pytest.mark.long),
        pytest.param(DEFAULT, 400, marks=pytest.mark.long),
    ],
)
def test_pulls_of_an_injected_bump_are_standard_normal(function: str, n_trials: int) -> None:
    """Trials with 300 signal events among 20,000: |mean| < 0.15 and width 1 ± 0.1."""
    truth = falling(20_000) + 300 * gaussian_fractions(EDGES, mass=82, width=8)
    rng = np.random.default_rng(11)
    pulls = []
    for _ in range(n_trials):
        counts = rng.poisson(truth).astype(float)
        fit = fit_signal((counts, EDGES), mass=82, width=8, function=function)
        pulls.append((fit.yield_ - 300) / fit.error)
    assert abs(np.mean(pulls)) < 0.15
    assert np.std(pulls) == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize("function", ["dijet3", "bernstein4"])
@pytest.mark.parametrize("number", [-150.0, 0.0, 400.0])
def test_noiseless_yield_of_either_sign_is_exact(function: str, number: float) -> None:
    if function == "dijet3":
        background = falling(20_000)
    else:
        shape = make_function(function, scale=480.0, span=(40.0, 240.0))
        background = shape.on(EDGES).expected(np.log([200.0, 120.0, 60.0, 30.0]))
    truth = background + number * gaussian_fractions(EDGES, mass=120, width=10)
    fit = fit_signal(
        Spectrum(EDGES, truth, truth, is_data=False), mass=120, width=10, function=function
    )
    assert fit.yield_ == pytest.approx(number, abs=0.02 * fit.error)
    assert np.sign(fit.significance) in {0.0, np.sign(fit.yield_)}
    assert fit.expected == pytest.approx(truth, rel=1e-3)


def test_significance_squared_is_the_gain_in_deviance_and_close_to_yield_over_error() -> None:
    truth = falling(50_000) + 500 * gaussian_fractions(EDGES, mass=120, width=12)
    counts = np.random.default_rng(12).poisson(truth).astype(float)
    fit = fit_signal((counts, EDGES), mass=120, width=12, function="dijet3")
    assert fit.significance**2 == pytest.approx(fit.deviance_without - fit.deviance)
    assert fit.significance == pytest.approx(fit.yield_ / fit.error, rel=0.1)


def test_scaled_simulation_has_errors_of_the_sample_that_exists() -> None:
    counts = np.random.default_rng(13).poisson(falling(20_000)).astype(float)
    plain = fit_signal((counts, EDGES), mass=120, width=12, function="dijet3")
    scaled = fit_signal(
        Spectrum(EDGES, counts * 0.25, counts / 16, is_data=False),
        mass=120,
        width=12,
        function="dijet3",
    )
    assert scaled.yield_ == pytest.approx(plain.yield_ / 4, abs=0.01 * plain.error)
    assert scaled.error == pytest.approx(plain.error / 4, rel=1e-2)
    assert scaled.significance == pytest.approx(plain.significance, abs=1e-2)


def test_linear_response_to_the_poisson_covariance_is_the_error() -> None:
    counts = np.random.default_rng(14).poisson(falling(20_000)).astype(float)
    fit = fit_signal((counts, EDGES), mass=120, width=12, function="dijet3")
    assert fit.yield_error_from(fit.expected) == pytest.approx(fit.error, rel=0.03)
    assert fit.yield_error_from(np.diag(fit.expected)) == pytest.approx(
        fit.yield_error_from(fit.expected)
    )


def test_template_equals_the_gaussian_it_was_made_from() -> None:
    counts = np.random.default_rng(15).poisson(falling(20_000)).astype(float)
    template = gaussian_fractions(EDGES, mass=120, width=12)
    one = fit_signal((counts, EDGES), mass=120, width=12, function="dijet3")
    two = fit_signal((counts, EDGES), template=template, function="dijet3")
    assert two.yield_ == pytest.approx(one.yield_, abs=1e-2 * one.error)


def test_sparse_tail_with_a_negative_signal_stays_finite() -> None:
    counts = np.random.default_rng(16).poisson(falling(300)).astype(float)
    fit = fit_signal((counts, EDGES), mass=200, width=8, function="dijet2")
    assert np.isfinite(fit.yield_)
    assert np.isfinite(fit.pulls).all()
    assert fit.expected.min() > -0.05


def test_result_is_ready_for_json() -> None:
    counts = np.random.default_rng(17).poisson(falling(20_000)).astype(float)
    fit = fit_signal((counts, EDGES), mass=120, width=12, function="dijet")
    told = json.loads(json.dumps(jsonable(fit.to_dict())))
    assert told["yield"] == fit.yield_
    assert told["function"].startswith("dijet")


def test_fractions_are_those_of_the_normal_distribution() -> None:
    fractions = gaussian_fractions(EDGES, mass=90, width=10)
    assert fractions.sum() == pytest.approx(stats.norm.cdf(15) - stats.norm.cdf(-5))


@pytest.mark.parametrize(
    ("bad", "told"),
    [
        ({"mass": 300.0, "width": 8.0}, "outside the range"),
        ({"mass": 82.0, "width": 0.0}, "must be positive"),
        ({"mass": 82.0}, "must be positive"),
        ({"template": np.ones(3)}, "expected the fraction"),
        ({"template": np.full(40, -0.01)}, "expected the fraction"),
    ],
)
def test_bad_signals_are_refused(bad: dict[str, object], told: str) -> None:
    with pytest.raises(FitError, match=told):
        fit_signal((np.full(40, 50.0), EDGES), **bad, function="exppoly2")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("value", "told"),
    [(-1.0, "negative contents"), (np.nan, "NaN or infinite"), (0.5, "fractional")],
)
def test_bad_contents_are_refused(value: float, told: str) -> None:
    counts = np.full(40, 50.0)
    counts[3] = value
    with pytest.raises(FitError, match=told):
        fit_signal((counts, EDGES), mass=120, width=12)


def test_weights_in_data_and_simulation_without_variances_are_refused() -> None:
    counts = np.full(40, 50.0)
    with pytest.raises(FitError, match="in what is called data"):
        fit_signal(Spectrum(EDGES, counts, counts * 2), mass=120, width=12)
    with pytest.raises(FitError, match="needs variances"):
        fit_signal(Spectrum(EDGES, counts, is_data=False), mass=120, width=12)
