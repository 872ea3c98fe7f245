"""The spurious signal of a function in a limit, from simulated background."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from oddjet.analysis.hunt.spurious import with_spurious
from oddjet.analysis.statistics.background.signal import fit_signal
from oddjet.analysis.statistics.limits.inputs import LimitSettings, Systematics
from oddjet.analysis.statistics.limits.spectrum import SignalModel
from oddjet.analysis.statistics.spectrum import Spectrum

EDGES = np.linspace(40.0, 240.0, 41)
X = (EDGES[:-1] - 137.5) / 97.5
MEAN = 4000 * np.exp(-1.2 * X + 0.1 * np.sin(7.0 * X)) / np.exp(-1.2 * X).sum()
SIMULATED = {"all jets": Spectrum(EDGES, 200 * MEAN, 200 * MEAN, name="all jets", is_data=False)}
SIGNAL = SignalModel(140.0, 12.0)
SETTINGS = LimitSettings(function="exppoly4")


def test_the_spurious_signal_is_that_of_the_fit_to_the_simulation() -> None:
    counts = np.random.default_rng(1).poisson(MEAN).astype(float)
    expected = MEAN * counts.sum() / MEAN.sum()
    single = fit_signal(
        Spectrum(EDGES, expected, expected, is_data=False), mass=140, width=12, function="exppoly4"
    )
    for window in (None, (104.0, 176.0)):
        data = Spectrum(EDGES, counts, name="all jets", blind_window=window)
        settings, (said,) = with_spurious(SETTINGS, data, SIGNAL, SIMULATED)
        events = settings.systematics.spurious_signal
        assert events == pytest.approx(abs(single.yield_), rel=0.15)
        assert f"{events:.3g} events" in said
        assert settings.systematics.luminosity == Systematics().luminosity


def test_the_hidden_window_has_no_part_in_it() -> None:
    counts = np.random.default_rng(1).poisson(MEAN).astype(float)
    other = np.where((EDGES[:-1] >= 110) & (EDGES[1:] <= 170), 1e6, counts)
    settings = [
        with_spurious(
            SETTINGS,
            Spectrum(EDGES, c, name="all jets", blind_window=(104.0, 176.0)),
            SIGNAL,
            SIMULATED,
        )
        for c in (counts, other)
    ]
    assert settings[0] == settings[1]


def test_nothing_is_added_without_simulation_or_over_what_was_asked_for() -> None:
    data = Spectrum(EDGES, np.round(MEAN), name="all jets")
    assert with_spurious(SETTINGS, data, SIGNAL, {}) == (SETTINGS, ())
    asked = dataclasses.replace(SETTINGS, systematics=Systematics(spurious_signal=3.0))
    assert with_spurious(asked, data, SIGNAL, SIMULATED) == (asked, ())


def test_simulation_that_cannot_be_used_is_named() -> None:
    data = Spectrum(EDGES, np.round(MEAN), name="all jets")
    none = {"all jets": Spectrum(EDGES, np.zeros(40), np.zeros(40), name="x", is_data=False)}
    settings, (said,) = with_spurious(SETTINGS, data, SIGNAL, none)
    assert settings == SETTINGS
    assert "not known, and not in the limit" in said
