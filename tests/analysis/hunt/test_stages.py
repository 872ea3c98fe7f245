"""Exploring a share of the data and testing the rest: power and p-values against what is known of them."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from oddjet.analysis.config import HuntConfig, UnblindingConfig
from oddjet.analysis.hunt.frozen import Chosen, Frozen
from oddjet.analysis.hunt.result import Hunt
from oddjet.analysis.hunt.stages import choose, freeze, read_frozen
from oddjet.analysis.statistics.bumphunt.result import BumpHunt
from oddjet.analysis.statistics.bumphunt.scan import scan
from oddjet.analysis.statistics.bumphunt.settings import ScanSettings
from oddjet.errors import ConfigError
from oddjet.processors.sample import HuntSample

EDGES = np.linspace(50, 250, 21)
BACKGROUND = 2000 * np.exp(-(EDGES[:-1] - 50) / 60)
"""Expected in all events."""
LOOK = {"jets": "a", "hunt": {"widths": [2, 4]}}


def with_bumps(sizes: dict[int, float]) -> Any:
    """The background with an excess, in errors of each of two bins, from some bins on."""
    counts = BACKGROUND.copy()
    for first, size in sizes.items():
        counts[first : first + 2] += size * np.sqrt(counts[first : first + 2])
    return np.rint(counts)


def scanned(counts: Any, share: float, **settings: Any) -> BumpHunt:
    """Scan counts against the known background of a share of the events."""
    chosen = ScanSettings(n_toys=99, max_toys=0, **settings)
    return scan((counts, EDGES), share * BACKGROUND, chosen)


def hunt_of(bumps: BumpHunt) -> Hunt:
    return Hunt((), "msoftdrop", HuntSample("data", None), False, (), bumps)


def frozen_of(bumps: BumpHunt, share: float, z_cut: float, path: Path) -> Frozen:
    stages = UnblindingConfig(explore=share, z_cut=z_cut)
    return freeze(path, hunt_of(bumps), stages, LOOK, keep=False)


def both(rng: Any, expected: Any, share: float, z_cut: float, path: Path, **settings: Any) -> Any:
    """One experiment in two stages: what was written down, and the p of the test, None without one."""
    explored = rng.poisson(share * expected).astype(float)
    frozen = frozen_of(
        scanned(explored, share, seed=int(rng.integers(1e6)), **settings), share, z_cut, path
    )
    if not frozen.chosen:
        return frozen, None
    rest = rng.poisson((1 - share) * expected).astype(float)
    tested = scanned(rest, 1 - share, seed=int(rng.integers(1e6)), windows=frozen.windows)
    # Where no tested window holds an excess p is 1, in half of all tests of one: such ties are drawn lots for.
    toys, seen = tested.channels[0].toy_min_p, tested.local_p
    rarer, alike = np.sum(toys < seen * (1 - 1e-9)), np.sum(np.isclose(toys, seen, rtol=1e-9))
    return frozen, (rarer + rng.uniform() * (alike + 1)) / (tested.n_toys + 1)


def test_windows_from_the_cut_on_are_chosen_and_none_overlap(tmp_path: Path) -> None:
    counts = with_bumps({5: 6, 12: 5})
    bumps = scanned(counts, 1.0)
    chosen = choose(bumps, 3.0)
    assert [c.window for c in chosen] == [(100.0, 120.0), (170.0, 190.0)]
    assert chosen[0].local_p < chosen[1].local_p < stats.norm.sf(3)
    frozen = frozen_of(bumps, 0.25, 3.0, tmp_path / "frozen.json")
    assert read_frozen(tmp_path / "frozen.json", LOOK) == frozen
    assert frozen.windows == ((100.0, 120.0), (170.0, 190.0))
    assert "2 windows reached 3σ" in frozen.describe()
    # Only these are tested.
    tested = scanned(counts, 1.0, windows=frozen.windows)
    assert tested.n_windows == 2
    assert set(zip(tested.best.table.low, tested.best.table.high, strict=True)) == set(
        frozen.windows
    )


def test_what_pseudo_experiments_contradict_is_not_chosen() -> None:
    counts = with_bumps({5: 6})
    bumps = scanned(counts, 1.0)
    (channel,) = bumps.channels
    table = dataclasses.replace(channel.table, local_p_toys=np.full(channel.table.n_windows, 0.05))
    believed = dataclasses.replace(bumps, channels=(dataclasses.replace(channel, table=table),))
    assert choose(bumps, 3.0)
    assert choose(believed, 3.0) == ()


def test_what_was_written_down_stays_once_the_rest_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "frozen.json"
    counts = with_bumps({5: 6})
    frozen = frozen_of(scanned(counts, 1.0), 0.25, 3.0, path)
    stages = UnblindingConfig()
    flat = hunt_of(scanned(np.rint(BACKGROUND), 1.0))
    assert freeze(path, flat, stages, LOOK, keep=True) == frozen
    with pytest.raises(ConfigError, match=r"other settings \(hunt differ\)"):
        freeze(path, flat, stages, {**LOOK, "hunt": {}}, keep=True)
    path.write_text(path.read_text().replace("100.0", "110.0"))
    with pytest.raises(ConfigError, match="is not there or not what was written"):
        freeze(path, flat, stages, LOOK, keep=True)
    assert freeze(path, flat, stages, LOOK, keep=False).chosen == ()


def power(z: float, share: float, z_cut: float, level: float) -> float:
    """Φ(√f Z − Z_cut) Φ(√(1 − f) Z − Z_B): both stages see the signal."""
    first = stats.norm.cdf(np.sqrt(share) * z - z_cut)
    return float(first * stats.norm.cdf(np.sqrt(1 - share) * z - stats.norm.isf(level)))


def quantiles(mean: float, n: int) -> Any:
    """Numbers of Poisson's distribution at n equally probable places: means over them have errors of 1/n."""
    return stats.poisson.ppf((np.arange(n) + 0.5) / n, mean)


@pytest.mark.parametrize(
    ("z", "share", "z_cut"), [(5.0, 0.25, 2.0), (4.0, 0.5, 2.5), (6.0, 0.25, 3.0), (2.5, 0.25, 0.5)]
)
def test_the_power_is_that_of_two_counts(z: float, share: float, z_cut: float) -> None:
    window, n = slice(4, 8), 60
    # So many events that the signal's own fluctuation, which the formula leaves out, is small.
    background = 400 * np.rint(BACKGROUND)
    b = background[window].sum()
    settings = {"widths": (4, 4), "windows": ((float(EDGES[4]), float(EDGES[8])),)}

    def experiments(part: float) -> Any:
        for number in quantiles(part * (b + z * np.sqrt(b)), n):
            counts = np.rint(part * background)
            counts[window] = number // 4
            counts[4] += number % 4
            yield counts

    def scan_part(part: float, counts: Any, seed: int) -> BumpHunt:
        scanned = ScanSettings(n_toys=99, max_toys=0, seed=seed, **settings)
        return scan((counts, EDGES), part * background, scanned)

    passed = [bool(choose(scan_part(share, c, i), z_cut)) for i, c in enumerate(experiments(share))]
    rest = 1 - share
    tested = [scan_part(rest, c, i).global_p <= 0.05 for i, c in enumerate(experiments(rest))]
    # The two stages have no event in common.
    assert np.mean(passed) * np.mean(tested) == pytest.approx(
        power(z, share, z_cut, 0.05), abs=0.05
    )


def p_of_both(n: int, path: Path, seed: int) -> Any:
    """The p of both stages in experiments without a signal, and how many were tested."""
    rng = np.random.default_rng(seed)
    results = [both(rng, BACKGROUND, 0.25, 1.5, path, widths=(2, 4)) for _ in range(n)]
    tested = sum(p is not None for _, p in results)
    return np.array([frozen.together(p) for frozen, p in results]), tested / n


def test_the_p_of_both_stages_is_uniform_without_a_signal(tmp_path: Path) -> None:
    p_values, tested = p_of_both(100, tmp_path / "frozen.json", 11)
    assert 0.3 < tested < 0.9  # both branches matter
    assert stats.kstest(p_values, "uniform").pvalue > 0.01


@pytest.mark.long
def test_the_p_of_both_stages_is_uniform_in_many_experiments(tmp_path: Path) -> None:
    p_values, _ = p_of_both(1000, tmp_path / "frozen.json", 12)
    assert stats.kstest(p_values, "uniform").pvalue > 0.01
    for level in (0.05, 0.2):
        spread = np.sqrt(level * (1 - level) / 1000)
        assert np.mean(p_values <= level) == pytest.approx(level, abs=3 * spread)


def test_stages_say_what_they_are() -> None:
    chosen = (Chosen("all jets", (60.0, 80.0), 1e-4),)
    frozen = Frozen("2026-11-27", LOOK, 0.25, 3.0, chosen, 0.01, 0.04)
    assert frozen.together(0.5) == pytest.approx(0.02)
    nothing = dataclasses.replace(frozen, chosen=(), p_explored=0.3)
    assert nothing.together(None) == 0.3
    assert "there is nothing to test" in nothing.describe()
    assert frozen.key != nothing.key
    assert HuntConfig().windows is None
