"""Jets that pass a cut fluctuate as counts do, where those that calibrate it are not among them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from oddjet.datasets.folds import EventRoles, fold_of
from oddjet.ml.calibration import SurvivalCalibration

K, EFFICIENCY = 3, 0.1
Floats = npt.NDArray[np.float64]


def passing(
    scores: Floats, pairs: list[tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]], size: float
) -> tuple[int, float]:
    """Jets that pass a cut, and how many thresholds let expect: scores are uniform.

    `pairs` are, for each fold, the jets that calibrate and those that are hunted in; `size` is the mean number
    of the latter.
    """
    n, expected = 0, 0.0
    for calibrating, hunted in pairs:
        calibration = SurvivalCalibration.fit(scores[calibrating])
        n += int(np.count_nonzero(calibration(scores[hunted]) >= -np.log10(EFFICIENCY)))
        # Above the highest score that more than the wanted share of the calibrating jets reach.
        threshold = calibration.knots[calibration.survival > EFFICIENCY][-1]
        expected += (1 - threshold) * size
    return n, expected


def experiments(n_replicas: int, *, ring: bool, share: float = 0.5) -> tuple[Floats, Floats]:
    """Passing jets and their expectation in replicas of about 600 events, everything drawn anew.

    In the ring every fold was calibrated on the next one, and all of them hunted in.
    """
    rng = np.random.default_rng(1)
    numbers = []
    for _ in range(n_replicas):
        hashes = rng.integers(0, 2**63, rng.poisson(600), dtype=np.uint64)
        scores, folds = rng.random(len(hashes)), fold_of(hashes, K)
        if ring:
            pairs = [(folds == (f + 1) % K, folds == f) for f in range(K)]
        else:
            roles = EventRoles.from_jets(hashes, k=K, held_out_share=share)
            hunted = ~roles.learning
            pairs = [(roles.calibrating(f), hunted & (folds == f)) for f in range(K)]
        numbers.append(passing(scores, pairs, 600 * (1 if ring else share) / K))
    counts, expected = np.array(numbers).T
    return counts, expected


def test_passing_jets_fluctuate_as_counts_and_as_their_thresholds() -> None:
    share = 0.4
    counts, expected = experiments(4000, ring=False, share=share)
    # What the thresholds do not explain is Poisson: 4000 replicas give it to 2 %.
    assert np.var(counts - expected) / expected.mean() == pytest.approx(1.0, abs=0.05)
    assert np.corrcoef(counts - expected, expected)[0, 1] == pytest.approx(0.0, abs=0.05)
    assert (np.var(counts) - np.var(expected)) / expected.mean() == pytest.approx(1.0, abs=0.1)
    # What they do is that of the calibrating jets: hunted over calibrating ones, times 1 − ε.
    of_thresholds = (1 - EFFICIENCY) * share / (1 - share)
    assert np.var(counts) / counts.mean() == pytest.approx(1 + of_thresholds, rel=0.08)


def test_in_the_ring_of_folds_the_fluctuations_of_passing_jets_cancelled() -> None:
    counts, expected = experiments(1000, ring=True)
    assert 0.1 < np.var(counts) / counts.mean() < 0.4
    assert (np.var(counts) - np.var(expected)) / expected.mean() < 0
