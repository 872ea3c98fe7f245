"""Falling functions against closed forms and scipy's quadrature."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import integrate

from oddjet.analysis.statistics.background.functions import function_names, make_function
from oddjet.errors import ConfigError, FitError

EDGES = np.array([40.0, 45.0, 55.0, 80.0, 130.0, 240.0])


@pytest.mark.parametrize("name", function_names())
def test_integrals_equal_adaptive_quadrature(name: str) -> None:
    function = make_function(name, scale=480.0)
    rng = np.random.default_rng(1)
    parameters = np.concatenate([[1.0], rng.uniform(0.2, 1.5, function.n_parameters - 1)])
    if name.startswith("exppoly"):
        parameters[1] = -12.0
    expected = [
        integrate.quad(lambda m: float(function(m, parameters)), low, high, epsabs=0)[0]
        for low, high in itertools.pairwise(EDGES)
    ]
    assert function.on(EDGES).expected(parameters) == pytest.approx(expected, rel=1e-6)


def test_power_law_has_its_closed_form() -> None:
    function = make_function("dijet2", scale=480.0)
    power = 3.7
    integral = function.on(EDGES).expected([np.log(2.0), power])
    x = EDGES / 480.0
    closed = 2.0 * 480.0 * (x[:-1] ** (1 - power) - x[1:] ** (1 - power)) / (power - 1)
    assert integral == pytest.approx(closed, rel=1e-6)


def test_dijet_is_the_published_function() -> None:
    function = make_function("dijet5", scale=480.0)
    mass, (p0, p1, p2, p3, p4) = np.array([50.0, 90.0, 200.0]), (3.0, 1.5, 4.0, 0.4, 0.05)
    x = mass / 480.0
    published = p0 * (1 - x) ** p1 / x ** (p2 + p3 * np.log(x) + p4 * np.log(x) ** 2)
    assert function(mass, [np.log(p0), p2, p1, p3, p4]) == pytest.approx(published)


def test_exponential_has_its_closed_form() -> None:
    function = make_function("exppoly2", scale=100.0)
    slope = 3.0
    closed = 100.0 / slope * (np.exp(-slope * EDGES[:-1] / 100) - np.exp(-slope * EDGES[1:] / 100))
    assert function.on(EDGES).expected([0.0, -slope]) == pytest.approx(closed, rel=1e-9)


@pytest.mark.parametrize("name", function_names())
def test_jacobian_equals_finite_differences(name: str) -> None:
    binned = make_function(name, scale=480.0).on(EDGES)
    parameters = np.full(binned.function.n_parameters, 0.3)
    _, jacobian = binned.expected_and_jacobian(parameters)
    for number in range(parameters.size):
        step = np.zeros(parameters.size)
        step[number] = 1e-6
        slope = (binned.expected(parameters + step) - binned.expected(parameters - step)) / 2e-6
        assert jacobian[:, number] == pytest.approx(slope, rel=1e-5, abs=1e-7)


@pytest.mark.parametrize("name", function_names())
def test_starting_values_of_an_exact_spectrum_are_close(name: str) -> None:
    function = make_function(name, scale=480.0)
    edges = np.linspace(40, 240, 101)
    truth = np.array([8.0, -9.0, -3.0, 2.0, 1.0, -0.5])[: function.n_parameters]
    if name.startswith("dijet"):
        truth = np.array([2.0, 3.0, 2.0, 0.3, 0.05, 0.01])[: function.n_parameters]
    if name.startswith("bernstein"):
        truth = np.array([6.0, 5.0, 3.0, 2.0, 1.0, 0.5])[: function.n_parameters]
    counts = function.on(edges).expected(truth)
    integral = function.on(edges).expected(function.starting_values(edges, counts))
    assert integral == pytest.approx(counts, rel=0.02)


def test_mass_zero_is_refused_by_the_dijet_function() -> None:
    with pytest.raises(FitError, match="above zero"):
        make_function("dijet3", scale=480.0)(0.0, [0.0, 1.0, 1.0])


@pytest.mark.parametrize("name", ["dijet7", "dijet", "Dijet3", "exppoly1", "bernstein7"])
def test_unknown_names_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="unknown background function"):
        make_function(name, scale=480.0)


def test_close_names_get_a_hint() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'dijet3'"):
        make_function("dijett3", scale=480.0)


def test_scale_must_be_positive() -> None:
    with pytest.raises(ConfigError, match="must be positive"):
        make_function("dijet3", scale=0.0)
