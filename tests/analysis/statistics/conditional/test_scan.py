"""The conditional hunt: null, power, what it refuses; long tests repeat the tables of docs/results.md."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from cut_tables import EDGES, bends, toy_table
from scipy import stats

from oddjet.analysis.statistics.bumphunt.joint import JointTable
from oddjet.analysis.statistics.bumphunt.settings import ScanSettings
from oddjet.analysis.statistics.conditional.scan import scan_conditionally
from oddjet.analysis.statistics.imprint import Imprint
from oddjet.datasets.disk.numbers import jsonable
from oddjet.errors import FitError


def test_a_bump_is_found_where_it_is() -> None:
    table = toy_table(share=0.02, cuts=(0.2, 0.1, 0.05), seed=2)
    result, same = (
        scan_conditionally(table, ScanSettings(n_toys=100, seed=1), workers=w) for w in (1, 2)
    )
    low, high = result.window
    assert 145 <= low < 172 < high <= 205
    assert result.global_p == 1 / 101
    assert result.best.observed > result.best.expected + 3 * result.best.expected_error
    labels = ["20 %", "10 %", "5 %", "20 % + 10 % + 5 %"]
    assert [channel.label for channel in result.channels] == labels
    assert result.not_tested == ("all jets",)
    assert any("all jets: not tested" in note for note in result.notes)
    assert json.dumps(jsonable(result.to_dict())) == json.dumps(jsonable(same.to_dict()))
    best = result.channels[0].table
    result = dataclasses.replace(result, channels=result.channels[:1])
    low, high = result.window
    known = best.local_p_fixed_background[best.best]
    jets = table.counts.sum(axis=0)[(EDGES[:-1] >= low) & (EDGES[1:] <= high)].sum()
    exact = stats.binom.sf(result.best.observed - 1, jets, result.best.expected / jets)
    assert known == pytest.approx(exact, rel=1e-6)


def test_a_loose_cut_and_a_signal_are_not_taken_for_each_other() -> None:
    table = toy_table(share=0.0, cuts=(0.9,), seed=4)
    result = scan_conditionally(table, ScanSettings(n_toys=40, seed=1, signal_width=12.0))
    best = result.best.table
    assert best.local_p_fixed_background.min() > 1e-4
    assert best.local_p_fixed_background.min() > 0.01 * best.local_p.min()


def test_a_signal_of_given_width_is_found() -> None:
    table = toy_table(share=0.02, cuts=(0.1,), seed=3)
    result = scan_conditionally(table, ScanSettings(n_toys=100, seed=1, signal_width=12.0))
    assert abs(0.5 * sum(result.window) - 172) < 12
    assert result.global_p == 1 / 101
    core = result.best.table
    fraction = np.diff(stats.norm.cdf((core.low[core.best], core.high[core.best]), 172, 12))[0]
    assert result.best.excess / fraction == pytest.approx(0.55 * 150, abs=35)


def test_a_spectrum_of_any_shape_makes_no_bump() -> None:
    """A peak of all jets, as the W's: the same share passes, and nothing is found."""
    p = []
    for seed in range(6):
        table = toy_table(20_000, seed=seed)
        rng = np.random.default_rng(seed)
        peak = np.round(8000 * np.diff(stats.norm.cdf(EDGES, 82, 8))).astype(int)
        passing = rng.binomial(peak, 0.1)
        counts = table.counts.copy()
        cut = table.members[1]
        counts[cut] += passing
        counts[~cut] += peak - passing
        result = scan_conditionally(
            dataclasses.replace(table, counts=counts), ScanSettings(n_toys=60, seed=seed)
        )
        p.append(result.global_p)
    assert min(p) > 0.02
    assert stats.kstest(np.array(p) - 0.5 / 61, "uniform").pvalue > 0.01


def test_thirty_jets_are_enough_to_say_that_nothing_is_there() -> None:
    p = []
    for seed in range(25):
        table = toy_table(30, seed=seed, cuts=(0.2, 0.1))
        result = scan_conditionally(table, ScanSettings(n_toys=40, seed=seed))
        assert result.n_toy_windows_without_fit == 0
        p.append(result.global_p)
    assert np.mean(np.array(p) <= 0.05) <= 0.15
    assert np.mean(p) > 0.35


def imprint_of(table: JointTable, changes: np.ndarray) -> Imprint:  # type: ignore[type-arg]
    everything = np.concatenate([np.zeros((len(changes), 1, EDGES.size - 1)), changes], axis=1)
    return Imprint(table.labels, EDGES, everything, np.full(len(table.labels), 7500.0))


def test_what_a_map_makes_is_no_excess_where_its_replicas_say_so() -> None:
    """A map that passes 40 % more at 172 GeV by chance: with its imprint nothing, without a discovery."""
    bump = np.exp(-0.5 * ((EDGES[:-1] - 170) / 12) ** 2)
    table = toy_table(
        60_000, seed=5, survivals=bends(lambda m: 1 + 0.4 * np.exp(-0.5 * ((m - 172) / 12) ** 2))
    )
    changes = 0.4 * np.random.default_rng(1).normal(size=(60, 1, 1)) * bump
    settings = ScanSettings(n_toys=200, seed=1)
    alone = scan_conditionally(table, settings)
    with_map = scan_conditionally(
        dataclasses.replace(table, imprint=imprint_of(table, changes)), settings
    )
    assert alone.global_p < 0.01
    assert with_map.global_p > 0.1
    assert with_map.best.expected_error > alone.best.expected_error


def test_windows_that_were_written_down_are_all_that_is_tested() -> None:
    table = toy_table(share=0.02, cuts=(0.2, 0.1), seed=4)
    settings = ScanSettings(n_toys=30, windows=((160.0, 185.0), (80.0, 100.0)))
    result = scan_conditionally(table, settings)
    assert result.n_windows == 6
    one = scan_conditionally(table, settings, tested=("10 %",))
    assert [channel.label for channel in one.channels] == ["10 %"]
    assert result.window == (160.0, 185.0)
    whole = scan_conditionally(table, ScanSettings(n_toys=1)).channels[1].table
    place = np.flatnonzero((whole.low == 160) & (whole.high == 185))[0]
    # A fit may begin elsewhere, and ends at the same.
    assert result.channels[1].table.local_p.min() == pytest.approx(whole.local_p[place], rel=0.02)


def test_a_map_of_unknown_error_is_refused_in_more_jets_than_calibrated_it() -> None:
    table = toy_table(2000)
    none = np.zeros((1, 2, 40))
    for n_calibration, refused in ((1000.0, True), (4000.0, False)):
        jets = np.array([np.inf, n_calibration])
        imprint = Imprint(table.labels, EDGES, none, jets, unknown=("10 %",))
        known = dataclasses.replace(table, imprint=imprint)
        if refused:
            with pytest.raises(FitError, match="calibrated on 1,000"):
                scan_conditionally(known, ScanSettings(n_toys=5))
        else:
            assert scan_conditionally(known, ScanSettings(n_toys=5)).n_toys == 5


def test_what_cannot_be_compared_is_refused() -> None:
    table = toy_table(500, cuts=(0.1, 1e-9))
    result = scan_conditionally(table, ScanSettings(n_toys=5))
    assert result.not_tested == ("all jets", "1e-07 %")
    with pytest.raises(FitError, match="no cut that some of the 500 jets pass"):
        scan_conditionally(table.select([0]), ScanSettings(n_toys=5))
    apart = JointTable(("a", "b"), EDGES, np.eye(2) > 0, np.ones((2, 40)))
    with pytest.raises(FitError, match="expected a spectrum of all jets"):
        scan_conditionally(apart, ScanSettings(n_toys=5))
