from __future__ import annotations

import dataclasses
import json
import time
from pathlib import Path

import numpy as np
import pytest
from scipy import optimize, stats

from oddjet.analysis.report.write import write_limits
from oddjet.analysis.statistics.background.functions import make_function
from oddjet.analysis.statistics.background.signal import gaussian_fractions
from oddjet.analysis.statistics.exchange.histogram_files import read_histogram
from oddjet.analysis.statistics.limits.agreement import compare_background
from oddjet.analysis.statistics.limits.inputs import LimitSettings, Systematics
from oddjet.analysis.statistics.limits.spectrum import SignalModel, limit_inputs, limit_spectrum
from oddjet.analysis.statistics.limits.upper import Limit
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


def test_fitted_background_is_free_in_all_bins() -> None:
    inputs, fit = limit_inputs(data(), SIGNAL, settings=OPEN)
    assert fit is not None
    assert inputs.edges.tolist() == EDGES.tolist()
    assert inputs.signal_shape.sum() == pytest.approx(1.0, abs=2e-3)
    assert inputs.background == pytest.approx(fit.expected)
    assert inputs.modes_are_free
    assert np.sqrt(inputs.total_variances) == pytest.approx(fit.errors, rel=1e-3)


def test_limit_is_that_of_one_fit_of_signal_and_function_to_all_bins() -> None:
    """Against a profile likelihood of the function itself, without modes, by scipy."""
    spectrum = data(100.0)
    (result,) = limit_spectrum(spectrum, [SIGNAL], settings=OPEN)
    shape = gaussian_fractions(EDGES, mass=85.0, width=6.0)
    function = make_function("exppoly2", scale=320.0).on(EDGES)

    def profiled(events: float) -> float:
        def deviance(parameters: np.ndarray) -> float:
            expected = function.expected(parameters) + events * shape
            return 2 * float(np.sum(expected - spectrum.counts * np.log(expected)))

        return float(optimize.minimize(deviance, [6.0, -8.0], method="Nelder-Mead", tol=1e-9).fun)

    best = optimize.minimize_scalar(profiled, bounds=(0, 300), method="bounded")
    limit = result.limit
    assert limit.mu_hat is not None
    assert limit.in_events(limit.mu_hat) == pytest.approx(best.x, rel=0.01)
    assert limit.significance == pytest.approx(np.sqrt(profiled(0.0) - best.fun), rel=0.01)


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


def test_a_template_is_of_one_mass_and_inside_its_window() -> None:
    template = histogram(50 * gaussian_fractions(EDGES, mass=80.0, width=6.0))
    with pytest.raises(FitError, match=r"given for 80 GeV and for 120 GeV: .* one mass"):
        limit_spectrum(data(), [SignalModel(mass, 6.0, template) for mass in (80.0, 120.0)])
    # ± 3 widths of 6 GeV around 120 GeV hold nothing of it.
    with pytest.raises(FitError, match=r"0\..* % of the signal template mass is .* mean is 80 GeV"):
        limit_inputs(data(), SignalModel(120.0, 6.0, template), settings=OPEN)
    # A window whose last bin is above the template's mean holds more than half of it.
    for mass, is_inside in ((67.0, True), (64.0, False)):
        signal = SignalModel(mass, 5.0, template)
        if is_inside:
            assert signal.shape(EDGES) == pytest.approx(template.counts / template.counts.sum())
            continue
        with pytest.raises(FitError, match=r"expected 50 % or more"):
            signal.shape(EDGES)
    # Of one mass, two widths are two windows.
    signals = [SignalModel(80.0, width, template) for width in (6.0, 7.0)]
    assert len(limit_spectrum(data(), signals, settings=OPEN)) == 2


@pytest.mark.parametrize("unblind", [True, False])
@pytest.mark.parametrize("factor", [2.0, 0.2, 1 / BACKGROUND.sum()])
def test_a_given_background_that_is_no_description_is_flagged(factor: float, unblind: bool) -> None:
    """Twice the background; events per GeV in bins of 5 GeV; normalised to one."""
    settings = dataclasses.replace(OPEN, unblind=unblind, seed=3)
    right = histogram(BACKGROUND, 1e-4 * BACKGROUND)
    (good,) = limit_spectrum(data(), [SIGNAL], background=right, settings=settings)
    assert good.given is not None
    assert good.flags == ()
    beside = (EDGES[1:] <= 67) | (EDGES[:-1] >= 103)
    assert good.given.observed == data().counts[beside].sum()
    assert good.given.expected == pytest.approx(BACKGROUND[beside].sum())
    wrong = histogram(factor * BACKGROUND, 1e-4 * factor**2 * BACKGROUND)
    (bad,) = limit_spectrum(data(), [SIGNAL], background=wrong, settings=settings)
    assert "does not describe what is beside the signal" in bad.flags[0]
    assert bad.to_dict()["flags"] == list(bad.flags)
    assert ("far below zero" in bad.flags[-1]) == (unblind and factor > 1)


def test_p_of_a_given_background_is_uniform_for_few_events_with_errors() -> None:
    rng = np.random.default_rng(1)
    expected = np.full(24, 1.5)
    errors = np.full(24, 0.2)
    given = histogram(expected, errors**2)
    p_values = []
    for _ in range(200):
        seen = rng.poisson(rng.normal(expected, errors)).astype(float)
        result = compare_background(histogram(seen), given, SIGNAL.window, is_data=True)
        p_values.append(result.p_value)
    assert stats.kstest(p_values, "uniform").pvalue > 0.01
    simulation = Spectrum(EDGES, expected, 0.3 * expected, is_data=False)
    same = compare_background(simulation, given, SIGNAL.window, is_data=False)
    assert same.p_value == 1.0
    nothing = compare_background(simulation, given, (40.0, 160.0), is_data=True)
    assert np.isnan(nothing.p_value)
    assert nothing.to_dict()["p_value"] is None


def test_errors_of_a_template_are_not_used_and_it_is_said() -> None:
    shape = 50 * gaussian_fractions(EDGES, mass=85.0, width=6.0)
    (result,) = limit_spectrum(
        data(), [SignalModel(85.0, 6.0, histogram(shape, 0.01 * shape**2))], settings=OPEN
    )
    size = 10 * np.sqrt(np.sum(shape**2)) / shape.sum()
    (note,) = result.notes
    assert note.startswith("85 GeV: statistical errors of the signal template are not used")
    assert f"{size:.2g} % of all its events" in note
    assert result.to_dict()["notes"] == list(result.notes)


@pytest.mark.parametrize("size", [0.7, 0.9])
def test_an_uncertainty_that_moves_the_signal_away_is_refused(size: float) -> None:
    """85 GeV becomes 26 or 9 GeV, where the spectrum has no bins."""
    sizes = dataclasses.replace(OPEN.systematics, mass_scale=size)
    with pytest.raises(FitError, match=f"systematics: mass_scale of {size} leaves 0 % of a signal"):
        limit_spectrum(data(), [SIGNAL], settings=dataclasses.replace(OPEN, systematics=sizes))


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


@pytest.mark.parametrize("scale", [1e-2, 1.0, 1e6])
def test_template_of_any_size_gives_the_reported_limit(cases: Path, scale: float) -> None:
    file = cases / "limit_small_signal.root"
    template = read_histogram(f"{file}:sig_1")
    assert template.variances is not None
    template = dataclasses.replace(
        template, counts=scale * template.counts, variances=scale**2 * template.variances
    )
    limit = given_limit(file, "bkg", SignalModel(130.0, 20.0, template))
    assert limit.observed is not None
    assert limit.mu_hat is not None
    assert limit.in_events(limit.observed) == pytest.approx(630.0, rel=0.05)
    assert limit.in_events(limit.mu_hat) == pytest.approx(330.0, rel=0.05)
    assert limit.p0 == pytest.approx(0.025, abs=0.005)


def given_limit(file: Path, background: str, signal: SignalModel) -> Limit:
    spectrum, given = (read_histogram(f"{file}:{name}") for name in ("data", background))
    settings = LimitSettings(unblind=True)
    (result,) = limit_spectrum(spectrum, [signal], background=given, settings=settings)
    return result.limit


@pytest.mark.parametrize("background", ["bkg_zero_var0", "bkg_zero_var1"])
def test_empty_bin_of_a_background_is_left_out_and_named(cases: Path, background: str) -> None:
    file = cases / "limit_zero_bins.root"
    signal = SignalModel(120.0, 20.0, read_histogram(f"{file}:sig"))
    limit = given_limit(file, background, signal)
    assert limit.observed is not None
    assert limit.inputs.left_out == ("[170, 190) GeV (0 observed)",)
    whole = given_limit(file, "bkg_ok", signal)
    assert whole.observed is not None
    assert limit.observed == pytest.approx(whole.observed, rel=0.01)
    inside = SignalModel(120.0, 20.0, read_histogram(f"{file}:sig_only_in_zero_bin"))
    with pytest.raises(FitError, match=r"0 % of the signal .* left out were \[170, 190\) GeV"):
        given_limit(file, background, inside)


def test_forty_bins_with_errors_of_ten_percent_take_no_two_seconds(cases: Path) -> None:
    start = time.process_time()
    limit = given_limit(cases / "hunt_shapes.root", "bkg", SignalModel(130.0, 10.0))
    assert time.process_time() - start < 2.0
    assert limit.observed is not None
    tail = given_limit(cases / "hunt_shapes.root", "bkg_zero_tail", SignalModel(130.0, 10.0))
    assert [name.split(" GeV")[0] for name in tail.inputs.left_out] == [
        f"[{low}, {low + 5})" for low in (235, 240, 245)
    ]
