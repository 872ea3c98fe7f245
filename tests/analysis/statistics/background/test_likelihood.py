"""Bernstein polynomials: closed forms, and coefficients at the boundary."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import optimize

from oddjet.analysis.statistics.background.fit import fit_sidebands
from oddjet.analysis.statistics.background.functions import MAX_EXPONENT, make_function
from oddjet.analysis.statistics.background.likelihood import fit_function, nonnegative_coefficients
from oddjet.analysis.statistics.spectrum import Spectrum, check_counts
from oddjet.errors import ConfigError, FitError

EDGES = np.linspace(40, 240, 41)


def test_basis_is_a_partition_of_unity_and_linear_functions_are_exact() -> None:
    function = make_function("bernstein5", scale=480.0, span=(40.0, 240.0))
    mass = np.linspace(40, 240, 17)
    assert function.basis(mass).sum(axis=-1) == pytest.approx(np.ones(17))
    # Coefficients on a line give the line: linear precision.
    line = 3.0 + 2.0 * np.arange(5) / 4
    assert function(mass, np.log(line)) == pytest.approx(3.0 + 2.0 * (mass - 40) / 200)


def test_links_are_declared() -> None:
    links = [make_function(name, scale=480.0).link for name in ("dijet2", "exppoly2", "bernstein2")]
    assert links == ["log", "log", "positive"]


def test_known_coefficients_are_met() -> None:
    function = make_function("bernstein4", scale=480.0, span=(40.0, 240.0))
    truth = np.log([60.0, 30.0, 12.0, 5.0])
    counts = function.on(EDGES).expected(truth)
    fit = fit_sidebands(
        Spectrum(EDGES, counts, counts, is_data=False), window=(65, 100), function="bernstein4"
    )
    assert fit.fitted.parameters == pytest.approx(truth, rel=1e-4)
    assert fit.predicted == pytest.approx(counts[5:12].sum(), rel=1e-5)


def test_best_coefficients_equal_a_bounded_minimiser_and_zeros_have_no_wild_errors() -> None:
    # A spectrum that vanishes at the upper end: the last coefficients want to be negative.
    mean = np.diff(-4e3 * np.exp(-(EDGES - 40) / 15))
    counts = np.random.default_rng(1).poisson(mean).astype(float)
    data = check_counts((counts, EDGES))
    function = make_function("bernstein4", scale=480.0, span=(40.0, 240.0))
    use = np.ones(40, bool)
    fitted = fit_function(function, data, use)
    design = function.on(EDGES).design

    def nll(c: np.ndarray) -> float:
        nu = np.maximum(design @ c, 1e-2)
        return float(np.sum(nu - counts * np.log(nu)))

    best = optimize.minimize(
        nll, np.full(4, 5.0), method="L-BFGS-B", bounds=[(0, None)] * 4, options={"ftol": 1e-14}
    )
    coefficients = np.exp(fitted.parameters)
    assert nll(coefficients) <= best.fun + 1e-3
    at_zero = fitted.parameters == -MAX_EXPONENT
    assert at_zero.any()
    assert np.all(fitted.covariance[at_zero] == 0)
    _, jacobian = function.on(EDGES).expected_and_jacobian(fitted.parameters)
    variance = np.einsum("bp,pq,bq->b", jacobian, fitted.covariance, jacobian)
    assert np.all(np.isfinite(variance))
    assert np.sqrt(variance.sum()) < np.sqrt(counts.sum())


def test_nonnegative_coefficients_are_those_of_the_counts_for_unit_designs() -> None:
    counts = np.array([3.0, 0.0, 7.0])
    coefficients = nonnegative_coefficients(counts, np.ones(3), np.eye(3))
    assert coefficients == pytest.approx(counts)


def test_mass_outside_the_span_is_refused() -> None:
    function = make_function("bernstein3", scale=480.0, span=(40.0, 240.0))
    with pytest.raises(FitError, match="defined for masses in"):
        function(300.0, np.zeros(3))


def test_empty_span_is_refused() -> None:
    with pytest.raises(ConfigError, match="span low < high"):
        make_function("bernstein3", scale=480.0, span=(240.0, 40.0))


def test_too_few_bins_are_refused() -> None:
    counts = np.array([9.0, 8.0, 7.0, 6.0, 5.0, 4.0])
    with pytest.raises(FitError, match="too few sideband bins for 'bernstein5'"):
        fit_sidebands((counts, np.linspace(40, 100, 7)), window=(60, 80), function="bernstein5")
