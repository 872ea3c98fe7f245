from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy import optimize

from oddjet.analysis.statistics.exchange.model import Channel, Sample
from oddjet.analysis.statistics.exchange.workspace import pyhf_model
from oddjet.analysis.statistics.limits import likelihood as module
from oddjet.analysis.statistics.limits.likelihood import Likelihood, guarded_fit
from oddjet.errors import FitError

EDGES = np.array([60.0, 70.0, 80.0, 90.0])
SIGNAL = np.array([1.0, 8.0, 1.5])
BACKGROUND = np.array([50.0, 40.0, 30.0])
COUNTS = np.array([55.0, 47.0, 28.0])
EVERYTHING = Channel(
    name="mass",
    edges=EDGES,
    samples=(
        Sample(
            "signal",
            SIGNAL,
            is_signal=True,
            shapes={"jms": (SIGNAL[::-1], SIGNAL + 0.5)},
            norms={"lumi": 0.1},
        ),
        Sample("background", BACKGROUND, modes={"fit0": np.array([0.3, -0.1, 0.2])}),
        Sample(
            "rare", 0.2 * BACKGROUND, norms={"lumi": 0.1}, stat_errors=np.array([3.0, 2.0, 0.0])
        ),
        Sample("spurious", 0.5 * SIGNAL, scaled_by="spurious"),
    ),
    observed=COUNTS,
)
POINT = np.array([1.3, 0.4, -0.6, 0.7, -1.2])
"""μ, lumi, jms, fit0, spurious."""


def value(likelihood: Likelihood, parameters: np.ndarray) -> float:
    """−ln L at some parameters, by a fit that takes no step."""
    data = likelihood.data(COUNTS)
    return float(likelihood._derivatives(parameters[None], data)[0][0])


def test_expectation_and_likelihood_are_those_of_pyhf() -> None:
    likelihood = Likelihood(EVERYTHING)
    assert likelihood.names == ("lumi", "jms", "fit0", "spurious")
    model, data = pyhf_model(EVERYTHING)
    at = dict(zip(("mu", *likelihood.names), POINT, strict=True))

    def of_pyhf(point: dict[str, float], factors: np.ndarray) -> tuple[np.ndarray, float]:
        parameters = np.array(model.config.suggested_init())
        for name, number in point.items():
            parameters[model.config.par_slice(name)] = number
        parameters[model.config.par_slice("stat_mass")] = factors
        expected = model.expected_data(parameters, include_auxdata=False)
        return np.asarray(expected), -float(model.logpdf(parameters, data)[0])

    differences = []
    for point in (POINT, np.array([0.5, -1.5, 1.4, 0.1, 0.2])):
        at = dict(zip(("mu", *likelihood.names), point, strict=True))
        events, factors = likelihood.expected(point[None], likelihood.data(COUNTS))
        expected, log = of_pyhf(at, factors[0])
        assert events[0] == pytest.approx(expected, rel=5e-4)
        differences.append(log - value(likelihood, point))
        # No other factor of a bin is better.
        for change in (-1e-3, 1e-3):
            assert of_pyhf(at, factors[0] + [change, change, 0.0])[1] > log
    assert differences[0] == pytest.approx(differences[1], abs=2e-3)


def test_gradient_is_the_derivative() -> None:
    likelihood = Likelihood(EVERYTHING)
    gradient = likelihood._derivatives(POINT[None], likelihood.data(COUNTS))[1][0]
    numeric = optimize.approx_fprime(POINT, lambda x: value(likelihood, x), 1e-6)
    assert gradient == pytest.approx(numeric, rel=1e-4, abs=1e-4)


def test_hessian_is_the_derivative_of_the_gradient() -> None:
    likelihood = Likelihood(EVERYTHING)

    def gradient(point: np.ndarray) -> np.ndarray:
        return likelihood._derivatives(point[None], likelihood.data(COUNTS))[1][0]

    numeric = [(gradient(POINT + h) - gradient(POINT - h)) / 2e-5 for h in 1e-5 * np.eye(5)]
    hessian = likelihood._derivatives(POINT[None], likelihood.data(COUNTS))[2][0]
    # But for the small change of γ with other backgrounds, which its closed form leaves out.
    assert hessian == pytest.approx(np.array(numeric), rel=0.05, abs=0.3)


def test_a_bin_may_rise_from_almost_nothing_to_a_whole_event() -> None:
    # e^306 times what a fit beside the window expects there; the content is e^−0.3.
    nominal, change = np.array([50.0, 40.0, 1e-133]), np.array([0.1, 0.2, 153.0])
    samples = (
        Sample("signal", SIGNAL, is_signal=True),
        Sample("background", nominal, modes={"fit0": change}),
    )
    likelihood = Likelihood(Channel(name="mass", edges=EDGES, samples=samples, observed=COUNTS))
    data, point = likelihood.data(np.array([55.0, 47.0, 1.0])), np.array([[0.1, 2.0]])
    events, _ = likelihood.expected(point, data)
    assert events[0, 2] == pytest.approx(0.15 + np.exp(306.0 - 133.0 * np.log(10.0)), rel=1e-9)
    _, gradient, _ = likelihood._derivatives(point, data)
    step = np.array([[0.0, 1e-6]])
    ends = [likelihood._derivatives(point + sign * step, data)[0][0] for sign in (-1.0, 1.0)]
    assert gradient[0, 1] == pytest.approx((ends[1] - ends[0]) / 2e-6, rel=1e-4)


def test_minimum_is_that_of_a_general_minimiser_and_rows_do_not_mix() -> None:
    likelihood = Likelihood(EVERYTHING)
    general = optimize.minimize(
        lambda x: value(likelihood, x), np.zeros(5), method="BFGS", tol=1e-8
    )
    other = likelihood.data(np.array([COUNTS + 9.0, COUNTS]))
    fits = guarded_fit(likelihood, other, np.zeros((1, 5)), lowest=-2.0, what="two")
    assert fits.values[1] == pytest.approx(general.fun, abs=1e-7)
    assert fits.parameters[1] == pytest.approx(general.x, abs=1e-3)
    alone = guarded_fit(likelihood, other.of(np.array([True, False])), np.zeros((1, 5)), what="one")
    assert fits.parameters[0] == pytest.approx(alone.parameters[0], abs=1e-4)


def test_asimov_data_are_fitted_perfectly() -> None:
    likelihood = Likelihood(EVERYTHING)
    data = likelihood.data(COUNTS)
    fit = guarded_fit(likelihood, data, np.zeros((1, 5)), mu=0.0, what="data")
    asimov = likelihood.asimov(fit.parameters, data)
    again = guarded_fit(likelihood, asimov, np.zeros((1, 5)), mu=0.0, what="Asimov data")
    assert again.parameters == pytest.approx(fit.parameters, abs=1e-4)
    assert again.values[0] == pytest.approx(0.0, abs=1e-8)


def test_toys_measure_again_what_is_not_free() -> None:
    likelihood = Likelihood(EVERYTHING, free=frozenset({"fit0"}))
    toys = likelihood.draw(POINT[None], likelihood.data(COUNTS), 4000, np.random.default_rng(1))
    assert toys.centres.mean(axis=0) == pytest.approx([0.4, -0.6, 0.0, -1.2], abs=0.06)
    assert toys.centres.std(axis=0) == pytest.approx([1, 1, 0, 1], abs=0.05)
    events, factors = likelihood.expected(POINT[None], likelihood.data(COUNTS))
    assert toys.counts.mean(axis=0) == pytest.approx(events[0], rel=0.02)
    assert toys.factors.std(axis=0) == pytest.approx([0.3, 0.25, 0.0], abs=0.02)
    assert toys.factors.mean(axis=0) == pytest.approx(factors[0], abs=0.02)


@pytest.mark.parametrize("counts", [[0, 0, 0], [400, 0, 0], [0, 3, 0], [1e4, 1e4, 1e4]])
def test_odd_data_have_a_minimum(counts: list[float]) -> None:
    likelihood = Likelihood(EVERYTHING)
    data = likelihood.data(np.array(counts))
    fit = guarded_fit(likelihood, data, np.zeros((1, 5)), what="odd data")
    assert np.isfinite(fit.values[0])
    fixed = guarded_fit(likelihood, data, np.zeros((1, 5)), mu=1.0, what="odd data")
    assert fixed.values[0] >= fit.values[0] - 1e-6


def test_fit_that_does_not_converge_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_STEPS", 1)
    likelihood = Likelihood(EVERYTHING)
    data = likelihood.data(100 * COUNTS)
    with pytest.raises(
        FitError, match=r"the fit of pseudo-data .* from two starts: use wider bins"
    ):
        guarded_fit(likelihood, data, np.zeros((1, 5)), what="pseudo-data")
    infinite = dataclasses.replace(data, centres=np.full((1, 4), np.nan))
    with pytest.raises(FitError, match="met no finite likelihood"):
        guarded_fit(likelihood, infinite, np.zeros((1, 5)), what="pseudo-data")
