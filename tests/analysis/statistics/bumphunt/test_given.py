"""A background that is given with a statistical error of its own: on/off experiments, and their toys."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from oddjet.analysis.statistics.bumphunt.scan import scan
from oddjet.analysis.statistics.bumphunt.settings import ScanSettings
from oddjet.analysis.statistics.spectrum import Spectrum
from oddjet.typing import Floats

EDGES = np.linspace(40, 240, 41)
TRUTH = 800.0 * np.exp(-np.arange(40) / 8.0) + 0.3

# Data and background of the histograms that BumpHunter and pyBumpHunter are tested with:
# github.com/scikit-hep/pyBumpHunter, data/data.root, 60 bins in [0, 20].
SEEN = np.array([
    15133, 13122, 11053, 9347, 7862, 6678, 5629, 4645, 4125, 3404, 2916, 2509, 2028, 1818, 1510, 1268, 1121, 950, 771,
    667, 513, 488, 398, 324, 267, 231, 222, 183, 153, 132, 101, 82, 79, 60, 59, 44, 41, 35, 43, 22, 19, 19, 15, 6, 8,
    6, 9, 5, 5, 3, 2, 4, 2, 5, 3, 0, 1, 1, 1, 0,
], dtype=np.float64)  # fmt: skip
SIMULATED = np.array([
    15394, 13137, 11006, 9232, 7911, 6636, 5661, 4729, 4024, 3412, 2788, 2551, 2108, 1789, 1474, 1264, 1078, 894, 705,
    624, 552, 495, 394, 322, 275, 239, 178, 189, 151, 133, 100, 66, 69, 65, 47, 38, 43, 35, 32, 25, 19, 19, 23, 13, 10,
    8, 5, 7, 5, 5, 3, 4, 1, 1, 2, 1, 1, 3, 0, 1,
], dtype=np.float64)  # fmt: skip
AXIS = np.linspace(0, 20, 61)


def times_as_many(ratio: float, seed: int) -> tuple[Floats, Spectrum]:
    """Data, and a background of `ratio` times as many simulated events, each of weight 1/ratio."""
    rng = np.random.default_rng([5, seed])
    counts = rng.poisson(ratio * TRUTH).astype(float)
    background = Spectrum(EDGES, counts / ratio, counts / ratio**2, is_data=False)
    return rng.poisson(TRUTH).astype(float), background


def null_p(ratio: float, n: int, *, own_error: bool = True) -> Floats:
    p = []
    for seed in range(n):
        counts, background = times_as_many(ratio, seed)
        settings = ScanSettings(n_toys=99, max_toys=0, seed=seed, widths=(2, 6))
        given = background if own_error else background.counts
        p.append(scan((counts, EDGES), given, settings).global_p)
    return np.array(p)


def test_local_p_is_that_of_two_poisson_numbers() -> None:
    counts, background = times_as_many(4, 1)
    table = scan((counts, EDGES), background, ScanSettings(n_toys=1, widths=(2, 5))).best.table
    for row in (0, 40, 90, 140):
        inside = (EDGES[:-1] >= table.low[row]) & (EDGES[1:] <= table.high[row])
        on, off = counts[inside].sum(), 4 * background.counts[inside].sum()
        # Of on + off events each is on with probability 1/(1 + 4).
        wanted = stats.binom.sf(on - 1, on + off, 0.2) if on > off / 4 else 1.0
        assert table.local_p[row] == pytest.approx(wanted, rel=1e-9)
        assert table.expected_error[row] == pytest.approx(off**0.5 / 4)


def test_global_p_is_uniform_where_the_background_has_an_error() -> None:
    as_many = null_p(1, 100)
    assert stats.kstest(as_many - 0.005, "uniform").pvalue > 0.01
    assert np.mean(as_many <= 0.05) < 0.12
    # What was done before: the background taken as known.
    assert np.mean(null_p(1, 40, own_error=False) <= 0.05) > 0.25


@pytest.mark.long
@pytest.mark.parametrize("ratio", [1, 3, 10, 100])
def test_global_p_is_uniform_for_any_statistics(ratio: float) -> None:
    p = null_p(ratio, 400)
    print(f"{ratio} times as many: KS p = {stats.kstest(p - 0.005, 'uniform').pvalue:.3f}, "  # noqa: T201
          f"{100 * np.mean(p <= 0.05):.1f} % at or below 0.05")  # fmt: skip
    assert stats.kstest(p - 0.005, "uniform").pvalue > 0.01
    assert 0.02 <= np.mean(p <= 0.05) <= 0.08


def test_bumphunters_own_histogram() -> None:
    settings = ScanSettings(n_toys=3000, max_toys=0, widths=(2, 6))
    known = scan((SEEN, AXIS), SIMULATED, settings)
    assert known.local_p == pytest.approx(1.734e-4, rel=1e-3)
    assert known.window == (AXIS[16], AXIS[20])
    assert known.global_p == pytest.approx(0.020, abs=0.008)
    # A hundred times as many simulated events are as good as a background that is known.
    scaled = Spectrum(AXIS, SIMULATED, SIMULATED / 1e4, is_data=False)
    assert scan((SEEN, AXIS), scaled, settings).local_p == pytest.approx(1.734e-4, rel=0.01)
    # As many as data are not.
    own = scan((SEEN, AXIS), Spectrum(AXIS, SIMULATED, SIMULATED), settings)
    exact = stats.binom.sf(3508, 3509 + 3301, 0.5)
    assert own.window == known.window
    assert (own.best.observed, own.best.expected) == (3509, 3301)
    assert own.local_p == pytest.approx(exact, rel=1e-9)
    assert own.global_p > 0.2


def test_a_bin_without_simulated_events_is_no_known_zero() -> None:
    counts, background = np.round(TRUTH), Spectrum(EDGES, TRUTH.copy(), 0.5 * TRUTH, is_data=False)
    background.counts[[30, 31]] = background.variances[[30, 31]] = 0.0  # type: ignore[index]
    counts[[30, 31]] = [3, 1]
    settings = ScanSettings(n_toys=20, max_toys=0, widths=(2, 2))
    result = scan((counts, EDGES), background, settings)
    table = result.best.table
    row = int(np.flatnonzero(table.low == EDGES[30])[0])
    # No event of weight ½ where the data have four: (1/(1 + 2))⁴.
    assert table.local_p[row] == pytest.approx(3.0**-4)
    assert result.without_background == ()
    # A background that is known to expect nothing there says nothing about what an event is worth.
    known = scan((counts, EDGES), background.counts, settings)
    assert not np.any(known.best.table.low == EDGES[30])
    assert known.without_background == (((EDGES[30], EDGES[32]), 4.0),)


def test_more_toys_are_drawn_where_they_are_cheap() -> None:
    counts = TRUTH.copy()
    counts[8:12] += 3.9 * TRUTH[8:12].sum() ** 0.5 / 4
    counts = np.round(counts)
    few = ScanSettings(n_toys=500, max_toys=0, widths=(2, 4))
    result = scan((counts, EDGES), TRUTH, few.model_copy(update={"max_toys": 60_000}), workers=2)
    assert 5_000 <= result.n_toys <= 60_000
    assert result.n_exceeding >= 10
    assert result.beyond is None
    bounded = scan((counts, EDGES), TRUTH, few)
    assert bounded.n_toys == 500
    # The extrapolation from 500 agrees with the count.
    assert bounded.beyond is not None
    error = np.hypot(bounded.beyond.error, result.global_p / result.n_exceeding**0.5)
    assert abs(bounded.beyond.p - result.global_p) < 3 * error
    with_error = Spectrum(EDGES, TRUTH, 0.2 * TRUTH, is_data=False)
    many = few.model_copy(update={"max_toys": 60_000})
    assert scan((counts, EDGES), with_error, many).n_toys == 500


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_rare_events_of_large_weight_are_counted_where_none_occurred(share: float) -> None:
    p_values = []
    for seed in range(150):
        rng = np.random.default_rng([6, seed])
        counts, squares = np.zeros((2, 40))
        for weight, part in ((20.0, share), (0.5, 1 - share)):
            number = rng.poisson(part * 2 * TRUTH / weight)
            counts += weight * number
            squares += weight**2 * number
        background = Spectrum(EDGES, counts, squares, is_data=False)
        data = rng.poisson(2 * TRUTH).astype(float)
        settings = ScanSettings(n_toys=99, max_toys=99, seed=seed)
        p_values.append(scan((data, EDGES), background, settings).global_p)
    # 25 % and 15 % if each bin knew of its own events alone.
    assert np.mean(np.array(p_values) <= 0.05) < 0.1
