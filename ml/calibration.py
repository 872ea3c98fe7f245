"""Making the scores of different trainings comparable: how rare would this be in background?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from oddjet.datasets.disk.arrays import read_arrays
from oddjet.errors import DetectorError, TooFewJetsError
from oddjet.ml.evaluation.checks import checked_columns, effective_number
from oddjet.ml.replicas import LEVELS, Replicas, bootstrap_weights
from oddjet.typing import Floats

__all__ = ["SurvivalCalibration", "load_calibrations", "save_calibrations"]


@dataclass(frozen=True, eq=False)
class SurvivalCalibration:
    """−log10 of the fraction of background that scores at least as high.

    The fraction is the weighted empirical one: a step function, so monotone, and equal for equal
    scores. It knows nothing beyond the background it has seen. With n_eff = (Σw)²/Σw² effective
    jets the smallest fraction it gives is 1/(n_eff + 1), the expected fraction of background
    above the highest of n_eff jets. So the result lies in [0, log10(n_eff + 1)], and all jets
    beyond that tie: rejections above n_eff cannot be asked of it.

    Attributes:
        knots: Distinct background scores, ascending, shape (m,).
        survival: Weighted fraction of background at or above each, shape (m,), in (0, 1].
        n_effective: (Σw)²/Σw² of the background.
        replicas: What calibrations on other events would keep, the same at every mass: exact for all jets
            together. None where the events were not given.

    >>> calibration = SurvivalCalibration.fit([1.0, 2.0, 3.0, 4.0])
    >>> (10 ** -calibration([0.0, 3.0, 3.5, 9.0])).round(3).tolist()
    [1.0, 0.5, 0.25, 0.2]
    """

    knots: Floats
    survival: Floats
    n_effective: float
    replicas: Replicas | None = None

    @classmethod
    def fit(
        cls,
        scores: npt.ArrayLike,
        weights: npt.ArrayLike | None = None,
        *,
        events: npt.NDArray[np.uint64] | None = None,
    ) -> SurvivalCalibration:
        """Learn from scores (n,) of background jets, with weights (n,), not negative, by default 1.

        With hashes of their events (n,), replicas of the calibration are made.

        Raises:
            TooFewJetsError: If no jet has a positive weight.
            NonFiniteError: If a score or weight is NaN or infinite.
            InputError: If a weight is negative, or the lengths differ.
        """
        columns, w = checked_columns({"scores": scores}, weights, where="calibration")
        used = w > 0
        if not used.any():
            msg = f"calibration: none of {len(w)} background jets has a positive weight."
            raise TooFewJetsError(msg)
        knots, at = np.unique(columns["scores"][used], return_inverse=True)
        mass = np.bincount(at, weights=w[used])
        above = np.cumsum(mass[::-1])[::-1]
        calibration = cls(knots, above / above[0], effective_number(w))
        if events is None:
            return calibration
        counts = bootstrap_weights(events[used])
        replicas = calibration._replicate(at.reshape(-1), w[used], counts)
        return replace(calibration, replicas=replicas)

    def _replicate(
        self, at: npt.NDArray[np.intp], weights: Floats, counts: npt.NDArray[np.uint8]
    ) -> Replicas:
        """Compare with thresholds of weights (n,) times counts (n_replicas, n) of jets that sit at knots (n,)."""
        kept = np.append(self.survival, 1 / (self.n_effective + 1))
        cuts = np.append(self.survival, 0.0)[None] <= LEVELS[:, None]
        now = kept[np.argmax(cuts, axis=1)]
        ratios = np.empty((len(counts), len(LEVELS), 1))
        for ratio, row in zip(ratios, counts, strict=True):
            mass = np.bincount(at, weights=row * weights, minlength=len(self.knots))
            above = np.cumsum(mass[::-1])[::-1]
            survival = np.append(above / max(above[0], np.finfo(np.float64).tiny), 0.0)
            ratio[:, 0] = kept[np.argmax(survival[None] <= LEVELS[:, None], axis=1)] / now
        return Replicas.from_ratios(np.zeros(1), ratios)

    @property
    def cap(self) -> float:
        """The largest value it gives, log10(n_effective + 1)."""
        return float(np.log10(self.n_effective + 1))

    def __call__(self, scores: npt.ArrayLike) -> Floats:
        """Calibrate finite scores (n,) to (n,) in [0, `cap`]; higher is rarer.

        Raises:
            NonFiniteError: If a score is NaN or infinite.
        """
        values = checked_columns({"scores": scores}, where="calibration")[0]["scores"]
        survival = np.append(self.survival, 0.0)[np.searchsorted(self.knots, values, side="left")]
        return np.asarray(-np.log10(np.clip(survival, 1 / (self.n_effective + 1), 1.0)) + 0.0)

    def save(self, path: Path) -> None:
        """Write an `.npz` file."""
        replicas = {} if self.replicas is None else self.replicas.arrays()
        np.savez_compressed(
            path,
            allow_pickle=False,
            knots=self.knots,
            survival=self.survival,
            n_effective=self.n_effective,
            **{f"replica_{name}": array for name, array in replicas.items()},
        )

    @classmethod
    def load(cls, path: Path) -> SurvivalCalibration:
        """Read what `save` wrote.

        Raises:
            DetectorError: If the file cannot be read.
        """
        shapes = {
            "knots": "float m",
            "survival": "float m",
            "n_effective": "float",
            "replica_masses?": "float n",
            "replica_logs?": "float r l n",
        }
        data = read_arrays(path, shapes, error=DetectorError, l=len(LEVELS))
        names = [name for name in data if name.startswith("replica_")]
        replicas = Replicas.restored({name.removeprefix("replica_"): data[name] for name in names})
        return cls(data["knots"], data["survival"], float(data["n_effective"]), replicas)


def save_calibrations(
    folder: Path, fold: int, calibrations: Mapping[str, SurvivalCalibration]
) -> None:
    """Write a file for each score: `calibration{fold}_{score}.npz`."""
    for score, calibration in calibrations.items():
        calibration.save(folder / _file(fold, score))


def load_calibrations(
    folder: Path, fold: int, *, scores: Iterable[str]
) -> dict[str, SurvivalCalibration]:
    """Read what `save_calibrations` wrote.

    Raises:
        DetectorError: If a file cannot be read.
    """
    return {score: SurvivalCalibration.load(folder / _file(fold, score)) for score in scores}


def _file(fold: int, score: str) -> str:
    return f"calibration{fold}_{score}.npz"
