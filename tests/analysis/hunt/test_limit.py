"""Limits and expected reach of a conditional hunt: yields come back, and a blinded window is never looked at."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy import stats

from oddjet.analysis.config import HuntConfig
from oddjet.analysis.hunt.hunt import Hunt, hunt
from oddjet.analysis.hunt.limit import limit_hunt
from oddjet.analysis.hunt.reach import expected_reach, whole_jets
from oddjet.analysis.hunt.spectra import fill_spectra
from oddjet.analysis.hunt.templates import SignalTemplate
from oddjet.analysis.report.sections.reach import reach_section
from oddjet.analysis.scores.sample import HuntSample
from oddjet.analysis.statistics.components import Component
from oddjet.analysis.statistics.limits.passfail import PassFailInputs
from oddjet.analysis.statistics.spectrum import Spectrum

N = 20_000
SETTINGS = HuntConfig(
    range=(50, 250),
    bin_width=20,
    window=(100, 150),
    working_points=(0.1, 0.03),
    n_toys=100,
    widths=(2, 3),
    orders=(2, 2),
    reach=(0.001, 0.05),
)
KEPT = np.log(0.1) / np.log(0.5)
"""Half of the signal passes a cut of 10 %."""


def hunt_of(
    signal: int,
    *,
    unblind: bool = False,
    emptied: bool = False,
    n: int = N,
    settings: HuntConfig = SETTINGS,
) -> Hunt:
    """A falling spectrum with a peak at 125 GeV, and a score that knows nothing of the mass."""
    rng = np.random.default_rng(3)
    masses = 50 + rng.exponential(45, 2 * n)[:n]
    mass = np.concatenate([masses, rng.normal(125, 8, signal)])
    survival = np.concatenate([rng.uniform(0, 1, n), rng.uniform(0, 1, signal) ** KEPT])
    keep = ~(emptied & (mass >= 100) & (mass < 150))
    mass, survival = mass[keep], survival[keep]
    n = mass.size
    table = {
        "dataset": np.array(["data"] * n, dtype=object),
        "run": np.ones(n, np.uint32),
        "luminosityBlock": np.ones(n, np.uint32),
        "event": np.arange(n, dtype=np.uint64),
        "rank": np.zeros(n, np.int16),
        "weight": np.ones(n),
        "msoftdrop": mass,
        "d_s": -survival,
        "d_s_calibrated": -np.log10(survival),
        "d_s_ddt": -np.log10(survival),
    }
    spectra = fill_spectra(table, ["d_s_ddt"], HuntSample("data", None), settings)
    return hunt(spectra, settings, unblind=unblind)


def template(name: str = "x", jets: float = 100.0) -> SignalTemplate:
    edges = np.linspace(50, 250, 11)
    shape = jets * np.diff(stats.norm.cdf(edges, 125, 8))
    kept = np.array([1.0, *(p ** (1 / KEPT) for p in (0.1, 0.03))])
    return SignalTemplate(name, (kept[:, None] * shape)[:, None, :], 0.2)


def test_the_yield_of_a_signal_comes_back_with_its_cross_section() -> None:
    hunted = hunt_of(600, unblind=True)
    (gaussian, own), problems = limit_hunt(hunted, SETTINGS, lambda: (template(),))
    assert problems == ()
    inputs, limit = own.limit.inputs, own.limit
    assert isinstance(inputs, PassFailInputs)
    assert inputs.model.table.scores[1:] == (
        "d_s_ddt, 10 % background",
        "d_s_ddt, 3 % background",
    )
    assert inputs.efficiency == pytest.approx(0.5, rel=1e-3)
    assert limit.mu_hat is not None
    assert abs(limit.in_events(limit.mu_hat) - 600) < 2.5 * limit.in_events(limit.mu_error or 0)
    assert limit.significance is not None
    assert limit.significance > 5
    assert limit.in_pb(limit.expected[2]) == pytest.approx(0.2 * limit.expected[2])
    # Of a Gaussian none are assumed to fail.
    assert gaussian.label == "125 GeV"
    assert any("none are assumed to" in note for note in gaussian.notes)
    assert all("hunt.orders" not in flag for flag in own.flags)


def test_without_signals_of_the_fileset_there_is_a_gaussian_alone() -> None:
    limits, problems = limit_hunt(hunt_of(0, unblind=True), SETTINGS)
    assert [result.name for result in limits] == [""]
    assert problems == ()
    narrow = SignalTemplate("y", template().spectra[..., :5], None)
    limits, problems = limit_hunt(hunt_of(0, unblind=True), SETTINGS, lambda: (narrow,))
    assert len(limits) == 1
    assert "no limit on y: y: expected a template of (1, 3, 10) bins" in problems[0]


def test_a_limit_by_a_function_has_what_the_function_finds_in_simulation() -> None:
    """A spectrum with a wave that the function is not: the limit rises, and says why."""
    hunted = dataclasses.replace(hunt_of(0, unblind=True), by_share=False)
    settings = SETTINGS.model_copy(update={"function": "exppoly2"})
    edges = hunted.tightest.edges
    wave = 1 + 0.3 * np.sin((edges[:-1] - 50) / 25)
    simulated = {}
    for point in (hunted.working_points[0], hunted.tightest):
        counts = 2e6 * np.exp(-(edges[:-1] - 50) / 45) * wave * point.efficiency
        simulated[point.name] = Spectrum(edges, counts, counts, name=point.name, is_data=False)
    (alone,), _ = limit_hunt(hunted, settings)
    (known,), _ = limit_hunt(dataclasses.replace(hunted, simulated=simulated), settings)
    assert alone.limit.inputs.systematics.spurious_signal == 0
    assert known.limit.inputs.systematics.spurious_signal > 5
    assert known.limit.expected[2] > 1.05 * alone.limit.expected[2]
    assert any("spurious signal of exppoly2 in simulated" in note for note in known.notes)


def test_expected_limit_and_reach_do_not_know_the_window() -> None:
    results = []
    for hunted in (hunt_of(2000), hunt_of(2000, emptied=True)):
        assert hunted.blinded
        limits, _ = limit_hunt(hunted, SETTINGS, lambda: (template(), template("weak", 0.0)))
        reach, problems = expected_reach(hunted, SETTINGS, limits, n_experiments=3)
        results.append(([x.to_dict() for x in limits], [x.to_dict() for x in reach], problems))
    assert results[0] == results[1]
    limits, (reach,), _ = results[0]
    assert [limit["observed"] for limit in limits] == [None, None]
    assert reach["name"] == "x"
    # About as many jets as there were before a signal was added.
    assert reach["n_jets"] == pytest.approx(0.988 * N, rel=0.03)
    few, many = reach["points"]
    assert 0.1 < few["local"] < 1
    assert many["local"] > 3
    assert few["scan"][1] < many["scan"][1]
    assert many["jets"] == pytest.approx(0.05 * reach["n_jets"])
    # With a signal there the limit is above it.
    assert few["limit"] == pytest.approx(reach["limit"][2], rel=0.5)
    assert many["limit"] > 0.05


def test_known_peaks_are_in_limits_and_in_the_experiments_of_the_reach() -> None:
    hunted = hunt_of(0)
    assert hunted.joint is not None
    rows = template(jets=2000.0).score_bins[0]
    order = np.argsort(hunted.joint.members.sum(axis=0))  # from failing all to passing all
    contents = np.zeros((3, 10))
    contents[order] = rows
    peak = Component("w", contents, constraint=0.1)
    with_peak = dataclasses.replace(hunted, joint=dataclasses.replace(hunted.joint, peaks=(peak,)))
    settings = SETTINGS.model_copy(update={"reach": (0.05,)})
    reaches = []
    for own in (hunted, with_peak):
        limits, problems = limit_hunt(own, settings, lambda: (template(),))
        (reach,), more = expected_reach(own, settings, limits, n_experiments=3)
        assert problems == more == ()
        reaches.append(reach)
    # The peak is there whatever is not: more jets are expected, and less is found among them.
    assert reaches[1].n_jets == pytest.approx(reaches[0].n_jets + 2000, rel=0.02)
    assert reaches[1].points[0].local < reaches[0].points[0].local


def test_the_section_says_what_is_excluded_and_found() -> None:
    hunted = hunt_of(0)
    limits, _ = limit_hunt(hunted, SETTINGS, lambda: (template(),))
    settings = SETTINGS.model_copy(update={"reach": (0.02,)})
    reach, problems = expected_reach(hunted, settings, limits, n_experiments=2)
    section = reach_section(reach, problems)
    assert section.statements[0].startswith("x: without a signal fractions above 0.")
    assert section.tables[0].rows[0][:2] == ("x", "2 %")
    assert section.pictures[0].png
    (warning,) = reach_section((), ()).warnings
    assert "kind: signal" in warning


def test_a_blinded_function_hunt_has_its_own_limit() -> None:
    settings = SETTINGS.model_copy(update={"method": "function"})
    hunted = dataclasses.replace(hunt_of(0), by_share=False)
    (limit,), _ = limit_hunt(hunted, settings, lambda: (template(),))
    assert limit.fit is not None


def test_a_tight_cut_that_keeps_next_to_nothing_has_a_reach() -> None:
    """Few jets a bin: rounded one by one none would be left, and experiments have others than are expected."""
    settings = SETTINGS.model_copy(update={"working_points": (0.1, 0.01, 0.003), "bin_width": 10.0})
    hunted = hunt_of(0, n=600, settings=settings)
    shape = 100.0 * np.diff(stats.norm.cdf(np.linspace(50, 250, 21), 125, 8))
    kept = np.array([1.0, *(p ** (1 / KEPT) for p in settings.working_points)])
    signal = SignalTemplate("x", (kept[:, None] * shape)[:, None, :], None)
    limits, _ = limit_hunt(hunted, settings, lambda: (signal,))
    inputs = limits[-1].limit.inputs
    assert isinstance(inputs, PassFailInputs)
    jets = whole_jets(inputs.expected).sum(axis=(0, 2))
    np.testing.assert_allclose(jets, inputs.expected.sum(axis=(0, 2)), atol=0.5)
    assert (jets < 5).any()
    (reach,), problems = expected_reach(hunted, settings, limits, n_experiments=8)
    assert problems == ()
    assert all(np.isfinite(point.scan).all() for point in reach.points)
    assert reach.points[-1].scan[1] > reach.points[0].scan[1]


def test_limits_by_a_function_that_would_take_a_known_peak_for_signal_are_refused() -> None:
    hunted = hunt_of(0, unblind=True)
    assert hunted.joint is not None
    peak = Component("top", 50.0 * np.ones(hunted.joint.counts.shape), None, 0.2)
    joint = dataclasses.replace(hunted.joint, peaks=(peak,))
    limits, problems = limit_hunt(
        dataclasses.replace(hunted, by_share=False, joint=joint), SETTINGS
    )
    assert limits == ()
    assert "known peaks are expected" in problems[0]


def test_where_another_score_alone_is_tested_limits_are_on_its_cuts() -> None:
    hunted = hunt_of(0, unblind=True)
    other = dataclasses.replace(hunted, columns=("not_tested", *hunted.columns))
    assert [point.name for point in other.main_points] == [
        point.name for point in hunted.main_points
    ]
    assert other.tightest == hunted.tightest
