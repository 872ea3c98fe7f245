"""Training and calibrating the k models of a folded detector."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from oddjet.datasets.folds import EventRoles
from oddjet.datasets.jets import Jets
from oddjet.errors import InputError, TooFewJetsError
from oddjet.ml import create
from oddjet.ml.calibration import SurvivalCalibration
from oddjet.ml.detectors.base import Detector
from oddjet.ml.evaluation.checks import effective_number
from oddjet.ml.networks.training import Progress
from oddjet.ml.provenance import dataset_names
from oddjet.typing import Floats, Ints

__all__ = [
    "Calibrations",
    "FoldProgress",
    "Learned",
    "calibrate_folds",
    "calibrating_rows",
    "jet_weights",
    "train_folds",
]

log = logging.getLogger(__name__)

FoldProgress = Callable[[int, int, int, int, dict[str, float]], None]
"""`progress(fold, k, epoch, n_epochs, logs)`, after each epoch; folds from 0, epochs from 1."""

Calibrations = tuple[dict[str, SurvivalCalibration], ...]
"""For each fold: score name → calibration."""

MIN_CALIBRATION_JETS = 10


@dataclass(frozen=True)
class Learned:
    """What something was learned on.

    Attributes:
        datasets: Names of the datasets, sorted; `""` where jets did not say theirs.
        n_effective: (Σw)²/Σw² of the jets that thresholds or maps were learned from, all folds together; 0 of
            what models were trained on, whose jets in a blinded window would show as a difference.
    """

    datasets: tuple[str, ...]
    n_effective: float = 0.0

    @classmethod
    def from_jets(cls, jets: Jets, weights: Floats, used: npt.NDArray[np.bool_]) -> Learned:
        """Count the jets (n) that are used, mask (n,), with weights (n,)."""
        names = dataset_names(jets[used]) if used.any() else ()
        return cls(names, effective_number(weights[used]))

    @classmethod
    def from_dict(cls, saved: Mapping[str, Any]) -> Learned:
        """Take what `to_dict` gave."""
        names = tuple(str(name) for name in saved["datasets"])
        return cls(names, float(saved["n_effective"]))

    def to_dict(self) -> dict[str, Any]:
        """Everything, ready for JSON."""
        return {**asdict(self), "datasets": list(self.datasets)}


def train_folds(
    jets: Jets,
    detector: tuple[str, Mapping[str, Any]],
    roles: EventRoles,
    *,
    k: int,
    seed: int,
    progress: FoldProgress | None,
    resume_in: Path | str | None,
) -> tuple[Detector, ...]:
    """Train k models, model f on the learning jets of the folds that are not f.

    The arguments are those of `FoldedDetector.fit`.

    Raises:
        TooFewJetsError: If a fold has too few jets to train or calibrate.
    """
    name, hyper_parameters = detector
    detectors = []
    for fold in range(k):
        log.info("%s: training fold %d of %d", name, fold, k)
        _require_calibration_jets(int(roles.calibrating(fold).sum()), fold, k)
        model = create(name, **hyper_parameters)
        model.fit(
            jets[roles.training(fold)],
            seed=_seed_of_fold(seed, fold),
            progress=_progress_of_fold(progress, fold, k),
            resume_in=None if resume_in is None else Path(resume_in) / f"fold{fold}",
        )
        detectors.append(model)
    return tuple(detectors)


def calibrate_folds(
    detectors: Sequence[Detector], jets: Jets, roles: EventRoles, weights: Floats
) -> Calibrations:
    """Calibrate model f on the learning jets of fold f that have a weight (n,).

    Raises:
        TooFewJetsError: If a fold has too few.
    """
    calibrations = []
    for fold, rows in calibrating_rows(roles, weights, len(detectors)):
        _require_calibration_jets(len(rows), fold, len(detectors))
        scores, events = detectors[fold].scores(jets[rows]).items(), roles.events[rows]
        calibrations.append(
            {
                score: SurvivalCalibration.fit(values, weights[rows], events=events)
                for score, values in scores
            }
        )
    return tuple(calibrations)


def calibrating_rows(roles: EventRoles, weights: Floats, k: int) -> Iterator[tuple[int, Ints]]:
    """Give each fold and the rows of the jets that its thresholds and maps are learned on."""
    for fold in range(k):
        yield fold, np.flatnonzero(roles.calibrating(fold) & (weights > 0))


def jet_weights(jets: Jets) -> Floats:
    """The jets' `weight`, or 1 where they have none.

    Raises:
        InputError: If some are negative.
    """
    values = np.ones(len(jets))
    if "weight" in jets.fields:
        values = np.asarray(jets["weight"], dtype=np.float64)
    if n_negative := int(np.count_nonzero(values < 0)):
        msg = (
            f"folds: {n_negative} of {len(values)} background jets have negative weights, so that "
            f"no survival can be learned on them. Learn on a sample without negative weights, or on data "
            f"(training.on)."
        )
        raise InputError(msg)
    return values


def _require_calibration_jets(n: int, fold: int, k: int) -> None:
    if n < MIN_CALIBRATION_JETS:
        msg = (
            f"folds: fold {fold} of {k} has {n} background jets to calibrate on that are not held out, fewer "
            f"than {MIN_CALIBRATION_JETS}. Read more files, hold out less (`training.held_out`), or make "
            f"fewer folds (`folds` or --folds, at least 2)."
        )
        raise TooFewJetsError(msg)


def _seed_of_fold(seed: int, fold: int) -> int:
    return int(np.random.SeedSequence([seed, fold]).generate_state(1)[0] >> 1)


def _progress_of_fold(progress: FoldProgress | None, fold: int, k: int) -> Progress | None:
    if progress is None:
        return None
    return lambda epoch, n_epochs, logs: progress(fold, k, epoch, n_epochs, logs)
