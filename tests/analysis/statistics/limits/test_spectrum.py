from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from oddjet.analysis.report.write import write_limits
from oddjet.analysis.statistics.background.signal import gaussian_fractions
from oddjet.analysis.statistics.limits.inputs import LimitSettings, Systematics
from oddjet.analysis.statistics.limits.spectrum import SignalModel, limit_inputs, limit_spectrum
from oddjet.analysis.statistics.spectrum import Spectrum
from oddjet.errors import ConfigError, FitError

EDGES = np.linspace(40.0, 160.0, 25)
CENTRES = 0.5 * (EDGES[1:] + EDGES[:-1])
BACKGROUND = 4000 * np.exp(-CENTRES / 40)
SIGNAL = SignalModel(85.0, 6.0)
OPEN = LimitSettings(
    unblind=True, function="exppoly2", systematics=Systematics(0.0, 0.0, 0.0, 0.0, 0.0)
)


def histogram(counts: np.ndarray, variances: np.ndarray | None = None) -> Spectrum:
    return Spectrum(EDGES, counts, counts if variances is None else variances, name="mass")


def data(signal_events: float = 0.0) -> Spectrum:
    expected = BACKGROUND + signal_events * gaussian_fractions(EDGES, mass=85.0, width=6.0)
    return histogram(np.round(expected))


def test_fitted_background_uses_the_bins_under_the_window_alone() -> None:
    inputs, fit = limit_inputs(data(), SIGNAL, settings=OPEN)
    assert fit is not None
    assert inputs.edges[0] == 65.0
    assert inputs.edges[-1] == 105.0
    assert inputs.signal_shape.sum() == pytest.approx(1.0, abs=2e-3)
    assert inputs.background.sum() == pytest.approx(fit.predicted)
    assert np.sqrt(inputs.background_covariance.sum()) == pytest.approx(fit.predicted_error)


def test_injected_signal_is_found_and_not_excluded() -> None:
    (result,) = limit_spectrum(data(300.0), [SIGNAL], settings=OPEN)
    limit = result.limit
    assert limit.mu_hat is not None
    assert limit.observed is not None
    assert limit.mu_error is not None
    assert limit.significance is not None
    assert limit.in_events(limit.mu_hat) == pytest.approx(300.0, rel=0.05)
    assert limit.in_events(limit.observed) > 300.0
    assert limit.significance == pytest.approx(limit.mu_hat / limit.mu_error, rel=0.1)


def test_blinded_limits_do_not_depend_on_what_is_under_the_window() -> None:
    settings = dataclasses.replace(OPEN, unblind=False)
    hidden = data().counts.copy()
    hidden[(CENTRES > 65) & (CENTRES < 105)] = -7.5
    (seen,) = limit_spectrum(data(), [SIGNAL], settings=settings)
    (other,) = limit_spectrum(histogram(hidden), [SIGNAL], settings=settings)
    assert seen.limit.observed is None
    assert seen.limit.expected == other.limit.expected
    assert limit_spectrum(data(), [SIGNAL], settings=OPEN)[0].limit.expected[2] == pytest.approx(
        seen.limit.expected[2], rel=0.02
    )


def test_given_background_uses_all_bins() -> None:
    given = histogram(BACKGROUND, 1e-4 * BACKGROUND)
    inputs, fit = limit_inputs(data(), SIGNAL, background=given, settings=OPEN)
    assert fit is None
    assert inputs.edges.tolist() == EDGES.tolist()
    assert inputs.background_variances == pytest.approx(1e-4 * BACKGROUND)
    template = histogram(50 * gaussian_fractions(EDGES, mass=85.0, width=6.0))
    same, _ = limit_inputs(
        data(), SignalModel(85.0, 6.0, template), background=given, settings=OPEN
    )
    assert same.signal_shape == pytest.approx(inputs.signal_shape)
    assert same.signal_yield == pytest.approx(50.0)


def test_bad_input_is_refused() -> None:
    given = histogram(BACKGROUND, 1e-4 * BACKGROUND)
    with pytest.raises(FitError, match="reaches outside"):
        limit_inputs(data(), SignalModel(150.0, 6.0), settings=OPEN)
    with pytest.raises(FitError, match=r"sideband bins below|too few"):
        limit_inputs(data(), SignalModel(100.0, 19.9), settings=OPEN)
    with pytest.raises(FitError, match="Σw² ≠ Σw"):
        limit_inputs(histogram(data().counts, 2 * data().counts), SIGNAL, settings=OPEN)
    without = dataclasses.replace(given, variances=None)
    with pytest.raises(FitError, match="needs variances"):
        limit_inputs(data(), SIGNAL, background=without, settings=OPEN)
    shorter = given.within(45.0, 160.0)
    with pytest.raises(FitError, match="give both the same bins"):
        limit_inputs(data(), SIGNAL, background=shorter, settings=OPEN)
    with pytest.raises(FitError, match="no events in the"):
        limit_inputs(histogram(np.zeros(24)), SIGNAL, settings=OPEN)
    with pytest.raises(FitError, match="width > 0"):
        SignalModel(85.0, 0.0)
    with pytest.raises(ConfigError, match="no data to unblind"):
        LimitSettings(is_data=False, unblind=True)


def test_files_of_a_scan(tmp_path: Path) -> None:
    signals = [SIGNAL, SignalModel(95.0, 6.0)]
    settings = dataclasses.replace(OPEN, unblind=False)
    results = limit_spectrum(data(), signals, settings=settings)
    written = write_limits(tmp_path, results)
    assert all(path.stat().st_size > 0 for path in written)
    names = {str(path.relative_to(tmp_path)) for path in written}
    assert {"limits.json", "limits.png", "m85/workspace.json", "m95/datacard.txt"} <= names
    numbers = json.loads((tmp_path / "limits.json").read_text())["limits"]
    assert [limit["mass"] for limit in numbers] == [85.0, 95.0]
    assert numbers[0]["expected"]["median"]["mu"] == results[0].limit.expected[2]
    assert numbers[0]["background_fit"]["function"] == "exppoly2"
