"""Limits against pyhf's own fits of the same models: 1 to 60 bins, given and fitted backgrounds."""

from __future__ import annotations

import dataclasses

import numpy as np
import pyhf
import pytest
from scipy import stats

from oddjet.analysis.statistics.background.signal import gaussian_fractions
from oddjet.analysis.statistics.exchange.workspace import pyhf_model
from oddjet.analysis.statistics.limits.asymptotic import BANDS
from oddjet.analysis.statistics.limits.inputs import (
    LimitInputs,
    LimitSettings,
    Systematics,
    build_channel,
)
from oddjet.analysis.statistics.limits.spectrum import SignalModel, limit_inputs
from oddjet.analysis.statistics.limits.upper import fit_asymptotically
from oddjet.analysis.statistics.spectrum import Spectrum
from oddjet.typing import Floats

NONE = Systematics(0.0, 0.0, 0.0, 0.0, 0.0)


@dataclasses.dataclass(frozen=True)
class Case:
    """A falling spectrum with a signal in its middle."""

    n_bins: int
    events: float
    error: float = 0.0
    function: str = ""
    systematics: Systematics = dataclasses.field(default_factory=Systematics)
    signal: float = 0.0

    def inputs(self) -> LimitInputs:
        edges = np.linspace(50.0, 250.0, self.n_bins + 1)
        shape = np.exp(-edges[:-1] / 70) - np.exp(-edges[1:] / 70)
        background = self.events * shape / shape.sum()
        signal = gaussian_fractions(edges, mass=120.0, width=12.0)
        rng = np.random.default_rng(self.n_bins)
        data = rng.poisson(background + self.signal * signal).astype(float)
        given = Spectrum(edges, background, (self.error * background) ** 2, is_data=False)
        settings = LimitSettings(
            unblind=True, function=self.function or "auto", systematics=self.systematics
        )
        model = SignalModel(120.0, 12.0)
        return limit_inputs(
            Spectrum(edges, data),
            model,
            background=None if self.function else given,
            settings=settings,
        )[0]


QUICK = [
    Case(1, 400.0, 0.02),
    Case(2, 100.0, 0.02, systematics=NONE),
    Case(5, 3000.0, 0.05, signal=80.0),
    Case(20, 3000.0, 0.02, systematics=dataclasses.replace(NONE, spurious_signal=20.0)),
]
PATIENT = [
    Case(10, 2000.0, 0.1),
    Case(40, 10000.0, 0.1),
    Case(60, 50000.0, 0.03),
    Case(20, 5000.0, function="exppoly2", signal=150.0),
    Case(30, 20000.0, function="dijet3"),
    Case(40, 2000.0, function="exppoly3"),
]


def pyhf_levels(inputs: LimitInputs, mu: float) -> Floats:
    """CLs by pyhf at a strength: observed, and expected at −2 to +2 σ."""
    channel = build_channel(inputs, signal_yield=inputs.reference_yield)
    model, data = pyhf_model(channel, mu_max=20.0)
    before = pyhf.get_backend()
    try:
        pyhf.set_backend("numpy", pyhf.optimize.scipy_optimizer(maxiter=2000))
        observed, expected = pyhf.infer.hypotest(mu, data, model, return_expected_set=True)
    finally:
        pyhf.set_backend(*before)
    return np.array([observed, *expected], dtype=float)


@pytest.mark.parametrize(
    "case", [*QUICK, *(pytest.param(case, marks=pytest.mark.long) for case in PATIENT)]
)
def test_limits_are_those_of_pyhf_to_one_percent(case: Case) -> None:
    inputs = case.inputs()
    asymptotic = fit_asymptotically(inputs)
    observed, _ = asymptotic.limits(0.05)

    def levels(mu: float) -> Floats:
        root = asymptotic.asimov_root(mu)
        expected = [stats.norm.sf(root - band) / stats.norm.cdf(band) for band in BANDS]
        return np.array([asymptotic.cls(mu), *expected])

    # CLs falls with the strength: between what it is 1 % below and above, the strengths agree to 1 %.
    theirs = pyhf_levels(inputs, observed)
    assert np.all(theirs < levels(0.99 * observed))
    assert np.all(theirs > levels(1.01 * observed))
    assert levels(observed)[0] == pytest.approx(0.05, rel=1e-4)
