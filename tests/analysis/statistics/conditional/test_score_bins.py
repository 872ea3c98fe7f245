"""Score bins and pt bins in one test: against single fits, the plain tests of one cut, and what was put in."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from cut_tables import EDGES, peaked_table, shoulder_masses, top_masses, toy_table
from scipy import stats

from oddjet.analysis.statistics.background.signal import gaussian_fractions
from oddjet.analysis.statistics.bumphunt.joint import JointTable
from oddjet.analysis.statistics.bumphunt.settings import ScanSettings
from oddjet.analysis.statistics.bumphunt.windows import Windows, make_windows
from oddjet.analysis.statistics.channels.fitting import fit
from oddjet.analysis.statistics.components import Component
from oddjet.analysis.statistics.conditional.cuts import Cuts
from oddjet.analysis.statistics.conditional.scan import scan_conditionally
from oddjet.analysis.statistics.conditional.score_bins import (
    ScoreBins,
    ScoreBinsBeside,
    ScoreBinsSignal,
    ladders_of,
)
from oddjet.analysis.statistics.imprint import Imprint
from oddjet.errors import FitError
from oddjet.typing import Floats

WINDOWS = Windows(EDGES, np.array([22, 6]), np.array([32, 12]))
"""150–200 and 70–100 GeV."""
SHAPES = np.stack([gaussian_fractions(EDGES, mass=mass, width=12.0) for mass in (172.0, 85.0)])


def test_one_cut_is_tested_as_by_the_plain_fits() -> None:
    table = toy_table(share=0.02, seed=3)
    changes = 0.2 * np.random.default_rng(1).normal(size=(60, 2, 1)) * np.sin(EDGES[:-1] / 15)
    changes[:, 0] = 0
    imprint = Imprint(table.labels, EDGES, changes, np.full(2, 7500.0))
    for known in (table, dataclasses.replace(table, imprint=imprint)):
        bins = ScoreBins.make(known, [1], (2, 4))
        for shapes in (None, SHAPES):
            plain = Cuts.make(known, np.array([1]), (2, 4), WINDOWS, shapes)
            test = (
                ScoreBinsBeside(bins, WINDOWS)
                if shapes is None
                else ScoreBinsSignal.rising(bins, WINDOWS, shapes)
            )
            one, other = (t.test(known.counts[None]) for t in (plain, test))
            np.testing.assert_array_equal(one.observed, other.observed)
            np.testing.assert_array_equal(one.chosen, other.chosen)
            np.testing.assert_allclose(other.expected, one.expected, rtol=0.01, atol=0.3)
            np.testing.assert_allclose(other.error, one.error, rtol=0.05)
            np.testing.assert_allclose(
                stats.norm.isf(other.local_p), stats.norm.isf(one.local_p), atol=0.05
            )


def test_windows_are_those_of_fits_with_the_window_left_out() -> None:
    table = peaked_table(20_000, 2, share=0.1, regions=2)
    bins = ScoreBins.make(table, [1, 2, 3], (2, 2))
    test = ScoreBinsBeside(bins, WINDOWS)
    inside, expected, variance, deviance, _ = test._fits(table.counts[None])
    free = dataclasses.replace(bins.model, precision=np.where(bins.model.precision == 0.5, 0, 1))
    for w, (first, stop) in enumerate(((22, 32), (6, 12))):
        single = fit(free, window=(first, stop))
        smooth, added = free.ratios(single.values), free.added(single.values)
        left = np.maximum(free.table.totals - added.sum(axis=1), 0.0)
        given = (smooth / smooth.sum(axis=1, keepdims=True) * left[:, None] + added)[
            :, :, first:stop
        ]
        np.testing.assert_allclose(expected[0, w], given.sum(axis=(0, 2)), rtol=0.01)
        assert deviance[0, w] == pytest.approx(single.deviance, abs=0.2)
        np.testing.assert_allclose(expected[0, w].sum(), inside[0, w].sum(), rtol=1e-9)
    # In a window on the peak the norm is known from its sides alone.
    relative = np.sqrt(variance[0, :, 3]) / expected[0, :, 3]
    assert np.all(np.isfinite(relative))
    assert np.all(variance[0, :, 1:] > 0)


def test_a_known_peak_is_no_excess_and_what_exceeds_it_is() -> None:
    table = peaked_table(15_000, 4, share=0.1, expected=1.1)
    bins = ScoreBins.make(table, [1, 2, 3], (2, 4))
    alone = ScoreBins.make(dataclasses.replace(table, peaks=()), [1, 2, 3], (2, 4))
    known, without = (
        ScoreBinsBeside(own, WINDOWS).test(table.counts[None]).local_p[0, 0]
        for own in (bins, alone)
    )
    assert known.min() > 0.01
    assert without[1] < 1e-4
    more = dataclasses.replace(
        table,
        peaks=(
            dataclasses.replace(
                table.peaks[0], contents=0.3 * table.peaks[0].contents, constraint=0.01, shifts={}
            ),
        ),
    )
    less = ScoreBins.make(more, [1, 2, 3], (2, 4))
    assert ScoreBinsBeside(less, WINDOWS).test(table.counts[None]).local_p[0, 0, 1] < 0.01


def template(cuts: Sequence[float] = (0.2, 0.1, 0.05), **how: Any) -> Component:
    """The signal of `toy_table` by pattern, 10 jets."""
    many = toy_table(1, 200_000.0, 5, cuts, **how).counts
    return Component("signal", 10 * many / many.sum(), is_signal=True)


def test_more_is_seen_in_score_bins_than_after_one_cut() -> None:
    """Medians of a signal of 2 %: windows, shapes, and shapes with the fractions known; no signal in less of all."""
    z: dict[str, list[float]] = {"cut": [], "window": [], "shape": [], "template": []}
    for seed in range(12):
        table = toy_table(share=0.02, seed=seed, cuts=(0.2, 0.1, 0.05))
        several, one = (ScoreBins.make(table, places, (2, 2)) for places in ([1, 2, 3], [2]))
        tests: dict[str, Any] = {
            "cut": ScoreBinsBeside(one, WINDOWS),
            "window": ScoreBinsBeside(several, WINDOWS),
            "shape": ScoreBinsSignal.rising(several, WINDOWS, SHAPES),
            "template": ScoreBinsSignal.of_components(several, WINDOWS, [template()] * 2),
        }
        for name, test in tests.items():
            z[name].append(float(stats.norm.isf(test.test(table.counts[None]).local_p[0, 0, 0])))
    medians = {name: float(np.median(values)) for name, values in z.items()}
    assert medians["window"] > medians["cut"] + 0.3
    assert medians["shape"] > medians["window"] + 0.3
    assert medians["template"] > medians["shape"] - 0.1


def test_pt_bins_are_fitted_together() -> None:
    """Two pt bins whose shares differ by a factor two are no bump, and a signal in both is found."""
    results = []
    for signal in (0.0, 0.03):
        table = peaked_table(10_000, 7, share=0.0, regions=2, signal=signal)
        result = scan_conditionally(table, ScanSettings(n_toys=40, widths=(4, 8)))
        assert result.background == "pass against fail beside each window"
        results.append(result)
    assert results[0].global_p > 0.05
    assert results[1].global_p == 1 / 41
    low, high = results[1].window
    assert low < 172 < high


def test_a_hundred_jets_with_a_peak_are_fitted_beside_every_window() -> None:
    """Bins without a jet, in which peaks are expected to have some."""
    for seed in range(3):
        table = peaked_table(100, seed, share=0.2, expected=2.0)
        result = scan_conditionally(table, ScanSettings(n_toys=3, seed=seed))
        assert result.n_toy_windows_without_fit == 0
        for channel in result.channels:
            assert channel.table.n_failed == 0
            assert np.all(channel.table.expected >= 0)
    # However large the peak is beside the window, the jets in it are given.
    few = peaked_table(60, 2, share=0.1)
    bins = ScoreBins.make(few, [1, 2, 3], (2, 4))
    test = ScoreBinsBeside(bins, make_windows(EDGES, (2, 8), sidebands=True))
    inside, expected, *_ = test._fits(few.counts[None])
    np.testing.assert_allclose(expected.sum(axis=2), inside.sum(axis=2), atol=1e-9)


def test_a_signal_of_known_fractions_is_scanned() -> None:
    table = toy_table(share=0.02, seed=6, cuts=(0.2, 0.1, 0.05))
    result = scan_conditionally(table, ScanSettings(n_toys=30), signals=[template()])
    assert result.global_p == 1 / 31
    assert result.background == "signal in pass against fail"
    assert result.n_windows == 4


def test_ladders_are_cuts_inside_each_other() -> None:
    table = toy_table(2000, cuts=(0.05, 0.2, 0.1))
    assert ladders_of(table, np.array([1, 2, 3])) == [[2, 3, 1]]
    apart = np.array([[1, 1, 1, 1], [1, 1, 0, 0], [0, 1, 1, 0]], np.bool_)
    other = JointTable(("all", "a", "b"), EDGES, apart, np.ones((4, 40)))
    assert ladders_of(other, np.array([1, 2])) == [[1], [2]]
    with pytest.raises(FitError, match="one is inside the other, received a, b"):
        ScoreBins.make(other, [1, 2], (2, 2))


def global_p(n: int, **how: Any) -> Floats:
    """Global p of experiments without signal, 99 toys each."""
    tables = (peaked_table(seed=seed, **how) for seed in range(n))
    return np.array(
        [
            scan_conditionally(t, ScanSettings(n_toys=99, seed=s)).global_p
            for s, t in enumerate(tables)
        ]
    )


@pytest.mark.long
@pytest.mark.parametrize("how", [{}, {"regions": 2, "constraint": 0.2}], ids=["one", "two pt bins"])
def test_global_p_is_uniform_with_a_peak(how: dict[str, Any]) -> None:
    """A peak that holds a quarter of the jets in its bins, its norm and mass fitted."""
    p = global_p(60, **how)
    assert stats.kstest(p - 0.005, "uniform").pvalue > 0.01
    assert stats.binomtest(int(np.sum(p <= 0.05)), 60, 0.05).pvalue > 0.01


@pytest.mark.long
@pytest.mark.parametrize("cuts", [(0.1,), (0.2, 0.1, 0.05), (0.2, 0.1, 0.05, 0.02)], ids=len)
@pytest.mark.parametrize("name", ["gamma", "shoulder"])
def test_table_of_significances(name: str, cuts: tuple[float, ...]) -> None:
    """Medians of 2 % of signal in a window, with its shape, and with its fractions; and the null of the local p."""
    how: dict[str, Any] = {}
    if name == "shoulder":
        how = {"masses": shoulder_masses, "signal": top_masses}
    one = Windows(EDGES, np.array([22]), np.array([32]))
    p: dict[float, list[list[float]]] = {0.0: [], 0.02: []}
    for share, rows in p.items():
        for seed in range(100 if share else 200):
            table = toy_table(7500, share, seed, cuts, **how)
            bins = ScoreBins.make(table, range(1, len(cuts) + 1), (2, 4))
            tests = [
                ScoreBinsBeside(bins, one),
                ScoreBinsSignal.rising(bins, one, SHAPES[:1]),
                ScoreBinsSignal.of_components(bins, one, [template(cuts, **how)]),
            ]
            rows.append([test.test(table.counts[None]).local_p.item() for test in tests])
    nothing, signal = (np.array(rows) for rows in p.values())
    medians = np.median(stats.norm.isf(signal), axis=0)
    rare = (nothing <= 0.05).mean(axis=0)
    print(f"{name}, {cuts}: medians {medians.round(2)}, p ≤ 0.05 without signal {rare}")  # noqa: T201
    assert medians[0] > (3.0 if name == "shoulder" else 4.5)
    assert np.all(rare < 0.11)
