"""The scan with a given background, against pyBumpHunter, scipy's Poisson tail and plain loops."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats

from oddjet.analysis.statistics.bumphunt.pvalues import significance
from oddjet.analysis.statistics.bumphunt.result import BumpHunt, ChannelScan
from oddjet.analysis.statistics.bumphunt.scan import scan
from oddjet.analysis.statistics.bumphunt.settings import ScanSettings
from oddjet.analysis.statistics.bumphunt.windows import WindowTable
from oddjet.analysis.statistics.spectrum import Spectrum
from oddjet.datasets.disk.numbers import jsonable
from oddjet.errors import ConfigError, FitError
from oddjet.typing import Floats

EDGES = np.linspace(40, 240, 41)
BACKGROUND = 800.0 * np.exp(-np.arange(40) / 8.0) + 0.3


def settings_of(**given: Any) -> ScanSettings:
    """Settings with as many toys as are asked for, and no more."""
    return ScanSettings(max_toys=0, **given)


def toy(seed: int, bump: float = 0.0) -> Floats:
    """Counts drawn from the background, with an excess in bins 8 to 11."""
    truth = BACKGROUND.copy()
    truth[8:12] += bump
    return np.random.default_rng(seed).poisson(truth).astype(float)


def table_of(result: BumpHunt) -> WindowTable:
    return result.best.table


def smallest_p(counts: npt.NDArray[np.generic], background: Floats = BACKGROUND) -> float:
    """The smallest Poisson tail of the windows of two to four bins that hold more than expected."""
    windows = [slice(i, i + w) for w in range(2, 5) for i in range(len(counts) - w + 1)]
    observed = np.array([counts[window].sum() for window in windows])
    expected = np.array([background[window].sum() for window in windows])
    tails = stats.poisson.sf(observed - 1, expected)
    return float(np.where(observed > expected, tails, 1.0).min())


def test_local_p_is_the_poisson_tail_of_every_window() -> None:
    counts = toy(1, bump=40)
    table = table_of(
        scan((counts, EDGES), BACKGROUND, settings_of(n_toys=1, seed=1, widths=(2, 5)))
    )
    row = 0
    for width in range(2, 6):
        for first in range(40 - width + 1):
            seen = counts[first : first + width].sum()
            expected = BACKGROUND[first : first + width].sum()
            tail = stats.poisson.sf(seen - 1, expected) if seen > expected else 1.0
            assert table.local_p[row] == pytest.approx(tail, rel=1e-6)
            assert (table.low[row], table.high[row]) == (EDGES[first], EDGES[first + width])
            row += 1
    assert row == table.n_windows == 39 + 38 + 37 + 36


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_smallest_p_and_window_equal_pybumphunters(seed: int) -> None:
    from pyBumpHunter import BumpHunter1D  # noqa: PLC0415

    counts = toy(seed, bump=30)
    result = scan((counts, EDGES), BACKGROUND, settings_of(n_toys=20, seed=1, widths=(2, 6)))
    hunter = BumpHunter1D(width_min=2, width_max=6, npe=20, nworker=1, seed=4)
    with contextlib.redirect_stdout(io.StringIO()):
        hunter.bump_scan(counts.astype(int), BACKGROUND, is_hist=True)
    first, width = int(hunter.min_loc_ar[0]), int(hunter.min_width_ar[0])
    assert result.local_p == pytest.approx(hunter.min_Pval_ar[0], rel=1e-6)
    assert result.window == (EDGES[first], EDGES[first + width])
    assert result.best.excess == pytest.approx(hunter.signal_eval)


def empty(*bins: slice | int) -> Floats:
    """The background without some bins."""
    background = BACKGROUND.copy()
    for which in bins:
        background[which] = 0.0
    return background


@pytest.mark.parametrize("background", [empty(slice(-4, None)), empty(0, -1), empty(20)])
def test_a_background_with_empty_bins_is_scanned_as_pybumphunter_does(background: Floats) -> None:
    from pyBumpHunter import BumpHunter1D  # noqa: PLC0415

    counts = toy(3, bump=25)
    counts[20] = 40  # as expected in a bin that may be empty: an excess over nothing
    settings = settings_of(n_toys=20, seed=1, widths=(2, 6))
    result = scan((counts, EDGES), background, settings)
    hunter = BumpHunter1D(width_min=2, width_max=6, npe=20, nworker=1, seed=4)
    with contextlib.redirect_stdout(io.StringIO()):
        hunter.bump_scan(counts.astype(int), background, is_hist=True)
    assert result.local_p == pytest.approx(hunter.min_Pval_ar[0], rel=1e-6)
    first = int(hunter.min_loc_ar[0])
    assert result.window == (EDGES[first], EDGES[first + int(hunter.min_width_ar[0])])
    notes = " ".join(result.notes)
    for bins in np.flatnonzero(background == 0):
        low = next(low for (low, high), _ in result.without_background if low <= EDGES[bins] < high)
        assert f"expects nothing in {low:g}–" in notes
    # What is at an end is not scanned; inside, windows with expected events around it are.
    covered = {window for window, _ in result.without_background} & set(result.unscanned)
    assert bool(covered) == (background[20] > 0)
    assert ("not scanned" in notes) == bool(covered)


def test_windows_without_expected_events_are_left_out() -> None:
    result = scan((toy(1), EDGES), empty(slice(10, 16)), settings_of(n_toys=5, widths=(2, 4)))
    table = table_of(result)
    inside = (table.low >= EDGES[10]) & (table.high <= EDGES[16])
    assert not inside.any()
    assert np.all(table.expected > 0)


def test_goodness_of_fit_of_a_given_background_is_that_beside_the_window() -> None:
    counts = toy(2)
    counts[[30, 31]] += 60
    result = scan((counts, EDGES), BACKGROUND, settings_of(n_toys=200, widths=(2, 2)))
    table = table_of(result)
    for row in (0, 17, 38):
        first = row
        beside = np.delete(np.arange(40), [first, first + 1])
        n, b = counts[beside], BACKGROUND[beside]
        deviance = 2 * np.sum(b - n + n * np.log(np.where(n > 0, n, 1) / b))
        assert table.goodness_of_fit_p[row] == pytest.approx(stats.chi2.sf(deviance, 38))
    # Nothing is wrong beside the excess, and beside every other window it is.
    assert result.window == (EDGES[30], EDGES[32])
    assert result.best.flags == ()
    assert result.best.goodness_of_fit_p > 0.01
    assert table.goodness_of_fit_p[0] < 1e-10
    assert table.goodness_of_fit_p_toys[0] == 1 / 201


def test_a_background_of_another_shape_is_flagged() -> None:
    wrong = BACKGROUND * np.linspace(1.3, 0.7, 40)
    result = scan((toy(2), EDGES), wrong, settings_of(n_toys=200))
    assert any("poor fit" in flag for flag in result.flags)
    content = result.to_dict()
    assert content["flags"] == list(result.flags)
    assert content["spectra"][0]["flags"] == list(result.flags)


def test_a_local_p_that_toys_contradict_is_flagged() -> None:
    result = scan((toy(1, bump=40), EDGES), BACKGROUND, settings_of(n_toys=500, widths=(2, 4)))
    assert result.flags == ()
    table = result.best.table

    def with_toys(share: float, anywhere: int) -> ChannelScan:
        changed = dataclasses.replace(table, local_p_toys=np.full(table.n_windows, share))
        return dataclasses.replace(result.best, table=changed, n_exceeding=anywhere)

    assert result.local_p < 1e-4
    assert with_toys(1 / 501, 0).flags == ()
    (here,) = with_toys(21 / 501, 20).flags
    assert "too small: of 500 pseudo-experiments 20 did as well in this window" in here
    (anywhere,) = with_toys(1 / 501, 100).flags
    assert "100 in any of the" in anywhere
    rows = {"local_p": 0.2, "local_p_toys": 6 / 501, "goodness_of_fit_p": 0.5}
    columns = {name: np.full(table.n_windows, value) for name, value in rows.items()}
    modest = dataclasses.replace(result.best, table=dataclasses.replace(table, **columns))
    assert modest.flags[0].startswith("the local p 0.2 is too large")


def test_global_p_counts_toys_and_is_never_zero() -> None:
    settings = settings_of(n_toys=200, seed=1)
    result = scan((toy(1, bump=400), EDGES), BACKGROUND, settings)
    assert result.n_exceeding == 0
    assert result.global_p == 1 / 201
    assert result.global_p_is_bound
    assert result.window[0] >= EDGES[7]
    assert result.window[1] <= EDGES[13]
    weak = scan((toy(5), EDGES), BACKGROUND, settings_of(n_toys=200, seed=1))
    exceeding = int((weak.best.toy_min_p <= weak.local_p).sum())
    assert weak.global_p == (exceeding + 1) / 201
    assert weak.global_p > 0.01


def test_global_p_agrees_with_independent_toys() -> None:
    counts = toy(6, bump=20)
    result = scan((counts, EDGES), BACKGROUND, settings_of(n_toys=1500, seed=2, widths=(2, 4)))
    rng = np.random.default_rng(99)
    smallest = np.array([smallest_p(rng.poisson(BACKGROUND)) for _ in range(1500)])
    expected = np.mean(smallest <= result.local_p)
    spread = np.sqrt(2 * max(expected, 1e-3) / 1500)
    assert result.global_p == pytest.approx(expected, abs=4 * spread)


@pytest.mark.slow
def test_global_p_is_uniform_under_a_known_background() -> None:
    values = [
        scan(
            (toy(1000 + i), EDGES), BACKGROUND, settings_of(n_toys=199, seed=i, widths=(2, 6))
        ).global_p
        for i in range(150)
    ]
    assert stats.kstest(values, "uniform").pvalue > 0.01


def test_the_seed_decides_whatever_the_number_of_threads() -> None:
    counts = toy(1)
    first = scan((counts, EDGES), BACKGROUND, settings_of(n_toys=50, seed=1), workers=3)
    same = scan((counts, EDGES), BACKGROUND, settings_of(n_toys=50, seed=1))
    other = scan((counts, EDGES), BACKGROUND, settings_of(n_toys=50, seed=2))
    assert np.array_equal(first.best.toy_min_p, same.best.toy_min_p)
    assert not np.array_equal(first.best.toy_min_p, other.best.toy_min_p)


def test_nothing_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    scan((toy(1), EDGES), BACKGROUND, settings_of(n_toys=5, seed=1))
    assert capsys.readouterr().out == ""


def test_blinded_window_is_neither_read_nor_crossed() -> None:
    counts = toy(1)
    altered = counts.copy()
    altered[5:12] = 1e6
    window = (65.0, 100.0)
    result, same = (
        scan(
            Spectrum(EDGES, contents, blind_window=window),
            BACKGROUND,
            settings_of(n_toys=50, seed=1),
        )
        for contents in (counts, altered)
    )
    assert json.dumps(result.to_dict()) == json.dumps(same.to_dict())
    assert np.all((table_of(result).high <= 65.0) | (table_of(result).low >= 100.0))
    assert set(table_of(result).width.tolist()) == set(range(2, 9))


def test_blinded_scan_is_the_scan_of_both_sides() -> None:
    counts = toy(7)
    both = scan(
        Spectrum(EDGES, counts, blind_window=(65, 100)),
        BACKGROUND,
        settings_of(n_toys=400, seed=3, widths=(2, 4)),
    )
    parts = (slice(0, 5), slice(12, 40))
    sides = [smallest_p(counts[part], BACKGROUND[part]) for part in parts]
    assert both.local_p == pytest.approx(min(sides))
    rng = np.random.default_rng(8)
    draws = [rng.poisson(BACKGROUND) for _ in range(400)]
    smallest = np.array(
        [min(smallest_p(draw[part], BACKGROUND[part]) for part in parts) for draw in draws]
    )
    assert stats.ks_2samp(both.best.toy_min_p, smallest).pvalue > 0.01


def test_no_excess_anywhere() -> None:
    result = scan((np.zeros(40), EDGES), BACKGROUND, settings_of(n_toys=20, seed=1))
    assert not result.best.has_excess
    assert result.local_p == 1.0
    assert result.global_p == 1.0
    assert result.best.local_significance == 0.0


def test_impossible_excess_does_not_break() -> None:
    counts = toy(1)
    counts[20] = 1e6
    result = scan((counts, EDGES), BACKGROUND, settings_of(n_toys=20, seed=1, widths=(1, 3)))
    assert result.local_p == 0.0
    assert json.dumps(jsonable(result.to_dict()), allow_nan=False)


def test_json_carries_the_names_of_the_p_values() -> None:
    content = scan(
        Spectrum(EDGES, toy(1), name="all"), BACKGROUND, settings_of(n_toys=20, seed=1)
    ).to_dict()
    assert content["background"] == "given"
    names = {"local_p", "local_p_toys", "local_p_fixed_background", "global_p", "window"}
    assert names <= set(content)
    assert content["local_p"] == content["local_p_fixed_background"]


@pytest.mark.parametrize(("p_value", "sigma"), [(0.158655, 1.0), (2.866516e-7, 5.0), (0.9, 0.0)])
def test_significance(p_value: float, sigma: float) -> None:
    assert significance(p_value) == pytest.approx(sigma, abs=1e-5)


def test_bad_input_is_refused() -> None:
    counts = toy(1)
    with pytest.raises(FitError, match="fractional contents"):
        scan((counts + 0.5, EDGES), BACKGROUND, settings_of(n_toys=5, seed=1))
    with pytest.raises(FitError, match="negative contents"):
        scan((counts - 1e4, EDGES), BACKGROUND, settings_of(n_toys=5, seed=1))
    with pytest.raises(FitError, match="expects no events in any bin"):
        scan((counts, EDGES), np.zeros(40), settings_of(n_toys=5, seed=1))
    bad = np.concatenate([BACKGROUND[:-3], [-1, np.nan, np.inf]])
    with pytest.raises(FitError, match="finite and not negative; 3 bins are not"):
        scan((counts, EDGES), bad, settings_of(n_toys=5, seed=1))
    with pytest.raises(FitError, match="background of shape"):
        scan((counts, EDGES), BACKGROUND[:-1], settings_of(n_toys=5, seed=1))
    with pytest.raises(ConfigError, match="narrowest ≤ widest"):
        scan((counts, EDGES), BACKGROUND, settings_of(n_toys=5, seed=1, widths=(4, 2)))
    with pytest.raises(ConfigError, match="at least one pseudo-experiment"):
        scan((counts, EDGES), BACKGROUND, settings_of(n_toys=0, seed=1))
    with pytest.raises(FitError, match="nothing is left"):
        scan(
            Spectrum(EDGES, counts, blind_window=(40, 240)),
            BACKGROUND,
            settings_of(n_toys=5, seed=1),
        )
    with pytest.raises(FitError, match="no window fits"):
        scan(
            Spectrum(EDGES, counts, blind_window=(45, 235)),
            BACKGROUND,
            settings_of(n_toys=5, seed=1, widths=(2, 3)),
        )
