"""Under the null the global p is uniform; without refitting the toys it is not.

Long: about ten minutes on two cores. Each pseudo-experiment is treated as data: 199 toys, drawn from
its own fit, every window refitted, the function chosen anew.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats

from oddjet.analysis.statistics.background.many import BatchModel
from oddjet.analysis.statistics.bumphunt.joint import JointTable
from oddjet.analysis.statistics.bumphunt.pvalues import toy_p
from oddjet.analysis.statistics.bumphunt.scan import scan, scan_jointly
from oddjet.analysis.statistics.bumphunt.settings import ScanSettings
from oddjet.typing import Floats

EDGES = np.linspace(50.0, 210.0, 33)
N_EXPERIMENTS, N_TOYS = 400, 199
WIDTHS = (2, 5)
WORKING_POINTS = (0.2, 0.1, 0.05)

pytestmark = pytest.mark.long


def joint_table(mass: Floats, passes: npt.NDArray[np.bool_], labels: Sequence[str]) -> JointTable:
    """The jets by mass bin and by which spectra they are in."""
    inside = np.searchsorted(EDGES, mass, side="right")[:, None] == np.arange(1, EDGES.size)
    jets = JointTable(tuple(labels), EDGES, passes.T, inside.astype(float))
    return jets.select(range(len(labels))).checked()


def masses(rng: np.random.Generator, n: int) -> Floats:
    """A smooth falling spectrum that is in none of the families."""
    mass = 10 + rng.gamma(1.3, 38.0, 6 * n)
    return np.asarray(mass[(mass > EDGES[0]) & (mass < EDGES[-1])][: rng.poisson(n)])


def check_uniform(p: Floats) -> None:
    """p takes the values 1/200 … 1; moved to the middle of its step it is compared with uniform."""
    below = float(np.mean(p <= 0.05))
    ks = float(stats.kstest(p - 0.5 / (N_TOYS + 1), "uniform").pvalue)
    print(f"global p: KS p = {ks:.3f}, {100 * below:.1f} % at or below 0.05")  # noqa: T201
    assert ks > 0.01
    assert 0.02 <= below <= 0.08


def test_one_spectrum() -> None:
    p = []
    for seed in range(N_EXPERIMENTS):
        rng = np.random.default_rng([1, seed])
        counts = np.histogram(masses(rng, 5000), EDGES)[0]
        table = JointTable.from_histogram((counts, EDGES))
        p.append(
            scan_jointly(
                table,
                ScanSettings(n_toys=N_TOYS, seed=seed, widths=WIDTHS, function="auto"),
                workers=2,
            ).global_p
        )
    check_uniform(np.array(p))


def test_many_events_in_unequal_bins() -> None:
    """3·10⁶ events in bins of 5 GeV and then of 20 GeV: a density at bin centres would make bumps."""
    edges = np.concatenate([np.arange(50.0, 130.0, 5.0), np.arange(130.0, 251.0, 20.0)])
    fine = np.linspace(50, 250, 20_001)
    density = np.exp(-0.042 * (fine - 50) - 3e-5 * (fine - 50) ** 2)
    running = np.concatenate([[0.0], np.cumsum(density[:-1])])
    truth = np.diff(np.interp(edges, fine, 3e6 * running / running[-1]))
    p = []
    for seed in range(200):
        counts = np.random.default_rng([3, seed]).poisson(truth).astype(float)
        table = JointTable.from_histogram((counts, edges))
        p.append(scan_jointly(table, ScanSettings(n_toys=N_TOYS, seed=seed), workers=2).global_p)
    check_uniform(np.array(p))


def test_two_detectors_with_three_nested_working_points() -> None:
    p = []
    labels = [f"{d} {w:g}" for d in "ab" for w in WORKING_POINTS]
    for seed in range(N_EXPERIMENTS):
        rng = np.random.default_rng([2, seed])
        mass = masses(rng, 10_000)
        first = rng.random(mass.size)
        # The detectors agree on half of the jets.
        second = np.where(rng.random(mass.size) < 0.5, first, rng.random(mass.size))
        passes = np.stack([s < w for s in (first, second) for w in WORKING_POINTS], axis=1)
        table = joint_table(mass, passes, labels)
        p.append(
            scan_jointly(
                table,
                ScanSettings(n_toys=N_TOYS, seed=seed, widths=WIDTHS, function="auto"),
                workers=2,
            ).global_p
        )
    check_uniform(np.array(p))


def test_without_refit_the_same_fails() -> None:
    """Toys that are not fitted lack what the fit does to the data, whichever way that goes.

    Data tested beside each window against toys with the background they were drawn from: p too small.
    Data tested against one fit of everything, which follows their bumps: p too large.
    """
    beside, whole = [], []
    for seed in range(N_EXPERIMENTS):
        rng = np.random.default_rng([1, seed])
        counts = np.histogram(masses(rng, 5000), EDGES)[0]
        fitted = BatchModel.make("auto", EDGES, counts).expected(counts)[0]
        fixed = scan(
            (counts, EDGES),
            fitted,
            ScanSettings(n_toys=N_TOYS, max_toys=0, seed=seed, widths=WIDTHS),
        )
        whole.append(fixed.global_p)
        table = JointTable.from_histogram((counts, EDGES))
        result = scan_jointly(
            table, ScanSettings(n_toys=1, seed=seed, widths=WIDTHS, function="auto")
        )
        beside.append(toy_p(np.sum(fixed.best.toy_min_p <= result.local_p), N_TOYS))
    assert np.mean(np.array(beside) <= 0.05) > 0.08
    assert np.mean(whole) > 0.55
    for p in (beside, whole):
        with pytest.raises(AssertionError):
            check_uniform(np.array(p))
