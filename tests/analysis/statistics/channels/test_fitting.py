"""Fits of channels against the same likelihood written with every failing jet number as a parameter."""

from __future__ import annotations

import dataclasses

import numpy as np
import pyhf
import pytest
from scipy import optimize, special, stats

from oddjet.analysis.statistics.background.signal import gaussian_fractions
from oddjet.analysis.statistics.channels.fitting import ChannelFit, fit, fit_many
from oddjet.analysis.statistics.channels.model import ChannelModel, ChannelTable, Component, shifted
from oddjet.errors import FitError
from oddjet.typing import Floats

EDGES = np.linspace(40.0, 240.0, 13)
CENTRES = 0.5 * (EDGES[:-1] + EDGES[1:])
POWERS = np.polynomial.legendre.legvander((CENTRES - 140) / 100, 2)
SHARES = np.array([0.9, 0.07, 0.03])


def component(
    name: str, mass: float, n: float, fractions: tuple[float, ...], **how: object
) -> Component:
    """A Gaussian peak whose jets fall into the score bins by fractions, the same in two regions."""
    by_score = np.array(fractions)[None, :, None] * np.array([1.0, 0.6])[:, None, None]

    def at(centre: float) -> Floats:
        return n * by_score * gaussian_fractions(EDGES, mass=centre, width=12.0)

    shifts = {"scale": (at(0.97 * mass), at(1.03 * mass))} if "constraint" in how else {}
    return Component(name, at(mass), shifts=shifts, **how)  # type: ignore[arg-type]


def model_of(seed: int = 1, *, signal: float = 0.0, scale: float = 1.0) -> ChannelModel:
    """Two regions, three score bins, a free and a constrained peak, a signal, a mode of a map."""
    rng = np.random.default_rng(seed)
    smooth = scale * np.stack([4000 * np.exp(-CENTRES / 40), 2500 * np.exp(-CENTRES / 70)])
    mode = np.zeros((1, 2, 3, 12))
    mode[:, :, 1:] = 0.1 * np.sin(CENTRES / 15)
    components = (
        component("w", 82.0, 150 * scale, (0.5, 0.3, 0.2), constraint=None),
        component("top", 172.0, 60 * scale, (0.4, 0.3, 0.3), constraint=0.2),
        component("signal", 140.0, 20 * scale, (0.1, 0.3, 0.6), is_signal=True),
    )
    mean = smooth[:, None] * SHARES[:, None] * (1 + 0.2 * POWERS[:, 1])
    mean = mean + sum(c.contents for c in components[:2]) + signal * components[2].contents
    counts = rng.poisson(mean).astype(float)
    table = ChannelTable(EDGES, ("low", "high"), ("fail", "loose", "tight"), counts)
    return ChannelModel.make(table, POWERS, mode, components)


def by_hand(model: ChannelModel, values: Floats, logs: Floats) -> float:
    """−2 ln L over the saturated one at given parameters and logarithms of the jets that fail."""
    counts, width = model.table.counts, model.prior_widths
    mean = model.expected(values, np.exp(logs))
    centred = values.copy()
    for i, c in enumerate(model.components, model.precision.size):
        if c.constraint is not None:
            centred[i] = np.log(values[i])
    known = np.isfinite(width)
    penalty = np.sum((centred[known] / width[known]) ** 2)
    ratio = stats.poisson.logpmf(counts, counts) - stats.poisson.logpmf(counts, mean)
    return float(2 * ratio.sum() + penalty)


def pulls_of(whole: ChannelFit, held: tuple[str, ...] = ()) -> Floats:
    """Steps to the minimum of `by_hand` in all its parameters, one by one, in units of their own error."""
    n = len(whole.model.names)
    shape = whole.failing.shape

    def value(p: Floats) -> float:
        return by_hand(whole.model, p[:n], p[n:].reshape(shape))

    at = np.r_[whole.values, np.log(whole.failing).ravel()]
    pulls = []
    for i in set(range(at.size)) - {whole.model.place(name) for name in held}:
        step = np.zeros(at.size)
        step[i] = 1e-4
        up, middle, down = value(at + step), value(at), value(at - step)
        slope, bend = (up - down) / 2e-4, (up - 2 * middle + down) / 1e-8
        pulls.append(slope / np.sqrt(2 * bend))
    return np.array(pulls)


def test_it_is_the_maximum_of_the_likelihood_with_all_its_parameters() -> None:
    model = model_of(signal=3.0)
    whole = fit(model)
    assert whole.twice_nll == pytest.approx(
        by_hand(model, whole.values, np.log(whole.failing)), abs=1e-6
    )
    np.testing.assert_allclose(pulls_of(whole), 0, atol=1e-3)
    without = fit(model, fixed={"signal": 0.0})
    assert without.value("signal") == 0
    assert without.error("signal") == 0
    np.testing.assert_allclose(pulls_of(without, ("signal",)), 0, atol=1e-3)
    assert without.twice_nll > whole.twice_nll + 4
    # The jets that fail are at their maximum: what is expected has the totals where nothing is added.
    np.testing.assert_allclose(
        whole.expected, model.expected(whole.values, whole.failing), rtol=1e-12
    )
    np.testing.assert_allclose(
        whole.expected.sum(axis=1)[:, 9:], model.table.totals[:, 9:], rtol=0.02
    )


def test_errors_are_those_of_the_profile() -> None:
    """−2 ln L rises by one at ± one standard deviation of the free norm."""
    model = model_of(2, signal=1.0, scale=5.0)
    whole = fit(model)
    for name in ("w", "signal", "scale"):
        rises = [
            fit(model, fixed={name: whole.value(name) + sign * whole.error(name)}).twice_nll
            - whole.twice_nll
            for sign in (-1, 1)
        ]
        assert np.mean(rises) == pytest.approx(1.0, abs=0.05)


def test_norms_and_shifts_are_found_again() -> None:
    """Asimov contents with norms and a shift that are not the expected ones."""
    model = model_of(3, scale=50.0)
    free = dataclasses.replace(
        model, components=tuple(dataclasses.replace(c, constraint=None) for c in model.components)
    )
    truth = fit(free).values
    for name, value in {"w": 1.3, "top": 0.7, "signal": 2.0, "scale": 0.8}.items():
        truth[free.place(name)] = value
    asimov = free.expected(truth, fit(free).failing)
    again = fit(free, asimov)
    for name, value in {"w": 1.3, "top": 0.7, "signal": 2.0, "scale": 0.8}.items():
        assert again.value(name) == pytest.approx(value, abs=0.3 * again.error(name) + 1e-3)
    assert again.deviance < 1


def test_many_fits_are_single_fits() -> None:
    model = model_of(4)
    toys = np.random.default_rng(5).poisson(fit(model).expected, (5, 2, 3, 12)).astype(float)
    values, twice_nll = fit_many(model, toys)
    singles = [fit(model, toy) for toy in toys]
    np.testing.assert_allclose(twice_nll, [one.twice_nll for one in singles], atol=1e-3)
    for row, single in zip(values, singles, strict=True):
        np.testing.assert_allclose(
            (row - single.values) / np.sqrt(np.diag(single.covariance)), 0, atol=0.02
        )
    held, _ = fit_many(model, toys, fixed={"signal": 0.5, "top": 1.1})
    np.testing.assert_allclose(held[:, model.place("signal")], 0.5)
    np.testing.assert_allclose(held[:, model.place("top")], 1.1)


def test_one_cut_without_components_is_a_binomial_regression() -> None:
    counts = model_of(6).table.counts[:1].copy()
    counts = np.stack([counts[:, 0], counts[:, 1:].sum(axis=1)], axis=1)
    table = ChannelTable(EDGES, ("all",), ("fail", "pass"), counts)
    whole = fit(ChannelModel.make(table, POWERS))

    def value(q: Floats) -> float:
        logit = POWERS @ q
        logs = counts[0].sum(axis=0) * np.logaddexp(0, logit) - counts[0, 1] * logit
        return float(logs.sum() + 0.5 * np.sum(q[1:] ** 2))

    best = optimize.minimize(value, np.array([-2.0, 0, 0]), method="BFGS", options={"gtol": 1e-7})
    np.testing.assert_allclose(whole.values, best.x, atol=1e-4)
    share = special.expit(POWERS @ best.x)
    information = (POWERS.T * counts[0].sum(axis=0) * share * (1 - share)) @ POWERS
    information += np.diag([0.0, 1.0, 1.0])
    np.testing.assert_allclose(whole.covariance, np.linalg.inv(information), rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(whole.expected[0, 1], share * counts[0].sum(axis=0), rtol=1e-4)


def test_a_shift_is_that_of_pyhf() -> None:
    nominal, low, high = np.array([5.0, 8.0]), np.array([4.0, 9.0]), np.array([7.0, 8.5])
    code = pyhf.interpolators.code4p([[[low, nominal, high]]])
    for size in (-2.5, -1.0, -0.3, 0.0, 0.6, 1.0, 1.7):
        other = np.asarray(code(pyhf.tensorlib.astensor([[size]])))[0, 0, 0]
        np.testing.assert_allclose(shifted(nominal, low, high, size), other, atol=1e-12)


@pytest.mark.parametrize("scale", [0.002, 0.02])
def test_a_handful_of_jets_is_fitted(scale: float) -> None:
    model = model_of(7, scale=scale)
    counts = model.table.counts.copy()
    counts[0, 2] = 0
    for name in (None, "signal"):
        whole = fit(model, counts, fixed={} if name is None else {name: 0.0})
        assert isinstance(whole, ChannelFit)
        assert whole.value("w") >= 0
        assert np.isfinite(whole.expected).all()


def test_a_component_without_jets_changes_nothing() -> None:
    model = model_of(8)
    nothing = Component("higgs", np.zeros(model.table.shape))
    more = dataclasses.replace(model, components=(*model.components, nothing))
    one, other = fit(model), fit(more)
    assert other.twice_nll == pytest.approx(one.twice_nll, abs=1e-6)
    assert other.error("higgs") == np.inf
    assert other.error("w") == pytest.approx(one.error("w"), rel=1e-4)
    assert np.isfinite(fit_many(more, model.table.counts[None])[1]).all()


def test_what_does_not_fit_together_is_refused() -> None:
    model = model_of()
    with pytest.raises(FitError, match=r"expected one of .*received 'z'"):
        fit(model, fixed={"z": 1.0})
    with pytest.raises(FitError, match="expected numbers of jets of the shape"):
        fit(model, model.table.counts[0])
    with pytest.raises(FitError, match="prior on ln"):
        fit(model, fixed={"top": 0.0})
    with pytest.raises(FitError, match="component 'w', array 0"):
        dataclasses.replace(
            model,
            components=(dataclasses.replace(model.components[0], contents=np.ones((2, 3, 4))),),
        ).checked()
    with pytest.raises(FitError, match="different names"):
        dataclasses.replace(model, components=model.components[:1] * 2).checked()


def test_shifted_contents_stay_above_zero_without_a_kink() -> None:
    nominal, low, high = (
        np.array([[[5.0, 1.0]]]),
        np.array([[[4.0, 0.0]]]),
        np.array([[[6.0, 3.0]]]),
    )
    peak = Component("w", nominal, shifts={"scale": (low, high)})
    np.testing.assert_allclose(peak.at({"scale": -1.0})[..., 0], low[..., 0])
    sizes = np.linspace(-2.0, -0.5, 3001)
    contents = np.array([peak.at({"scale": size})[0, 0, 1] for size in sizes])
    assert contents.min() > 0
    assert np.abs(np.diff(contents, 2)).max() < 1e-3 * np.abs(np.diff(contents)).max() + 1e-5
    np.testing.assert_array_equal(peak.at({}), nominal)
