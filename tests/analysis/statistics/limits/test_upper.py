from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pyhf
import pytest
from pyhf.infer.intervals.upper_limits import toms748_scan
from scipy import optimize, stats

from oddjet.analysis.statistics.background.signal import gaussian_fractions
from oddjet.analysis.statistics.exchange.datacard import write_datacard
from oddjet.analysis.statistics.exchange.workspace import write_workspace
from oddjet.analysis.statistics.limits.inputs import (
    LimitInputs,
    LimitSettings,
    Systematics,
    build_channel,
)
from oddjet.analysis.statistics.limits.upper import upper_limit
from oddjet.errors import ConfigError, FitError


def counting(n: float | None, b: float, **changes: object) -> LimitInputs:
    given = {"systematics": Systematics(0.0, 0.0, 0.0, 0.0, 0.0), "signal_yield": 10.0, **changes}
    return LimitInputs(
        edges=np.array([70.0, 100.0]),
        observed=None if n is None else np.array([n]),
        background=np.array([b]),
        signal_shape=np.array([1.0]),
        mass=85.0,
        **given,  # type: ignore[arg-type]
    )


def deviance(n: float, expected: float) -> float:
    return 2 * (expected - n + (n * np.log(n / expected) if n else 0.0))


def closed_form_limit(n: float, b: float, level: float = 0.05) -> float:
    """Asymptotic CLs limit of a counting experiment: arXiv:1007.1727, equations 62, 65, 66."""

    def cls(s: float) -> float:
        asimov = deviance(b, s + b)
        best = max(n - b, 0.0)
        q = deviance(n, s + b) - deviance(n, best + b) if best < s else 0.0
        root, root_a = np.sqrt(q), np.sqrt(asimov)
        if q <= asimov:
            clsb, clb = stats.norm.sf(root), stats.norm.sf(root - root_a)
        else:
            middle = (q + asimov) / (2 * root_a)
            clsb, clb = stats.norm.sf(middle), stats.norm.sf((q - asimov) / (2 * root_a))
        return float(clsb / clb)

    return float(optimize.brentq(lambda s: cls(s) - level, 1e-3, 50 * np.sqrt(b) + 50, xtol=1e-10))


@pytest.mark.parametrize(("n", "b"), [(100.0, 100.0), (85.0, 100.0), (130.0, 100.0), (0.0, 4.0)])
def test_counting_experiment_has_the_closed_form_limit(n: float, b: float) -> None:
    limit = upper_limit(counting(n, b), LimitSettings(n_toys=0))
    assert limit.observed is not None
    assert limit.in_events(limit.observed) == pytest.approx(closed_form_limit(n, b), rel=1e-4)
    assert limit.mu_hat == pytest.approx((n - b) / 10.0, abs=0.02) or n == 0
    if n > b:
        wanted = np.sqrt(deviance(n, b) - deviance(n, n))
        assert limit.significance == pytest.approx(wanted, rel=1e-3)


def test_bands_are_those_of_the_asymptotic_formula() -> None:
    limit = upper_limit(counting(None, 400.0, signal_yield=40.0))
    assert limit.observed is None
    assert limit.p0 is None
    assert limit.mu_hat is None
    for sigmas, mu in zip((-2, -1, 0, 1, 2), limit.expected, strict=True):
        # arXiv:1007.1727, equation 89 for CLs, with σ from the Asimov data at that strength.
        s = 40.0 * mu
        root = np.sqrt(deviance(400.0, 400.0 + s))
        assert stats.norm.sf(root - sigmas) / stats.norm.cdf(sigmas) == pytest.approx(
            0.05, rel=1e-3
        )


def test_toys_without_events_exclude_three() -> None:
    # ln CLs is linear in the strength here, so few points do.
    limit = upper_limit(counting(0.0, 0.5, signal_yield=3.0))
    assert limit.observed is not None
    assert limit.n_toys == 2000
    assert "because 0.5 background events are expected" in limit.to_dict()["method"]
    # P(0 | s + b) / P(0 | b) = exp(−s) = 0.05, whatever b is; the asymptotic formula says 2.2.
    assert limit.in_events(limit.observed) == pytest.approx(-np.log(0.05), rel=0.07)
    assert closed_form_limit(0.0, 0.5) < 0.75 * -np.log(0.05)


def test_scatter_of_seeds_is_what_the_errors_say() -> None:
    inputs = counting(3.0, 3.0, signal_yield=5.0)
    limits = [upper_limit(inputs, LimitSettings(seed=seed)) for seed in range(8)]
    observed = np.array([limit.observed for limit in limits], dtype=float)
    stated = np.array([limit.observed_error for limit in limits], dtype=float)
    assert observed.std(ddof=1) < 0.05 * observed.mean()
    assert 0.4 < observed.std(ddof=1) / stated.mean() < 1.7
    # Toys of q̃ where it is a count: CLs = P(≤ 3 | 3 + s) / P(≤ 3 | 3).
    exact = optimize.brentq(
        lambda s: stats.poisson.cdf(3, 3 + s) / stats.poisson.cdf(3, 3) - 0.05, 0.1, 30
    )
    assert observed.mean() * 5.0 == pytest.approx(exact, rel=0.02)


PEAKED = [0.0, 0.1, 0.6, 0.2, 0.0]


def spectrum(**changes: object) -> LimitInputs:
    edges = np.linspace(65.0, 105.0, 6)
    background = 300 * np.exp(-(edges[:-1] - 65) / 50)
    base = LimitInputs(
        edges=edges,
        observed=np.array([310.0, 260.0, 230.0, 180.0, 160.0]),
        background=background,
        signal_shape=gaussian_fractions(edges, mass=85.0, width=7.0),
        mass=85.0,
        signal_yield=60.0,
        background_modes=np.full((1, 5), 0.02),
        systematics=Systematics(spurious_signal=5.0),
    )
    return dataclasses.replace(base, **changes)  # type: ignore[arg-type]


@pytest.mark.filterwarnings("ignore:jsonschema.RefResolver:DeprecationWarning")
def test_pyhf_finds_the_same_limit_from_the_written_json(tmp_path: Path) -> None:
    inputs = spectrum()
    limit = upper_limit(inputs)
    write_workspace(tmp_path / "workspace.json", build_channel(inputs))
    workspace = pyhf.Workspace(json.loads((tmp_path / "workspace.json").read_text()))
    model = workspace.model()
    before = pyhf.get_backend()
    pyhf.set_backend("numpy", "scipy")
    try:
        observed, expected = toms748_scan(
            workspace.data(model), model, 0.05, 15.0, level=0.05, rtol=1e-8
        )
    finally:
        pyhf.set_backend(*before)
    assert limit.observed == pytest.approx(float(observed), rel=1e-4)
    assert limit.expected == pytest.approx([float(value) for value in expected], rel=1e-4)


def test_every_systematic_makes_the_expected_limit_weaker() -> None:
    def median(**sizes: float) -> float:
        chosen = dataclasses.replace(Systematics(0.0, 0.0, 0.0, 0.0, 0.0), **sizes)
        inputs = spectrum(observed=None, background_modes=None, systematics=chosen)
        return upper_limit(inputs).expected[2]

    alone = median()
    sizes = {"luminosity": 0.1, "tagger_efficiency": 0.2, "mass_scale": 0.05}
    for name, size in {**sizes, "mass_resolution": 0.2, "spurious_signal": 15.0}.items():
        assert median(**{name: size}) > 1.0005 * alone, name


def test_spurious_signal_adds_in_quadrature_where_all_is_gaussian() -> None:
    size, b = 30.0, 10000.0
    chosen = Systematics(0.0, 0.0, 0.0, 0.0, size)
    wide = upper_limit(counting(None, b, signal_yield=200.0, systematics=chosen)).expected[2]
    narrow = upper_limit(counting(None, b, signal_yield=200.0)).expected[2]
    assert wide / narrow == pytest.approx(np.sqrt(1 + size**2 / b), rel=0.01)


def test_statistical_error_of_a_given_background_weakens_the_limit() -> None:
    b = 2500.0
    variances = np.array([b])
    wide = upper_limit(counting(None, b, signal_yield=100.0, background_variances=variances))
    narrow = upper_limit(counting(None, b, signal_yield=100.0))
    assert wide.expected[2] / narrow.expected[2] == pytest.approx(np.sqrt(2), rel=0.02)


@pytest.mark.parametrize("scale", [1e-12, 1e-2, 1.0, 1e6])
def test_limits_do_not_depend_on_the_units_of_the_signal(scale: float) -> None:
    reference, scaled = upper_limit(spectrum()), upper_limit(spectrum(signal_yield=60.0 * scale))
    assert reference.observed is not None
    assert scaled.observed is not None
    assert scaled.in_events(scaled.observed) == pytest.approx(
        reference.in_events(reference.observed), rel=1e-9
    )
    assert scaled.p0 == reference.p0
    assert np.multiply(scaled.expected, scale) == pytest.approx(reference.expected, rel=1e-9)


def test_bins_without_background_are_left_out_and_named(tmp_path: Path) -> None:
    shape = gaussian_fractions(np.linspace(65.0, 105.0, 6), mass=85.0, width=7.0)
    background = np.array([300.0, 255.0, 217.0, 0.0, 157.0])
    inputs = spectrum(background=background, signal_shape=shape)
    assert inputs.left_out == ("[89, 97) GeV (180 observed)",)
    limit = upper_limit(inputs)
    assert limit.to_dict()["inputs"]["bins_left_out"] == list(inputs.left_out)
    kept = np.array([0, 1, 2, 4])
    channel = build_channel(inputs)
    assert channel.n_bins == 4
    assert channel.data.tolist() == [310.0, 260.0, 230.0, 160.0]
    assert channel.signal.expected == pytest.approx(60.0 * shape[kept])
    write_datacard(tmp_path, channel)
    assert (
        "# Left out, no background is expected there: [89, 97)"
        in (tmp_path / "datacard.txt").read_text()
    )


def test_toys_agree_with_the_formulae_where_events_are_many() -> None:
    inputs = spectrum()
    steps: list[tuple[int, int]] = []
    toys = upper_limit(inputs, LimitSettings(n_toys=400), progress=lambda *step: steps.append(step))
    formula = upper_limit(inputs)
    # One toy in a thousand with a signal is at the limit of −2 σ: 400 say little about it.
    assert toys.expected[0] == pytest.approx(formula.expected[0], rel=0.3)
    assert toys.expected[1:] == pytest.approx(formula.expected[1:], rel=0.15)
    assert toys.observed == pytest.approx(formula.observed, rel=0.15)
    assert toys.p0 == pytest.approx(formula.p0, abs=0.08)
    assert steps[-1] == (13, 13)
    assert formula.toy_error is None
    assert formula.to_dict()["toy_errors"] is None


def test_cross_section_and_numbers() -> None:
    limit = upper_limit(counting(100.0, 100.0), LimitSettings(lumi_ifb=59.8, efficiency=0.02))
    assert limit.in_pb(1.0) == pytest.approx(10.0 / (0.02 * 59800.0))
    numbers = json.loads(json.dumps(limit.to_dict()))
    assert numbers["expected"]["median"]["mu"] == limit.expected[2]
    assert numbers["blinded"] is False


def test_bad_inputs_are_refused() -> None:
    with pytest.raises(
        FitError, match=r"33 % of the signal .* left out were \[81, 89\) GeV \(230 obs"
    ):
        spectrum(background=np.array([1.0, 1.0, 0.0, 1.0, 1.0]), signal_shape=np.array(PEAKED))
    with pytest.raises(FitError, match="finite numbers ≥ 0"):
        spectrum(background=np.full(5, np.nan))
    with pytest.raises(FitError, match="expected a fraction above 0"):
        spectrum(signal_shape=np.zeros(5))
    with pytest.raises(FitError, match="negative bins"):
        spectrum(signal_shape=np.array([-0.1, 0.5, 0.2, 0.1, 0.1]))
    with pytest.raises(FitError, match="signal yield > 0"):
        spectrum(signal_yield=0.0)
    with pytest.raises(ConfigError, match=r"mass_scale: expected a fraction in \[0, 1\)"):
        Systematics(mass_scale=1.5)
    with pytest.raises(FitError, match="confidence level"):
        LimitSettings(cl=95)
    with pytest.raises(FitError, match="efficiency in"):
        LimitSettings(lumi_ifb=1.0, efficiency=0.0)
