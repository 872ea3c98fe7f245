"""The sideband fit on toys with a known truth."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy import optimize, stats

from oddjet.analysis.statistics.background.fit import fit_sidebands
from oddjet.analysis.statistics.background.functions import make_function
from oddjet.analysis.statistics.background.likelihood import poisson_deviance
from oddjet.analysis.statistics.spectrum import Spectrum
from oddjet.datasets.disk.numbers import jsonable
from oddjet.errors import ConfigError, FitError
from oddjet.typing import Floats

EDGES = np.linspace(40, 240, 41)
WINDOW = (65.0, 100.0)
INSIDE = slice(5, 12)


def spectrum(total: float, name: str = "dijet3", parameters: tuple[float, ...] = ()) -> Floats:
    """Expected events of a known function with a given total."""
    shape = np.array([0.0, *(parameters or (1.2, 8.0))])
    counts = make_function(name, scale=480.0).on(EDGES).expected(shape)
    return np.asarray(counts * total / counts.sum())


def test_noiseless_spectrum_is_met_exactly() -> None:
    truth = spectrum(1e6)
    fit = fit_sidebands(
        Spectrum(EDGES, truth, truth, is_data=False), window=WINDOW, function="dijet3"
    )
    assert fit.expected == pytest.approx(truth, rel=1e-4)
    assert fit.predicted == pytest.approx(truth[INSIDE].sum(), rel=1e-4)
    assert fit.fitted.parameters[1:] == pytest.approx([1.2, 8.0], rel=1e-2)
    assert fit.p_value == pytest.approx(1.0)


def test_minimum_and_errors_equal_those_of_scipy() -> None:
    counts = np.random.default_rng(2).poisson(spectrum(20_000)).astype(float)
    fit = fit_sidebands((counts, EDGES), window=WINDOW, function="dijet2")
    use = np.ones(40, bool)
    use[INSIDE] = False
    function = make_function("dijet2", scale=480.0)

    def nll(p: Floats) -> float:
        nu = function.on(EDGES).expected(p)[use]
        return float(np.sum(nu - counts[use] * np.log(nu)))

    best = optimize.minimize(
        nll,
        fit.fitted.parameters + np.array([0.1, -0.05]),
        method="Nelder-Mead",
        options={"xatol": 1e-9, "fatol": 1e-9, "maxiter": 4000},
    )
    assert fit.fitted.parameters == pytest.approx(best.x, abs=1e-4)
    _, jacobian = function.on(EDGES).expected_and_jacobian(best.x)
    nu = function.on(EDGES).expected(best.x)[use]
    # Observed information: the second derivatives of ν cancel to first order, so 1 % is enough.
    information = jacobian[use].T @ (jacobian[use] * (counts[use] / nu**2)[:, None])
    assert np.sqrt(np.diag(fit.fitted.covariance)) == pytest.approx(
        np.sqrt(np.diag(np.linalg.inv(information))), rel=0.15
    )


def test_deviance_is_twice_the_log_likelihood_ratio_to_the_saturated_model() -> None:
    counts, expected = np.array([0.0, 3.0, 7.0]), np.array([0.5, 2.0, 8.0])
    saturated = np.array([1.0, *stats.poisson.pmf([3, 7], [3, 7])])
    ratio = -2 * np.log(stats.poisson.pmf(counts, expected) / saturated).sum()
    assert poisson_deviance(counts, expected, np.ones(3)) == pytest.approx(ratio)


@pytest.mark.slow
def test_prediction_in_the_window_is_unbiased_with_honest_errors() -> None:
    truth = spectrum(20_000)
    rng = np.random.default_rng(3)
    pulls, in_band = [], []
    for _ in range(200):
        counts = rng.poisson(truth).astype(float)
        fit = fit_sidebands((counts, EDGES), window=WINDOW, function="dijet3")
        pulls.append((fit.predicted - truth[INSIDE].sum()) / fit.predicted_error)
        in_band.append(np.abs(fit.expected - truth) < fit.errors)
    assert abs(np.mean(pulls)) < 3 / np.sqrt(200)
    assert np.std(pulls) == pytest.approx(1.0, abs=3 / np.sqrt(400))
    assert np.mean(in_band) == pytest.approx(0.683, abs=0.05)


@pytest.mark.slow
def test_goodness_of_fit_is_uniform() -> None:
    truth = spectrum(50_000)
    rng = np.random.default_rng(4)
    values = [
        fit_sidebands(
            (rng.poisson(truth).astype(float), EDGES), window=WINDOW, function="dijet3"
        ).p_value
        for _ in range(150)
    ]
    assert stats.kstest(values, "uniform").pvalue > 0.01


def test_injected_bump_is_recovered_because_its_window_is_masked() -> None:
    truth = spectrum(20_000)
    bump = 500 * np.diff(stats.norm.cdf(EDGES, 82, 8))
    inside = bump[INSIDE].sum()
    rng = np.random.default_rng(5)
    excesses = []
    for _ in range(40):
        counts = rng.poisson(truth + bump).astype(float)
        fit = fit_sidebands((counts, EDGES), window=WINDOW, function="dijet3")
        assert fit.observed == counts[INSIDE].sum()
        excesses.append(fit.observed - fit.predicted)
    spread = np.sqrt(truth[INSIDE].sum() + inside + fit.predicted_error**2)
    # What leaks out of the window pulls the fit up by a few per cent of the bump.
    assert np.mean(excesses) == pytest.approx(inside, abs=3 * spread / np.sqrt(40) + 0.05 * inside)


@pytest.mark.parametrize(
    ("name", "shape", "total"),
    [
        ("dijet2", (4.0,), 2e4),
        ("dijet3", (1.2, 8.0), 5e4),
        ("exppoly3", (-25.0, 18.0), 5e4),
    ],
)
def test_the_penalty_finds_the_order_of_a_known_truth(
    name: str, shape: tuple[float, ...], total: float
) -> None:
    truth = spectrum(total, name, shape)
    rng = np.random.default_rng(6)
    family, order = name[:-1], int(name[-1])
    chosen = [
        fit_sidebands(
            (rng.poisson(truth).astype(float), EDGES), window=WINDOW, function=family
        ).fitted.function.n_parameters
        for _ in range(25)
    ]
    assert min(chosen) >= order
    # Each parameter without meaning gains a χ² of one degree of freedom: how often do all of them stay below their cost?
    gains = np.cumsum(np.random.default_rng(1).chisquare(1, (20_000, 6 - order)) - 1.0, axis=1)
    share = np.mean(gains.max(axis=1) <= 0)
    assert chosen.count(order) / 25 == pytest.approx(
        share, abs=3 * (share * (1 - share) / 25) ** 0.5
    )


def test_the_choice_is_the_smallest_penalised_deviance() -> None:
    counts = np.random.default_rng(7).poisson(spectrum(20_000)).astype(float)
    fit = fit_sidebands((counts, EDGES), window=WINDOW)
    names = [f"{family}{n}" for family in ("dijet", "exppoly") for n in range(2, 7)]
    assert [attempt.name for attempt in fit.tried] == names
    penalised = {}
    for name in names:
        single = fit_sidebands((counts, EDGES), window=WINDOW, function=name).fitted
        penalised[name] = single.deviance + int(name[-1])
    assert fit.name == min(penalised, key=lambda name: penalised[name])


def test_a_spectrum_that_needs_several_parameters_more_gets_them() -> None:
    """A test of one parameter after the other stops at two: the third gains nothing, the fourth very much."""
    centres = 0.5 * (EDGES[:-1] + EDGES[1:])
    x = (centres - centres.mean()) / np.ptp(centres) * 2
    truth = 400 * np.exp(-1.5 * x + 0.8 * np.polynomial.Legendre.basis(5)(x))
    data = Spectrum(EDGES, truth, truth, is_data=False)
    assert fit_sidebands(data, window=WINDOW, function="exppoly").name == "exppoly6"


def test_choice_is_recorded() -> None:
    counts = np.random.default_rng(7).poisson(spectrum(20_000)).astype(float)
    fit = fit_sidebands((counts, EDGES), window=WINDOW)
    assert [attempt.name for attempt in fit.tried if attempt.chosen] == [fit.name]
    assert {attempt.name[:-1] for attempt in fit.tried} == {"dijet", "exppoly"}
    assert fit.tried[0].f_test_p is None
    assert fit.tried[1].f_test_p is not None
    assert fit.tried[1].f_test_p < 0.05


def test_blinded_window_has_no_influence_and_leaves_no_trace() -> None:
    counts = np.random.default_rng(9).poisson(spectrum(20_000)).astype(float)
    altered = counts.copy()
    altered[INSIDE] = 1e9
    fits = [
        fit_sidebands(Spectrum(EDGES, contents, blind_window=WINDOW), window=WINDOW)
        for contents in (counts, altered)
    ]
    texts = [json.dumps(jsonable(fit.to_dict()), allow_nan=False) for fit in fits]
    assert texts[0] == texts[1]
    assert fits[0].observed is None
    assert np.isnan(fits[0].counts[INSIDE]).all()
    assert np.isnan(fits[0].pulls[INSIDE]).all()
    assert np.isfinite(fits[0].expected).all()


def test_weights_scale_yields_and_errors_like_an_effective_sample() -> None:
    counts = np.random.default_rng(10).poisson(spectrum(20_000)).astype(float)
    plain = fit_sidebands((counts, EDGES), window=WINDOW, function="dijet3")
    heavy = fit_sidebands(
        Spectrum(EDGES, 3 * counts, 9 * counts, is_data=False), window=WINDOW, function="dijet3"
    )
    assert heavy.predicted == pytest.approx(3 * plain.predicted, rel=1e-3)
    assert heavy.predicted_error == pytest.approx(3 * plain.predicted_error, rel=1e-2)
    assert heavy.p_value == pytest.approx(plain.p_value, abs=1e-3)


def test_low_counts_are_fitted() -> None:
    counts = np.random.default_rng(11).poisson(spectrum(150)).astype(float)
    fit = fit_sidebands((counts, EDGES), window=WINDOW, function="dijet2")
    sideband = counts.sum() - counts[INSIDE].sum()
    # The normalisation is free, so a fit conserves the events it saw.
    assert fit.expected[fit.use].sum() == pytest.approx(sideband, rel=1e-3)


def test_window_outside_the_range_is_refused() -> None:
    with pytest.raises(FitError, match="outside the histogram's range"):
        fit_sidebands((np.ones(40), EDGES), window=(230.0, 250.0))


def test_window_without_a_sideband_is_refused() -> None:
    with pytest.raises(FitError, match="leaves 0 sideband bins below and 33 above"):
        fit_sidebands((np.ones(40), EDGES), window=(40.0, 75.0))


def test_too_few_bins_are_refused_with_the_numbers() -> None:
    with pytest.raises(
        FitError, match=r"too few sideband bins for 'dijet3'.*received 3 of which 3"
    ):
        fit_sidebands(([50, 40, 30, 20], [50, 60, 70, 80, 90]), window=(60, 70), function="dijet3")


def test_too_few_bins_for_any_function_are_refused() -> None:
    with pytest.raises(FitError, match="no function of 'auto' could be fitted to 2 bins"):
        fit_sidebands(([50, 40, 30], [50, 60, 70, 80]), window=(60, 70))


def test_mostly_empty_sidebands_are_refused() -> None:
    counts = np.zeros(40)
    counts[2] = 5
    with pytest.raises(FitError, match=r"too few sideband bins.*of which 1 are filled"):
        fit_sidebands((counts, EDGES), window=WINDOW, function="dijet2")


def test_nothing_after_the_cut_is_refused() -> None:
    with pytest.raises(FitError, match="no events in the 33 sideband bins"):
        fit_sidebands((np.zeros(40), EDGES), window=WINDOW)


def test_unknown_function_is_refused() -> None:
    with pytest.raises(ConfigError, match="unknown background function 'dijte3'"):
        fit_sidebands((np.ones(40), EDGES), window=WINDOW, function="dijte3")


def test_weighted_histogram_called_data_is_refused() -> None:
    with pytest.raises(FitError, match="is_data=False"):
        fit_sidebands(Spectrum(EDGES, np.ones(40), np.full(40, 0.5)), window=WINDOW)


def test_single_bin_in_the_window_and_two_around_it() -> None:
    counts = np.random.default_rng(12).poisson(spectrum(20_000)).astype(float)
    fit = fit_sidebands((counts, EDGES), window=(81.0, 84.0), function="dijet3")
    assert fit.in_window.sum() == 1
    assert fit.observed == counts[8]
