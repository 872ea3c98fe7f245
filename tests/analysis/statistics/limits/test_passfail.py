"""Limits from jets that pass and jets that fail, against a model that pyhf is given by hand, and the hunt's own fits."""

from __future__ import annotations

import dataclasses

import numpy as np
import pyhf
import pytest
from pass_fail import NONE, gaussian, pass_fail, shifted_peak

from oddjet.analysis.statistics.channels.fitting import fit
from oddjet.analysis.statistics.channels.model import ChannelModel
from oddjet.analysis.statistics.components import Component
from oddjet.analysis.statistics.exchange.workspace import pyhf_model
from oddjet.analysis.statistics.limits.inputs import LimitSettings, Systematics
from oddjet.analysis.statistics.limits.likelihood import Likelihood
from oddjet.analysis.statistics.limits.passfail import PassFailInputs
from oddjet.analysis.statistics.limits.upper import fit_asymptotically, upper_limit
from oddjet.errors import FitError
from oddjet.typing import Floats

UNBLIND = LimitSettings(unblind=True, n_toys=0)


def shapefactor_model(inputs: PassFailInputs) -> tuple[pyhf.Model, list[float]]:
    """Two channels of many bins: a shapefactor for the jets that fail, and the ratio one sample a bin.

    Written from the model's formula alone: the exported one has a channel a bin.
    """
    fail, passing = inputs.model.table.counts[0]
    signal_fail, signal_pass = inputs.signal.contents[0]
    n = fail.size
    x = np.linspace(-1, 1, 2 * n + 1)[1::2]
    jets = {"name": "jets", "type": "shapefactor", "data": None}
    mu = {"name": "mu", "type": "normfactor", "data": None}
    ratio = [
        {
            "name": f"qcd{b}",
            "data": [0.1 * fail[b] if i == b else 0.0 for i in range(n)],
            "modifiers": [
                jets,
                {"name": "constant", "type": "normfactor", "data": None},
                {
                    "name": "slope",
                    "type": "normsys",
                    "data": {"hi": float(np.exp(x[b])), "lo": float(np.exp(-x[b]))},
                },
            ],
        }
        for b in range(n)
    ]
    spec = {
        "channels": [
            {
                "name": "fail",
                "samples": [
                    {"name": "qcd", "data": fail.tolist(), "modifiers": [jets]},
                    {"name": "signal", "data": signal_fail.tolist(), "modifiers": [mu]},
                ],
            },
            {
                "name": "pass",
                "samples": [
                    *ratio,
                    {"name": "signal", "data": signal_pass.tolist(), "modifiers": [mu]},
                ],
            },
        ],
        "parameters": [{"name": "mu", "bounds": [[0.0, 50.0]], "inits": [1.0]}],
    }
    settings = {"normsys": {"interpcode": "code1"}, "histosys": {"interpcode": "code4p"}}
    model = pyhf.Model(spec, poi_name="mu", validate=False, modifier_settings=settings)
    return model, [*fail, *passing, *model.config.auxdata]


def pyhf_best(model: pyhf.Model, data: list[float]) -> tuple[float, float]:
    """Best strength, and its error from the likelihood a quarter σ to either side."""
    bounds = [(-2.0, 50.0), *model.config.suggested_bounds()[1:]]
    assert model.config.poi_index == 0
    best, lowest = pyhf.infer.mle.fit(data, model, par_bounds=bounds, return_fitted_val=True)
    mu = float(best[model.config.poi_index])
    step = 0.3

    def rise(at: float) -> float:
        fixed = pyhf.infer.mle.fixed_poi_fit(
            at, data, model, par_bounds=bounds, return_fitted_val=True
        )
        return float(fixed[1]) - float(lowest)

    return mu, step / float(np.sqrt(0.5 * (rise(mu + step) + rise(mu - step))))


@pytest.fixture(autouse=True)
def precise() -> object:
    before = pyhf.get_backend()
    pyhf.set_backend("numpy", pyhf.optimize.scipy_optimizer(maxiter=2000, tolerance=1e-10))
    yield
    pyhf.set_backend(*before)


@pytest.mark.parametrize("signal", [0.0, 150.0])
def test_yield_error_and_limit_are_those_of_a_pyhf_model_of_pass_and_fail(signal: float) -> None:
    inputs = pass_fail(signal=signal)
    limit = upper_limit(inputs, UNBLIND)
    model, data = shapefactor_model(inputs)
    mu, error = pyhf_best(model, data)
    assert limit.mu_error == pytest.approx(error, rel=0.01)
    assert limit.mu_hat == pytest.approx(mu, rel=0.01, abs=0.01 * error)
    observed = limit.observed or 0.0
    cls = [
        float(pyhf.infer.hypotest(at * observed, data, model, test_stat="qtilde"))
        for at in (0.99, 1.01)
    ]
    assert cls[0] > 0.05 > cls[1]


def test_the_exported_workspace_is_the_same_model() -> None:
    modes = np.zeros((1, 1, 2, 8))
    modes[0, 0, 1] = 0.1 * np.sin(np.arange(8.0))
    inputs = pass_fail(signal=60.0, modes=modes, systematics=Systematics())
    limit = upper_limit(inputs, UNBLIND)
    model, data = pyhf_model(inputs.channel(), mu_max=limit.mu_max)
    assert {"map0", "lumi", "tagger", "jms", "jmr"} <= set(model.config.par_names)
    observed = limit.observed or 0.0
    cls = [float(pyhf.infer.hypotest(at * observed, data, model)) for at in (0.99, 1.01)]
    assert cls[0] > 0.05 > cls[1]


def peaks(shape: tuple[int, int, int]) -> Component:
    edges = np.linspace(50.0, 210.0, shape[2] + 1)
    w = np.broadcast_to(gaussian(edges, 82.0, 10.0) * 200.0, shape) * np.array([[[0.5], [0.5]]])
    return shifted_peak("w boson", w, edges, constraint=0.2)


@pytest.mark.parametrize("peak", [None, peaks((1, 2, 10))])
def test_the_likelihood_is_that_of_the_hunt(peak: Component | None) -> None:
    """Written twice: here free factors are divided out of any channel, there the model is fitted by itself."""
    modes = 0.1 * np.random.default_rng(2).standard_normal((2, 1, 2, 10))
    modes[:, :, 0] = 0.0
    inputs = pass_fail(n_bins=10, order=2, modes=modes, peak=peak, signal=80.0)
    whole = ChannelModel.make(
        inputs.model.table,
        inputs.model.design[0, 1, :, :3],
        modes,
        (*inputs.model.components, inputs.signal),
    )
    other = fit(whole)
    limit = upper_limit(inputs, UNBLIND)
    assert limit.mu_hat == pytest.approx(other.value("signal"), rel=2e-3)
    assert limit.mu_error == pytest.approx(other.error("signal"), rel=0.02)
    channel = inputs.channel()
    likelihood = Likelihood(channel, free=inputs.free)
    data = likelihood.data(channel.data)
    lowest = likelihood.fit(data, np.zeros((1, likelihood.n_parameters)))
    background = likelihood.fit(data, np.zeros((1, likelihood.n_parameters)), mu=0.0)
    gain = 2.0 * float(background.values[0] - lowest.values[0])
    without = fit(whole, fixed={"signal": 0.0}).twice_nll
    assert gain == pytest.approx(without - other.twice_nll, rel=1e-3)


def test_derivatives_are_those_of_the_likelihood() -> None:
    modes = np.zeros((1, 2, 3, 6))
    modes[0, :, 1:] = 0.05
    inputs = pass_fail(
        n_bins=6, shares=(0.1, 0.05), regions=2, modes=modes, systematics=Systematics()
    )
    channel = inputs.channel()
    likelihood = Likelihood(channel)
    data = likelihood.data(channel.data)
    rng = np.random.default_rng(4)
    x = 0.2 * rng.standard_normal((1, likelihood.n_parameters))
    x[:, 0] = 0.7
    _, gradient, hessian = likelihood._derivatives(x, data)
    for i in range(likelihood.n_parameters):
        step = np.zeros_like(x)
        step[0, i] = 1e-5
        up, down = (likelihood._derivatives(x + sign * step, data) for sign in (1, -1))
        assert gradient[0, i] == pytest.approx((up[0][0] - down[0][0]) / 2e-5, abs=1e-4)
        assert hessian[0, i] == pytest.approx((up[1][0] - down[1][0]) / 2e-5, rel=1e-4, abs=1e-3)


def hidden(n_bins: int, *places: int) -> np.ndarray:
    mask = np.zeros(n_bins, np.bool_)
    mask[list(places)] = True
    return mask


def test_a_blinded_limit_does_not_know_the_window_and_interpolates_it() -> None:
    inputs = pass_fail(n_bins=16, jets=40_000.0, order=2)
    known = upper_limit(inputs, UNBLIND)
    mask = hidden(16, 6, 7, 8)
    blinded = dataclasses.replace(inputs, hidden=mask)
    counts = inputs.model.table.counts.copy()
    counts[..., mask] = 1e5
    table = dataclasses.replace(inputs.model.table, counts=counts)
    other = dataclasses.replace(blinded, model=dataclasses.replace(inputs.model, table=table))
    limits = [upper_limit(own, LimitSettings()) for own in (blinded, other)]
    assert limits[0].to_dict() == limits[1].to_dict()
    assert limits[0].observed is None
    # The window's jets are as a smooth spectrum has them.
    assert blinded.expected.sum(axis=(0, 1)) == pytest.approx(inputs.model.table.totals[0], rel=0.2)
    assert limits[0].expected[2] == pytest.approx(known.expected[2], rel=0.1)


def test_a_known_peak_under_a_blinded_window_is_expected_there() -> None:
    edges = np.linspace(50.0, 210.0, 17)
    shape = np.broadcast_to(gaussian(edges, 115.0, 7.0), (1, 2, 16)) * np.array([[[0.6], [0.4]]])
    peak = shifted_peak("w", 3000.0 * shape, edges, constraint=0.1)
    inputs = pass_fail(n_bins=16, jets=40_000.0, order=2, peak=peak)
    blinded = dataclasses.replace(inputs, hidden=hidden(16, 5, 6, 7, 8))
    # All of the peak is hidden, so nothing but the expectation says how large it is.
    assert blinded.expected[0, 1, 5:9] == pytest.approx(
        inputs.model.table.counts[0, 1, 5:9], rel=0.15
    )
    assert blinded.expected[0, 1, 6] > 1.5 * (blinded.expected[0, 1, 6] - peak.contents[0, 1, 6])


def test_map_modes_widen_the_limit() -> None:
    bump = np.zeros((1, 1, 2, 8))
    bump[0, 0, 1] = 0.3 * gaussian(np.linspace(50, 210, 9), 120.0, 12.0)
    without, with_map = (upper_limit(pass_fail(modes=modes), UNBLIND) for modes in (None, bump))
    assert with_map.expected[2] > 1.1 * without.expected[2]


def test_a_cross_section_needs_no_efficiency_where_the_template_has_one() -> None:
    inputs = dataclasses.replace(pass_fail(), cross_section_pb=2.0)
    limit = upper_limit(inputs, UNBLIND)
    assert limit.in_pb(limit.expected[2]) == pytest.approx(2.0 * limit.expected[2])
    assert inputs.efficiency == pytest.approx(0.6)
    # More of the signal among the jets that fail: the same passing jets are a larger cross section.
    contents: Floats = inputs.signal.contents * np.array([[[4.0], [1.0]]])
    worse = dataclasses.replace(
        inputs, signal=dataclasses.replace(inputs.signal, contents=contents)
    )
    assert upper_limit(worse, UNBLIND).expected[2] > limit.expected[2]


def test_a_signal_of_which_nothing_passes_is_refused() -> None:
    inputs = pass_fail(systematics=NONE)
    contents = inputs.signal.contents * np.array([[[1.0], [0.0]]])
    with pytest.raises(FitError, match="no jets of the signal at 120 GeV pass"):
        dataclasses.replace(inputs, signal=dataclasses.replace(inputs.signal, contents=contents))


def test_few_jets_take_toys_and_cover() -> None:
    inputs = pass_fail(n_bins=6, jets=100.0, seed=3)
    limit = upper_limit(inputs, LimitSettings(unblind=True, n_toys=200))
    assert limit.n_toys == 200
    asymptotic = upper_limit(inputs, UNBLIND)
    assert limit.expected[2] == pytest.approx(asymptotic.expected[2], rel=0.4)


@pytest.mark.parametrize(
    ("jets", "n"), [(4000.0, 200), pytest.param(8000.0, 3000, marks=pytest.mark.long)]
)
def test_a_signal_at_the_limit_is_excluded_as_often_as_it_should_be(jets: float, n: int) -> None:
    inputs = pass_fail(jets=jets, n_bins=6)
    asymptotic = fit_asymptotically(inputs)
    mu = asymptotic.limits(0.05)[1][2]
    given = asymptotic.at(mu).parameters
    likelihood = asymptotic.likelihood
    toys = likelihood.draw(given, asymptotic.data, n, np.random.default_rng(1))
    fixed = likelihood.fit(toys, given, mu=mu)
    free = likelihood.fit(toys, fixed.parameters)
    q = np.where(free.mu > mu, 0.0, 2.0 * np.maximum(fixed.values - free.values, 0.0))
    # Below 20 events under the signal, where the formulae exclude too often, toys replace them.
    assert inputs.background_under_signal > 20
    beyond = float(np.mean(q > 1.645**2))
    assert beyond == pytest.approx(0.05, abs=3 * (0.05 * 0.95 / n) ** 0.5 + 0.01)


def test_regions_whose_names_differ_in_signs_alone_have_ratios_of_their_own() -> None:
    """As of one division of pt: their names were alike without the signs."""
    inputs = pass_fail(regions=2, jets=20_000, signal=100)
    table = dataclasses.replace(inputs.model.table, regions=("pt < 500", "pt > 500"))
    counts = table.counts.copy()
    counts[1, 1] *= 2
    made = []
    for regions in (("pt < 500", "pt > 500"), ("a", "b"), ("a+", "a-")):
        own = dataclasses.replace(table, regions=regions, counts=counts)
        model = ChannelModel.make(own, inputs.model.design[0, 1, :, :2])
        made.append(dataclasses.replace(inputs, model=model))
    assert [len(set(one.columns)) for one in made] == [4, 4, 4]
    limits = [upper_limit(one, UNBLIND).observed for one in made]
    assert limits[0] == pytest.approx(limits[1], rel=1e-6)
    assert limits[2] == pytest.approx(limits[1], rel=1e-6)
    assert made[0].goodness_p > 0.01
    assert "constant_pt_below_500_10" in made[0].columns


def test_peaks_whose_names_differ_in_signs_alone_have_norms_of_their_own() -> None:
    peak = Component("w+j", 50.0 * pass_fail().signal.contents)
    inputs = pass_fail(peak=peak)
    other = dataclasses.replace(peak, name="w-j")
    both = dataclasses.replace(
        inputs, model=dataclasses.replace(inputs.model, components=(peak, other))
    )
    names = [sample.name for sample in both.channel().samples]
    assert names[-2:] == ["peak_w_j", "peak_w_j_2"]
