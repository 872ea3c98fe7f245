"""Training and calibrating the k models of a folded detector."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from oddjet.datasets.folds import fold_of
from oddjet.datasets.jets import Jets
from oddjet.errors import ConfigError, InputError, TooFewJetsError
from oddjet.ml import create
from oddjet.ml.calibration import SurvivalCalibration
from oddjet.ml.detectors.base import Detector
from oddjet.ml.networks.training import Progress
from oddjet.typing import Floats

__all__ = ["FoldProgress", "calibration_weights", "train_folds"]

log = logging.getLogger(__name__)

FoldProgress = Callable[[int, int, int, int, dict[str, float]], None]
"""`progress(fold, k, epoch, n_epochs, logs)`, after each epoch; folds from 0, epochs from 1."""

MIN_CALIBRATION_JETS = 10


def train_folds(
    jets: Jets,
    detector: tuple[str, Mapping[str, Any]],
    *,
    k: int,
    seed: int,
    label: str,
    weights: npt.ArrayLike | None,
    progress: FoldProgress | None,
    resume_in: Path | str | None,
) -> tuple[tuple[Detector, ...], tuple[dict[str, SurvivalCalibration], ...]]:
    """Train k models and calibrate each on the fold that follows its own: score name → calibrations.

    The arguments are those of `FoldedDetector.fit`.

    Raises:
        ConfigError: If k is below 3.
        TooFewJetsError: If a fold has too few jets to train or calibrate.
        InputError: If the jets lack run, luminosityBlock or event, or weights are negative.
    """
    if k < 3:
        msg = f"folds: k must be at least 3 (train, calibrate, apply). Received: {k}."
        raise ConfigError(msg)
    name, hyper_parameters = detector
    folds = fold_of(jets, k)
    jet_weights = calibration_weights(jets, weights)
    detectors, calibrations = [], []
    for fold in range(k):
        log.info("%s: training fold %d of %d", label, fold, k)
        calibrating = folds == (fold + 1) % k
        _require_calibration_jets(int(calibrating.sum()), fold, k)
        model = create(name, **hyper_parameters)
        model.fit(
            jets[~calibrating & (folds != fold)],
            seed=_seed_of_fold(seed, fold),
            progress=_progress_of_fold(progress, fold, k),
            resume_in=None if resume_in is None else Path(resume_in) / f"fold{fold}",
        )
        scores = model.scores(jets[calibrating])
        detectors.append(model)
        calibrations.append(
            {
                score: SurvivalCalibration.fit(values, jet_weights[calibrating])
                for score, values in scores.items()
            }
        )
    return tuple(detectors), tuple(calibrations)


def calibration_weights(jets: Jets, weights: npt.ArrayLike | None) -> Floats:
    """Take the weights given, else the jets', else 1.

    Raises:
        InputError: If they are negative, or not one a jet.
    """
    if weights is None:
        weights = jets["weight"] if "weight" in jets.fields else np.ones(len(jets))
    values = np.asarray(weights, dtype=np.float64)
    if values.shape != (len(jets),):
        msg = f"folds: expected {len(jets)} weights, one a jet. Received: shape {values.shape}."
        raise InputError(msg)
    if n_negative := int(np.count_nonzero(values < 0)):
        msg = (
            f"folds: {n_negative} of {len(values)} background jets have negative weights, so that "
            f"no survival can be calibrated on them. Train on a sample without negative weights, "
            f"or pass weights= of your own."
        )
        raise InputError(msg)
    return values


def _require_calibration_jets(n: int, fold: int, k: int) -> None:
    if n < MIN_CALIBRATION_JETS:
        msg = (
            f"folds: fold {(fold + 1) % k} of {k} has {n} background jets to calibrate on, fewer "
            f"than {MIN_CALIBRATION_JETS}. Read more files, or make fewer folds (`folds` or --folds, at "
            f"least 3)."
        )
        raise TooFewJetsError(msg)


def _seed_of_fold(seed: int, fold: int) -> int:
    return int(np.random.SeedSequence([seed, fold]).generate_state(1)[0] >> 1)


def _progress_of_fold(progress: FoldProgress | None, fold: int, k: int) -> Progress | None:
    if progress is None:
        return None
    return lambda epoch, n_epochs, logs: progress(fold, k, epoch, n_epochs, logs)
