"""Limits on pseudo-experiments: how often a true signal is excluded, and whether a limit always comes."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from oddjet.analysis.statistics.background.signal import gaussian_fractions
from oddjet.analysis.statistics.limits.inputs import LimitSettings, Systematics
from oddjet.analysis.statistics.limits.spectrum import SignalModel, limit_inputs
from oddjet.analysis.statistics.limits.toys import Toys
from oddjet.analysis.statistics.limits.upper import (
    choose_toys,
    fit_asymptotically,
    upper_limit,
)
from oddjet.analysis.statistics.spectrum import Spectrum

EDGES = np.linspace(40.0, 240.0, 41)
FALLING = np.diff(stats.gamma(4, scale=20).cdf(EDGES))
WINDOW = (EDGES[:-1] >= 150) & (EDGES[1:] <= 200)
SIGNAL = SignalModel(175.0, 50.0 / 6)
SHAPE = gaussian_fractions(EDGES, mass=SIGNAL.mass, width=SIGNAL.width)
NONE = Systematics(0.0, 0.0, 0.0, 0.0, 0.0)
SETTINGS = LimitSettings(function="exppoly6", unblind=True, systematics=NONE)
LEVEL = 0.05


def spectrum(in_window: float, events: float, rng: np.random.Generator | None) -> Spectrum:
    """A falling spectrum with so many background events in the window, and so many of the signal."""
    expected = FALLING * in_window / FALLING[WINDOW].sum() + events * SHAPE
    return Spectrum(EDGES, expected if rng is None else rng.poisson(expected).astype(float))


def signal_at_the_limit(in_window: float) -> float:
    """Events of a signal at the limit that a background gives which fluctuated up by 2 σ.

    CLs covers more than its level where the background is as expected: it excludes the signal of the median limit
    in 2.5 % of all cases by construction. At this signal CLs and CLs+b are within 0.2 % of each other.
    """
    blinded = LimitSettings(function="exppoly6", is_data=False, n_toys=0, systematics=NONE)
    exact = spectrum(in_window, 0.0, None).counts
    weighted = Spectrum(EDGES, exact, exact, is_data=False)
    limit = upper_limit(limit_inputs(weighted, SIGNAL, settings=blinded)[0], blinded)
    return limit.in_events(limit.expected[4])


def levels(data: Spectrum, events: float, seed: int) -> tuple[float, float]:
    """CLs of a signal, and its own p-value CLs+b; more toys where the first ones leave it open."""
    inputs, _ = limit_inputs(data, SIGNAL, settings=SETTINGS)
    asymptotic = fit_asymptotically(inputs)
    mu = events / inputs.reference_yield
    if not choose_toys(inputs, SETTINGS):
        root, asimov = np.sqrt(asymptotic.test_statistic(mu)), asymptotic.asimov_root(mu)
        if root > asimov:
            root = 0.5 * (root**2 + asimov**2) / asimov
        return asymptotic.cls(mu), float(stats.norm.sf(root)) if root > 0 else 1.0
    for n_toys in (50, 400):
        cls, p_value = Toys(asymptotic, n_toys, seed).observed(mu)
        if p_value > 5 * LEVEL:
            break
    return cls, p_value


@pytest.mark.long
@pytest.mark.parametrize("in_window", [5.0, 15.0, 40.0])
def test_limits_cover_and_always_come(in_window: float) -> None:
    events = signal_at_the_limit(in_window)
    rng = np.random.default_rng(int(in_window))
    # A fit that fails is an error, and ends the test.
    results = np.array([levels(spectrum(in_window, events, rng), events, i) for i in range(500)])
    coverage = np.mean(results > LEVEL, axis=0)
    assert coverage == pytest.approx([0.95, 0.95], abs=0.02)


@pytest.mark.parametrize("number", [61, 96, 184, 237])
def test_toys_with_bins_of_1e_130_events_and_saddles_converge(number: int) -> None:
    rng = np.random.default_rng(5)
    data = [spectrum(5.0, 12.817, rng) for _ in range(number + 1)][-1]
    inputs, _ = limit_inputs(data, SIGNAL, settings=SETTINGS)
    # A fit that fails is an error: one of 50 is more than 1 %.
    cls, p_value = Toys(fit_asymptotically(inputs), 50, number).observed(
        12.817 / inputs.reference_yield
    )
    assert 0.0 <= p_value <= min(cls, 1.0)
