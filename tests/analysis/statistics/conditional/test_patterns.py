"""What pseudo-experiments of the conditional hunt are drawn from."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from cut_tables import EDGES, bends, peaked_table, toy_table
from scipy import special
from sklearn.linear_model import LogisticRegression

from oddjet.analysis.statistics.bumphunt.settings import ScanSettings
from oddjet.analysis.statistics.conditional.model import LOOSE, polynomials
from oddjet.analysis.statistics.conditional.patterns import Patterns, shares_of
from oddjet.analysis.statistics.conditional.scan import scan_conditionally
from oddjet.analysis.statistics.imprint import Imprint


def test_shares_are_those_of_a_multinomial_regression() -> None:
    table = toy_table(
        30_000, cuts=(0.5, 0.2, 0.05), survivals=bends(lambda m: 1 + 0.5 * (m - 140) / 100)
    )
    totals = table.counts.sum(axis=0)
    design = polynomials(EDGES, totals, 2)
    shares = shares_of(table.counts, design)
    np.testing.assert_allclose(shares.sum(axis=0), 1)
    np.testing.assert_allclose((totals * shares).sum(axis=1), table.counts.sum(axis=1), rtol=1e-5)
    patterns, bins = np.nonzero(table.counts)
    other = LogisticRegression(C=LOOSE**2, tol=1e-9, max_iter=2000).fit(
        design[bins, 1:], patterns, sample_weight=table.counts[patterns, bins]
    )
    np.testing.assert_allclose(shares.T, other.predict_proba(design[:, 1:]), rtol=2e-3)


def test_toys_keep_the_jets_of_each_bin_and_redraw_what_they_pass() -> None:
    table = toy_table(5000, cuts=(0.2, 0.05))
    totals = table.counts.sum(axis=0)
    drawn = Patterns.make(table, 2).draw(2000, np.random.default_rng(1))
    toys = np.einsum("sp,npb->nsb", table.members.astype(float), drawn)
    # The first spectrum is that of all jets.
    np.testing.assert_array_equal(toys[:, 0], np.tile(totals, (2000, 1)))
    share = toys[:, 1:].sum(axis=(0, 2)) / totals.sum() / 2000
    np.testing.assert_allclose(share, table.spectra[1:].sum(axis=1) / totals.sum(), rtol=0.01)
    passing = toys[:, 1, :8]
    wanted = totals[:8] * share[0] * (1 - share[0])
    np.testing.assert_allclose(passing.var(axis=0), wanted, rtol=0.15)
    # The tighter cut is a part of the looser one.
    assert np.all(toys[:, 2] <= toys[:, 1])


def test_replicas_of_a_map_change_what_cuts_pass_and_nothing_else() -> None:
    table = toy_table(5000, cuts=(0.2, 0.05))
    totals = table.counts.sum(axis=0)
    changes = 0.1 * np.random.default_rng(2).normal(size=(6, 3, 1)) * np.sin(EDGES[:-1] / 20)
    changes[:, 0] = 0.0
    imprint = Imprint(table.labels, EDGES, changes, np.full(3, 1e4))
    alone = Patterns.make(table, 1)
    patterns = Patterns.make(dataclasses.replace(table, imprint=imprint), 1)
    cuts, changes = table.members[1:].astype(float), changes[:, 1:]
    shares = alone.shares[0].T
    np.testing.assert_allclose(patterns.shares.sum(axis=1), 1)
    passing = np.einsum("sp,rpb->rsb", cuts, patterns.shares)
    np.testing.assert_allclose(
        passing, np.einsum("sp,bp->sb", cuts, shares) * (1 + changes), rtol=1e-6
    )
    drawn = patterns.draw(3000, np.random.default_rng(3))
    toys = np.einsum("sp,npb->nsb", cuts, drawn) / totals
    spread = toys.var(axis=0) - (shares @ cuts.T * (1 - shares @ cuts.T)).T / totals
    rich = totals > 150
    wanted = (np.einsum("sp,bp->sb", cuts, shares) * changes.std(axis=0)) ** 2
    np.testing.assert_allclose(spread[:, rich].sum(axis=1), wanted[:, rich].sum(axis=1), rtol=0.25)


def test_a_pattern_of_a_single_jet_is_no_trouble() -> None:
    table = toy_table(40, cuts=(0.2, 0.02))
    totals = table.counts.sum(axis=0)
    shares = shares_of(table.counts, polynomials(EDGES, totals, 4))
    assert np.isfinite(shares).all()
    assert np.abs(special.logit(shares)).max() < 20


def test_peaks_are_drawn_as_they_are_fitted_and_totals_stay() -> None:
    table = peaked_table(20_000, 3, share=0.1, expected=0.8, regions=2)
    patterns = Patterns.make(table, 2, np.random.default_rng(1))
    toys = patterns.draw(400, np.random.default_rng(2))
    for region in range(2):
        own = table.in_region == region
        np.testing.assert_array_equal(
            toys[:, own].sum(axis=1), np.tile(table.counts[own].sum(axis=0), (400, 1))
        )
    # On the peak more jets pass than beside it, in toys as in the data.
    tight = table.members[3].astype(float)
    near = slice(6, 12)
    seen = tight @ table.counts[:, near].sum(axis=1)
    drawn = toys[:, :, near].sum(axis=2) @ tight
    assert drawn.mean() == pytest.approx(seen, abs=3 * np.sqrt(seen))
    without = Patterns.make(dataclasses.replace(table, peaks=()), 2)
    smooth = tight @ (without.shares[0] * without.totals[table.in_region])
    assert smooth[near].sum() < seen
    # The norm and the shift are known no better than they are fitted.
    assert patterns.shares[:, :, near].std(axis=0).max() > 1e-3


def test_a_bin_of_pt_without_jets_has_none_in_toys() -> None:
    table = toy_table(3000, cuts=(0.2, 0.05))
    apart = dataclasses.replace(
        table, regions=("low", "high"), region_of=np.zeros(table.n_patterns, np.int64)
    )
    settings = ScanSettings(n_toys=20, seed=1, widths=(4, 4))
    scanned, alone = (scan_conditionally(one, settings) for one in (apart, table))
    assert scanned.local_p == pytest.approx(alone.local_p, rel=0.2)
    assert scanned.n_toys >= 20
