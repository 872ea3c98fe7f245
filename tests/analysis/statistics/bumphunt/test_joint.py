"""Spectra that share jets, and scans that fit again."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats

from oddjet.analysis.statistics.background.fit import fit_sidebands
from oddjet.analysis.statistics.background.many import BatchModel
from oddjet.analysis.statistics.bumphunt.joint import JointTable, tilted_fit
from oddjet.analysis.statistics.bumphunt.pvalues import on_off_p
from oddjet.analysis.statistics.bumphunt.scan import scan_jointly, scan_signals
from oddjet.analysis.statistics.bumphunt.settings import ScanSettings
from oddjet.analysis.statistics.bumphunt.statistic import FittedBeside, GivenBackground
from oddjet.analysis.statistics.bumphunt.windows import make_windows
from oddjet.analysis.statistics.spectrum import Spectrum
from oddjet.datasets.disk.numbers import jsonable
from oddjet.errors import ConfigError, FitError
from oddjet.typing import Floats

EDGES = np.linspace(40.0, 240.0, 41)
CENTRES = 0.5 * (EDGES[:-1] + EDGES[1:])


def jets(n: int, seed: int, bump: int = 0) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Falling masses and three nested cuts that know nothing of them; a bump passes all."""
    rng = np.random.default_rng(seed)
    mass = 40 + rng.exponential(45, 3 * n)
    mass = mass[mass < 240][:n]
    survival = np.concatenate([rng.random(n), np.zeros(bump)])
    mass = np.concatenate([mass, rng.normal(120, 7, bump)])
    return mass, np.stack([survival < cut for cut in (2.0, 0.2, 0.05)], axis=1)


def joint_table(mass: Floats, passes: npt.NDArray[np.bool_], labels: Sequence[str]) -> JointTable:
    """The jets by mass bin and by which spectra they are in."""
    inside = np.searchsorted(EDGES, mass, side="right")[:, None] == np.arange(1, EDGES.size)
    jets = JointTable(tuple(labels), EDGES, passes.T, inside.astype(float))
    return jets.select(range(len(labels))).checked()


def table_of(n: int = 8000, seed: int = 1, bump: int = 0) -> JointTable:
    return joint_table(*jets(n, seed, bump), labels=("all", "20 %", "5 %"))


def test_patterns_add_up_to_the_spectra() -> None:
    mass, passes = jets(5000, 1)
    table = joint_table(mass, passes, labels=("all", "20 %", "5 %"))
    assert table.n_patterns == 3
    for i, spectrum in enumerate(table.spectra):
        np.testing.assert_array_equal(spectrum, np.histogram(mass[passes[:, i]], EDGES)[0])


def test_toys_have_the_means_and_the_correlations_of_shared_jets() -> None:
    table = table_of()
    expected = table.expected(BatchModel.make("exppoly2", EDGES, table.counts.sum(axis=0)))
    toys = table.draw(expected, 4000, np.random.default_rng(2))[:, :, :10].sum(axis=2)
    means = (table.members @ expected)[:, :10].sum(axis=1)
    np.testing.assert_allclose(toys.mean(axis=0), means, rtol=0.01)
    # Nested Poisson numbers: the covariance is the mean of the smaller one.
    wanted = np.minimum.outer(means, means)
    np.testing.assert_allclose(np.cov(toys.T), wanted, rtol=0.05, atol=60)


def test_sparse_patterns_keep_their_totals() -> None:
    mass, passes = jets(3000, 4)
    passes[:, 2] &= np.arange(len(mass)) % 3 == 0
    table = joint_table(mass, passes, labels=("a", "b", "c"))
    expected = table.expected(BatchModel.make("auto", EDGES, table.counts.sum(axis=0)))
    np.testing.assert_allclose(expected.sum(axis=1), table.counts.sum(axis=1), rtol=1e-3)
    assert np.all(expected > 0)


@pytest.mark.parametrize("function", ["auto", "exppoly2"])
def test_every_window_is_that_of_the_sideband_fit(function: str) -> None:
    table = table_of(bump=150)
    result = scan_jointly(table, ScanSettings(n_toys=3, seed=1, widths=(3, 5), function=function))
    for channel, spectrum in zip(result.channels, table.spectra, strict=True):
        rows = channel.table
        for row in (0, 40, 77):
            window = (float(rows.low[row]), float(rows.high[row]))
            fit = fit_sidebands((spectrum, EDGES), window=window, function=function)
            assert rows.function[row] == fit.name
            assert rows.expected[row] == pytest.approx(fit.predicted, rel=2e-3)
            if (
                function == "auto"
            ):  # others that are almost as good widen the error: see `test_many`
                assert rows.expected_error[row] > 0.98 * fit.predicted_error
            else:
                assert rows.expected_error[row] == pytest.approx(fit.predicted_error, rel=0.02)
            p = on_off_p(rows.observed[row], rows.expected[row], rows.expected_error[row] ** 2)
            assert rows.local_p[row] == pytest.approx(float(p), rel=1e-9)


def test_local_p_is_a_counting_experiment_where_one_exists() -> None:
    """Flat in all but the window: the fit of a constant is the mean of the bins beside it."""
    counts = np.full(40, 100.0)
    counts[18:22] = 130.0
    result = scan_jointly(
        JointTable.from_histogram((counts, EDGES)),
        ScanSettings(n_toys=2, seed=1, widths=(4, 4), function="exppoly2"),
    )
    n_on, n_off, tau = 520, 3600, 9.0
    exact = stats.binom.sf(n_on - 1, n_on + n_off, 1 / (1 + tau))
    assert result.window == (EDGES[18], EDGES[22])
    # The slope that is fitted too hardly matters in the middle.
    assert result.local_p == pytest.approx(exact, rel=0.1)


def test_a_masked_fit_keeps_the_bump_that_a_full_fit_swallows() -> None:
    truth = 400 * np.exp(-(CENTRES - 40) / 60)
    signal = 5 * np.sqrt(truth[14:20].sum()) * np.diff(stats.norm.cdf(EDGES, 125, 10))
    counts = np.rint(truth + signal)
    table = JointTable.from_histogram((counts, EDGES))
    rows = scan_jointly(
        table, ScanSettings(n_toys=1, seed=1, widths=(8, 8), function="exppoly5")
    ).best.table
    masked = float((rows.observed - rows.expected).max() / signal.sum())
    model = BatchModel.make("exppoly5", EDGES, counts)
    whole = model.expected(counts)[0]
    inside = signal > 0.01 * signal.max()
    swallowed = float((counts - whole)[inside].sum() / signal.sum())
    assert masked > 0.8
    assert swallowed < 0.5


def test_a_bump_is_found_in_the_spectrum_that_shows_it_best() -> None:
    result = scan_jointly(
        table_of(bump=150), ScanSettings(n_toys=50, seed=1, function="auto"), workers=2
    )
    assert result.best.label == "5 %"
    assert result.window[0] < 120 < result.window[1]
    assert result.global_p == 1 / 51
    assert result.global_p_is_bound
    best = result.best
    assert best.local_p_fixed_background < best.local_p < 1e-6
    assert best.local_p_toys == 1 / 51
    content = json.loads(json.dumps(jsonable(result.to_dict()), allow_nan=False))
    assert {"local_p", "global_p", "window"} <= set(content)
    assert len(content["spectra"]) == 3


def test_the_global_p_counts_toys_over_all_spectra_and_threads_do_not_matter() -> None:
    table = table_of(seed=6)
    result, same = (
        scan_jointly(
            table, ScanSettings(n_toys=60, seed=3, function="auto", widths=(3, 5)), workers=w
        )
        for w in (1, 2)
    )
    toys, others = (np.stack([c.toy_min_p for c in r.channels]) for r in (result, same))
    assert np.array_equal(toys, others)
    # By hand: the place of each among the 61 of its spectrum, and the smallest place over spectra.
    seen = np.array([[channel.local_p] for channel in result.channels])
    every = np.concatenate([seen, toys], axis=1)
    places = (every[:, None, :] <= every[:, :, None]).sum(axis=2)
    smallest = places.min(axis=0)
    assert result.best is result.channels[int(places[:, 0].argmin())]
    # The first ten places are spread out, and so in another order between spectra.
    fewer = np.sum(smallest[1:] < smallest[0]) if smallest[0] > 10 else 0
    assert fewer <= result.n_exceeding <= max(10 * len(places), np.sum(smallest[1:] <= smallest[0]))
    assert result.global_p == (result.n_exceeding + 1) / 61
    # Looking at more places can only make the same excess less surprising.
    assert result.global_p >= result.best.spectrum_p


UNEQUAL = np.concatenate([np.arange(50.0, 130.0, 5.0), np.arange(130.0, 251.0, 20.0)])


def smooth_spectrum(n: float, tilt: float = 0.0) -> Floats:
    """Integrals of an exponential polynomial over bins of 5 GeV, then of 20 GeV; n in all without tilt."""
    x = np.linspace(-1, 1, 20_001)[:-1] + 5e-5
    density = np.exp(-4.2 * x - 0.3 * x**2)
    running = np.concatenate([[0], np.cumsum(density * np.exp(tilt * x))])
    places = np.linspace(50, 250, 20_001)
    return np.asarray(np.diff(np.interp(UNEQUAL, places, n * running / density.sum())))


def test_wide_bins_make_no_bump() -> None:
    counts = np.rint(smooth_spectrum(1e7))
    settings = ScanSettings(n_toys=50, seed=1)
    result = scan_jointly(JointTable.from_histogram((counts, UNEQUAL)), settings)
    table = result.best.table
    row = np.flatnonzero((table.low == 130) & (table.high == 170))[0]
    fit = fit_sidebands((counts, UNEQUAL), window=(130, 170), function=settings.function)
    assert table.expected[row] == pytest.approx(fit.predicted, rel=1e-5)
    assert table.expected[row] == pytest.approx(counts[16:18].sum(), rel=1e-3)
    assert result.global_p > 0.5
    assert np.nanmin(table.local_p) > 0.1
    assert result.flags == ()
    signal = scan_signals(
        JointTable.from_histogram((counts, UNEQUAL)),
        ScanSettings(n_toys=20, seed=1, signal_width=10, function="exppoly4"),
    )
    assert np.nanmin(signal.best.table.local_p) > 0.1


def test_background_alone_in_unequal_bins_gives_any_global_p() -> None:
    """The short form of `test_statistic.test_many_events_in_unequal_bins`."""
    truth = smooth_spectrum(3e6)
    p = []
    for seed in range(12):
        counts = np.random.default_rng([4, seed]).poisson(truth).astype(float)
        table = JointTable.from_histogram((counts, UNEQUAL))
        p.append(scan_jointly(table, ScanSettings(n_toys=39, seed=seed)).global_p)
    # Densities at bin centres gave p < 0.05 in three of four.
    assert np.count_nonzero(np.array(p) < 0.05) <= 3
    assert stats.kstest(np.array(p) - 0.5 / 40, "uniform").pvalue > 0.001


def test_patterns_in_wide_bins_follow_a_cut_that_knows_the_mass() -> None:
    """A part of the jets with a tilt: its expectation is an integral as well."""
    truth, part = smooth_spectrum(1e7), 0.3 * smooth_spectrum(1e7, tilt=-1.0)
    counts = np.stack([part, truth - part])
    table = JointTable(("all", "cut"), UNEQUAL, np.array([[True, True], [True, False]]), counts)
    expected = table.expected(BatchModel.make("exppoly6", UNEQUAL, truth))
    np.testing.assert_allclose(expected[0], part, rtol=3e-4)


def test_ends_of_the_range_are_said_not_to_be_scanned() -> None:
    counts = np.random.default_rng(3).poisson(1200 * np.exp(-(EDGES[:-1] - 40) / 40)).astype(float)
    counts[-2:] += 60
    table = JointTable.from_histogram((counts, EDGES))
    result = scan_jointly(table, ScanSettings(n_toys=100, seed=1, function="exppoly3"))
    assert result.unscanned == ((40.0, 45.0), (235.0, 240.0))
    (note,) = result.notes
    assert (
        "not scanned: 40–45, 235–240 GeV; a fit beside a window needs a bin on either side" in note
    )
    # The excess in the last two bins bends the fits, which is seen.
    assert any("poor fit" in flag for flag in result.flags)
    assert result.to_dict()["unscanned"] == [[40.0, 45.0], [235.0, 240.0]]
    signals = scan_signals(table, ScanSettings(n_toys=5, signal_width=15, function="exppoly3"))
    assert "less than its width from an end" in signals.notes[0]


def test_few_events_are_flagged() -> None:
    counts = np.random.default_rng(2).poisson(3.5 * np.exp(-(EDGES[:-1] - 40) / 35)).astype(float)
    result = scan_jointly(
        JointTable.from_histogram((counts, EDGES)), ScanSettings(n_toys=300, seed=1)
    )
    assert result.local_p < 1e-10
    assert result.global_p > 0.05
    assert any("is too small" in flag for flag in result.flags)


def test_goodness_of_fit_is_uniform_where_events_are_many() -> None:
    rng = np.random.default_rng(7)
    truth = 3000 * np.exp(-(CENTRES - 40) / 45)
    p, toys, flags = [], [], 0
    for seed in range(24):
        table = JointTable.from_histogram((rng.poisson(truth).astype(float), EDGES))
        settings = ScanSettings(n_toys=100, seed=seed, function="exppoly3", widths=(3, 4))
        best = scan_jointly(table, settings).best
        p.append(best.table.goodness_of_fit_p[20])
        toys.append(best.table.goodness_of_fit_p_toys[20])
        flags += len(best.flags)
    assert stats.kstest(p, "uniform").pvalue > 0.01
    np.testing.assert_allclose(toys, p, atol=0.2)
    assert flags <= 2


def test_signals_are_found_with_their_yield() -> None:
    table = table_of(20_000, bump=300)
    result = scan_signals(
        table,
        ScanSettings(signal_width=7.0, n_toys=50, seed=1, function="auto"),
        masses=np.arange(60, 220, 5),
    )
    assert abs(0.5 * sum(result.window) - 120) <= 5
    assert result.best.local_p < 1e-5
    assert result.global_p == 1 / 51
    assert result.best.excess == pytest.approx(300 * 0.75, abs=60)


def test_masses_are_the_bin_edges_within_a_width_of_the_ends() -> None:
    table = table_of(bump=200)
    settings = ScanSettings(signal_width=7.0, n_toys=20, seed=1, function="exppoly3")
    default = scan_signals(table, settings)
    given = scan_signals(table, settings, masses=np.arange(50.0, 231.0, 5.0))
    assert json.dumps(default.to_dict()) == json.dumps(given.to_dict())
    with pytest.raises(ConfigError, match="masses and a width"):
        scan_signals(table, ScanSettings(n_toys=20))


def test_bad_input_is_refused() -> None:
    mass, passes = jets(500, 1)
    labels = ("all", "20 %", "5 %")
    with pytest.raises(FitError, match="no events of '5 %' between"):
        joint_table(mass, passes & [True, True, False], labels)
    with pytest.raises(FitError, match="variance"):
        JointTable.from_histogram(Spectrum(EDGES, np.full(40, 5.0), np.full(40, 9.0)))
    table = table_of(1000)
    with pytest.raises(FitError, match="no window fits"):
        scan_jointly(table, ScanSettings(n_toys=5, seed=1, widths=(39, 40), function="auto"))
    with pytest.raises(ConfigError, match="cannot be used in a scan that is refitted"):
        scan_jointly(table, ScanSettings(n_toys=5, seed=1, function="bernstein4"))
    few = JointTable.from_histogram((np.bincount([3, 3, 3], minlength=40).astype(float), EDGES))
    with pytest.raises(FitError, match="can be fitted"):
        scan_jointly(few, ScanSettings(n_toys=5, seed=1, function="auto"))


def test_the_same_toys_without_refit_are_another_distribution() -> None:
    """What the long null tests show in full: a fit leaves more extreme windows than the truth does."""
    counts = np.random.default_rng(5).poisson(3000 * np.exp(-CENTRES / 45)).astype(float)
    table = JointTable.from_histogram((counts, EDGES))
    model = BatchModel.make("auto", EDGES, counts)
    expected = table.expected(model)
    toys = table.draw(expected, 200, np.random.default_rng(1))
    windows = make_windows(EDGES, (2, 8), sidebands=True)
    beside = FittedBeside(model, windows, model.start(counts)[None])
    refitted = np.nanmin(beside.test(toys).local_p, axis=2)[:, 0]
    given = GivenBackground.make(windows, expected[0], np.zeros(40), counts)
    fixed = given.test(toys).local_p.min(axis=2)[:, 0]
    assert stats.ks_2samp(refitted, fixed).pvalue < 1e-3
    assert np.median(refitted) < np.median(fixed)


@pytest.mark.parametrize(("n", "most"), [(3, 0.12), (10, 0.1), (30, 0.1), (75, 0.1), (750, 0.1)])
def test_a_needless_tilt_is_taken_as_often_as_it_says(n: int, most: float) -> None:
    """In 8, 5, 5, 6, 6 % of 1,500; the F-test takes one in 31, 14, 7, 6, 5 %: empty bins tell it a dispersion."""
    truth = 3000 * np.exp(-CENTRES / 45)
    model = BatchModel.make("exppoly2", EDGES, truth)
    shape = model.at_nodes(truth)[0]
    bins = model.nodes.sums(shape)
    rng = np.random.default_rng(n)
    tilted, n_toys = 0, 250
    for _ in range(n_toys):
        counts = rng.multinomial(n, bins / bins.sum()).astype(float)
        expected = tilted_fit(counts, shape, model.nodes)
        tilted += not np.allclose(expected, bins * n / bins.sum(), rtol=1e-9)
    assert 0.015 * n_toys < tilted < most * n_toys
