"""What other calibrations would have given: bootstrap replicas over events, kept as small tables.

A calibration says which scores a cut at an efficiency keeps. Calibrated on other events it would have kept
other scores, and so a fraction of the background that differs from the wanted one, at each mass by another
factor. Replicas weight each calibrating event by a Poisson number of mean 1. That number is fixed by
the event and the number of the replica, so that detectors, scores and methods which share events change together.

References:
    B. Efron, "Bootstrap methods: another look at the jackknife", Ann. Statist. 7 (1979) 1; Poisson weights:
    J. A. Hanley and B. MacGibbon, Comput. Methods Programs Biomed. 83 (2006) 57.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats

from oddjet.datasets.folds import mix64
from oddjet.typing import Floats

__all__ = ["LEVELS", "N_REPLICAS", "CutReplicas", "Replicas", "bootstrap_weights"]

N_REPLICAS = 100
LEVELS = np.array(
    [0.99, 0.95, 0.9, 0.8, 0.65, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001]
)
"""Efficiencies of background that tables are kept at; cuts between them are interpolated."""

_SALT = 0x5851F42D4C957F2D
_POISSON = stats.poisson.cdf(np.arange(12), 1.0)
N_MIXED = 200
"""Replicas of all folds together: each takes a replica of each fold, which are independent, by fixed lots."""
_MOST = 4.0
"""Largest |ln| of a change: a replica that keeps nothing says no more than that."""


def bootstrap_weights(
    events: npt.NDArray[np.uint64], n_replicas: int = N_REPLICAS
) -> npt.NDArray[np.uint8]:
    """Draw the Poisson weights of jets with event hashes (n,) in each replica: (n_replicas, n).

    >>> weights = bootstrap_weights(np.array([7, 7, 8], dtype=np.uint64), 1000)
    >>> bool((weights[:, 0] == weights[:, 1]).all()), bool(abs(weights[:, 2].mean() - 1) < 0.1)
    (True, True)
    """
    salts = mix64(np.arange(n_replicas, dtype=np.uint64) + np.uint64(_SALT))
    weights = np.empty((n_replicas, len(events)), dtype=np.uint8)
    for row, salt in zip(weights, salts, strict=True):
        uniform = (mix64(events ^ salt) >> np.uint64(11)) * 2.0**-53
        row[:] = np.searchsorted(_POISSON, uniform, side="right")
    return weights


@dataclass(frozen=True, eq=False)
class Replicas:
    """How much more or less of the background a cut would keep, by mass, for each replica.

    Attributes:
        masses: Where it is known, ascending, shape (m,) [GeV]; one where it does not depend on mass.
        logs: ln of the efficiency with the threshold of a replica over that with the threshold in use, of
            mean 0 over the replicas, shape (n_replicas, len(LEVELS), m).
    """

    masses: Floats
    logs: npt.NDArray[np.float16]

    @classmethod
    def from_ratios(cls, masses: Floats, ratios: Floats) -> Replicas:
        """Take ratios of efficiencies, shape (n_replicas, len(LEVELS), m), 0 where nothing is kept."""
        bound = np.exp(_MOST)
        logs = np.log(np.clip(ratios, 1 / bound, bound))
        # A bootstrap has a bias of its own; what matters is how replicas differ.
        return cls(masses, (logs - logs.mean(axis=0)).astype(np.float16))

    def factors(self, efficiency: float, masses: npt.ArrayLike) -> Floats:
        """Give the factors on a cut's efficiency, above 0, at masses (n,) [GeV]: (n_replicas, n).

        Masses outside the table take the values of its edges. Looser cuts change as what fails them, and tighter ones
        as the root of what passes: jets that calibrate are counted there.
        """
        heights, wanted = -np.log(LEVELS), -np.log(efficiency)
        above = int(np.clip(np.searchsorted(heights, wanted), 1, len(LEVELS) - 1))
        step = heights[above] - heights[above - 1]
        share = float(np.clip((wanted - heights[above - 1]) / step, 0.0, 1.0))
        low, high = (self.logs[:, at].astype(np.float64) for at in (above - 1, above))
        logs = (1 - share) * low + share * high
        if efficiency > LEVELS[0]:
            logs *= (1 - efficiency) / (1 - LEVELS[0])
        elif efficiency < LEVELS[-1]:
            logs = np.clip(logs * np.sqrt(LEVELS[-1] / efficiency), -_MOST, _MOST)
        at = np.asarray(masses, dtype=np.float64)
        return np.asarray(np.exp([np.interp(at, self.masses, row) for row in logs]))

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Give its fields, to be saved."""
        return {"masses": self.masses, "logs": self.logs}

    @classmethod
    def restored(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> Replicas | None:
        """Make one of what `arrays` gave; None of nothing.

        Raises:
            ValueError: If the arrays do not fit together.
        """
        if not arrays:
            return None
        masses, logs = arrays["masses"], arrays["logs"]
        if logs.ndim != 3 or logs.shape[1:] != (len(LEVELS), masses.size):
            msg = f"replicas of shape {logs.shape} at {masses.size} masses and {len(LEVELS)} efficiencies"
            raise ValueError(msg)
        return cls(masses, logs.astype(np.float16))


@dataclass(frozen=True, eq=False)
class CutReplicas:
    """What is known of the calibration of a column that is cut on, of all folds.

    Attributes:
        n_effective: Effective jets that it was calibrated on, all folds together.
        folds: The replicas of each fold; empty where the method has none.
    """

    n_effective: float
    folds: tuple[Replicas, ...]

    @classmethod
    def from_folds(
        cls, n_effective: Iterable[float], folds: Iterable[Replicas | None]
    ) -> CutReplicas:
        """Put folds together; a fold without replicas leaves none."""
        known = tuple(folds)
        return cls(float(sum(n_effective)), tuple(r for r in known if r) if all(known) else ())

    def changes(self, efficiency: float, masses: Floats) -> Floats:
        """Give the relative changes of what a cut keeps of background, at masses (n,) [GeV].

        Returns:
            Shape (`N_MIXED`, n), of mean 0 over the replicas: the mean over the folds, since as many jets are in each.
            All zero without replicas.
        """
        if not self.folds:
            return np.zeros((N_MIXED, masses.size))
        lots = np.random.default_rng(_SALT).integers(0, 2**31, (N_MIXED, len(self.folds)))
        factors = np.zeros((N_MIXED, masses.size))
        for replicas, lot in zip(self.folds, lots.T, strict=True):
            factors += replicas.factors(efficiency, masses)[lot % len(replicas.logs)]
        return np.asarray(factors / factors.mean(axis=0) - 1.0)
