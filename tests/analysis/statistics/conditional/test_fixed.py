"""A window or a signal that is chosen beforehand: against scans, closed forms and what was put in."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from cut_tables import EDGES, toy_table
from scipy import stats

from oddjet.analysis.statistics.background.signal import gaussian_fractions
from oddjet.analysis.statistics.bumphunt.settings import ScanSettings
from oddjet.analysis.statistics.conditional.fixed import PassFail
from oddjet.analysis.statistics.conditional.scan import scan_conditionally
from oddjet.errors import FitError

SHAPE = gaussian_fractions(EDGES, mass=172.0, width=12.0)


def test_a_window_is_what_a_scan_says_of_it() -> None:
    table = toy_table(share=0.02, seed=1)
    scanned = scan_conditionally(table, ScanSettings(n_toys=40, seed=1, widths=(8, 10))).channels[0]
    place = int(np.flatnonzero((scanned.table.low == 150) & (scanned.table.high == 200))[0])
    window = PassFail.of(table, 1, (2, 4)).window(150.0, 200.0)
    assert window.observed == scanned.table.observed[place]
    assert window.expected == pytest.approx(scanned.table.expected[place], rel=1e-3)
    assert window.local_p == pytest.approx(scanned.table.local_p[place], rel=0.01)
    # An edge inside a bin takes all of it.
    assert PassFail.of(table, 1, (2, 4)).window(151.0, 199.0) == window


def test_the_signal_that_was_put_in_is_found_and_none_without() -> None:
    fitted, without = [], []
    for seed in range(12):
        cut = PassFail.of(toy_table(share=0.02, seed=seed), 1, (2, 4))
        fitted.append(cut.signal(0.55 * SHAPE, 0.45 * SHAPE))
        empty = PassFail.of(toy_table(seed=100 + seed), 1, (2, 4))
        without.append(empty.signal(0.55 * SHAPE, 0.45 * SHAPE).significance)
    pulls = [(signal.total - 150) / signal.error for signal in fitted]
    assert abs(np.mean(pulls)) < 3 / np.sqrt(12)
    assert np.median([signal.significance for signal in fitted]) > 4.5
    assert np.max(without) < 3
    assert {signal.order for signal in fitted} <= {2, 3, 4}


def test_the_order_follows_the_jets_and_no_further_than_allowed() -> None:
    rng = np.random.default_rng(1)
    table = toy_table(seed=1)
    x = np.linspace(-1, 1, 40)
    totals = np.full(40, 4000.0)
    passing = rng.binomial(4000, 1 / (1 + np.exp(2 + 2 * x**3))).astype(float)
    counts = np.stack([totals - passing, passing])
    bent = dataclasses.replace(
        table, counts=counts, members=np.array([[True, True], [False, True]])
    )
    assert PassFail.of(bent, 1, (1, 4)).signal(SHAPE, SHAPE).order == 3
    assert PassFail.of(bent, 1, (1, 2)).signal(SHAPE, SHAPE).order == 2


def test_a_signal_of_which_all_jets_pass_is_a_counting_experiment_where_shares_are_known() -> None:
    """With many jets beside it, the share is known, and the window's number binomial."""
    totals = np.full(40, 20_000.0)
    passing = 0.02 * totals
    shape = np.zeros(40)
    shape[20] = 1.0
    passing[20] += 60
    table = dataclasses.replace(
        toy_table(seed=1),
        counts=np.stack([totals - passing, passing]),
        members=np.array([[True, True], [False, True]]),
    )
    signal = PassFail.of(table, 1, (0, 0)).signal(shape, 0 * shape)
    exact = stats.binom.sf(459, 20_000, 0.02)
    assert stats.norm.sf(signal.significance) == pytest.approx(exact, rel=0.25)
    # Of 20,000 jets those that are no signal pass as often as elsewhere.
    assert signal.total == pytest.approx(60 / (1 - 0.02), rel=0.02)


def test_cuts_that_compare_nothing_are_refused() -> None:
    table = toy_table(seed=1)
    with pytest.raises(FitError, match="some that pass and some that fail"):
        PassFail.of(table, 0, (2, 4))
    with pytest.raises(FitError, match="no jet of the signal passes"):
        PassFail.of(table, 1, (2, 4)).signal(0 * SHAPE, SHAPE)
