"""Out-of-fold detection: every jet is scored by a model that never saw its event.

Events fall into k folds by a hash of their number. The jets of fold f are scored by model f, which
was trained on the background of all folds but f and f + 1 (modulo k), and calibrated on the
background of fold f + 1, which model f has not seen either. Each calibrated score says how rare a
jet is in background, so that one cut can be made on the scores of all k models.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from oddjet.datasets.folds import fold_of
from oddjet.datasets.jets import Jets
from oddjet.errors import ConfigError, DetectorError, InputError, TooFewJetsError
from oddjet.ml import create
from oddjet.ml.calibration import SurvivalCalibration
from oddjet.ml.detectors.base import Detector, Scores
from oddjet.ml.folder import read_info, replace_folder, write_info
from oddjet.ml.training import Progress

__all__ = ["FoldProgress", "FoldedDetector", "calibrated_name"]

log = logging.getLogger(__name__)

FoldProgress = Callable[[int, int, int, int, dict[str, float]], None]
"""`progress(fold, k, epoch, n_epochs, logs)`, after each epoch; folds from 0, epochs from 1."""

INFO_FILE = "folds.json"
MIN_CALIBRATION_JETS = 10


def calibrated_name(score: str) -> str:
    """Name the calibrated form of a score: `"mse"` → `"mse_calibrated"`."""
    return f"{score}_calibrated"


@dataclass(eq=False)
class FoldedDetector:
    """k detectors and their calibrations, one for each fold of events.

    Jets of datasets that no model was trained on, such as signals, are scored by the model of
    their own fold like all others. Any model could score them, but an average of k models has
    another spread than one model, and one fixed model another scale than the rest: in a mixture
    of signal and background the two would be treated differently for no physical reason.

    Make one with `fit` or `load`.

    Attributes:
        label: Prefix of its columns in a scores table.
        detector: Name of the detector, as `oddjet.ml.create` takes it.
        hyper_parameters: As `oddjet.ml.create` takes them.
        seed: What the seeds of the k trainings come from.
        detectors: Model f scores fold f; k of them.
        calibrations: For each fold: score name → calibration.
        fingerprint: SHA-256 of the saved folder; empty until saved or loaded.
    """

    label: str
    detector: str
    hyper_parameters: dict[str, Any]
    seed: int
    detectors: tuple[Detector, ...]
    calibrations: tuple[dict[str, SurvivalCalibration], ...]
    fingerprint: str = ""

    @classmethod
    def fit(
        cls,
        jets: Jets,
        *,
        detector: tuple[str, Mapping[str, Any]],
        k: int = 3,
        seed: int,
        label: str | None = None,
        weights: npt.ArrayLike | None = None,
        progress: FoldProgress | None = None,
        resume_in: Path | str | None = None,
    ) -> FoldedDetector:
        """Train and calibrate on background jets.

        Args:
            jets: Background jets with run, luminosityBlock and event. Signal does not belong here.
            detector: Name and hyper-parameters, as `oddjet.ml.create` takes them.
            k: Number of folds, at least 3: train, calibrate, apply.
            seed: Fixes everything random.
            label: Prefix of the columns in a scores table; the detector's name by default.
            weights: For the calibration, not negative, shape (n,): give cross-section weights when
                the background has several datasets. By default the jets' `weight`, or 1.
            progress: Called after each epoch of each fold.
            resume_in: A folder to keep the state of the k trainings in, a subfolder each; see
                `Detector.fit`. After an interruption no finished epoch is done again.

        Raises:
            ConfigError: If k is below 3.
            TooFewJetsError: If a fold has too few jets to train or calibrate.
            InputError: If the jets do not say which event they are from, or weights are negative.
        """
        if k < 3:
            msg = f"folds: k must be at least 3 (train, calibrate, apply). Received: {k}."
            raise ConfigError(msg)
        name, hyper_parameters = detector[0], dict(detector[1])
        folds = fold_of(jets, k)
        jet_weights = _calibration_weights(jets, weights)
        detectors, calibrations = [], []
        for fold in range(k):
            log.info("%s: training fold %d of %d", label or name, fold, k)
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
        return cls(
            label or name, name, hyper_parameters, seed, tuple(detectors), tuple(calibrations)
        )

    @property
    def k(self) -> int:
        """Number of folds."""
        return len(self.detectors)

    @property
    def raw_score_names(self) -> tuple[str, ...]:
        """Names of the detector's own scores, the main one first."""
        return self.detectors[0].score_names

    @property
    def score_names(self) -> tuple[str, ...]:
        """Names that `scores` gives: each raw score, then its calibrated form."""
        return tuple(
            name for score in self.raw_score_names for name in (score, calibrated_name(score))
        )

    def scores(self, jets: Jets) -> Scores:
        """Score every jet with the model of its fold.

        Args:
            jets: n jets with run, luminosityBlock and event; n may be 0.

        Returns:
            `score_names` → float64 array of shape (n,): raw scores, which are comparable within a
            fold only, and calibrated ones, −log10 of the background's survival.

        Raises:
            InputError: If the jets do not say which event they are from.
        """
        scores = {name: np.zeros(len(jets)) for name in self.score_names}
        for fold, rows in self._rows_by_fold(jets):
            self._fill(scores, fold, rows, self.detectors[fold].scores(jets[rows]))
        return scores

    def scores_by_epoch(self, jets: Jets) -> dict[int, Scores]:
        """Score every jet with its fold's model as it was at several epochs.

        Args:
            jets: n jets with run, luminosityBlock and event.

        Returns:
            Epoch → raw scores, for the epochs that all folds reached and kept. No calibrated
            ones: the calibrations belong to the final models.
        """
        by_epoch: dict[int, Scores] = {}
        reached: set[int] | None = None
        for fold, rows in self._rows_by_fold(jets):
            found = self.detectors[fold].scores_by_epoch(jets[rows])
            reached = set(found) if reached is None else reached & set(found)
            for epoch, scores in found.items():
                empty = {name: np.zeros(len(jets)) for name in self.raw_score_names}
                for name, values in scores.items():
                    by_epoch.setdefault(epoch, empty)[name][rows] = values
        return {epoch: by_epoch[epoch] for epoch in sorted(reached or ())}

    def save(self, folder: Path | str) -> str:
        """Write a folder, atomically: `folds.json`, `fold0/` … and the calibrations.

        Returns:
            Its fingerprint: the SHA-256 of everything in the folder.

        Raises:
            DetectorError: If something else is in the place.
        """
        with replace_folder(Path(folder), marker=INFO_FILE) as new:
            for fold, (model, calibration) in enumerate(
                zip(self.detectors, self.calibrations, strict=True)
            ):
                model.save(new / f"fold{fold}")
                for score, curve in calibration.items():
                    curve.save(new / _calibration_file(fold, score))
            info = {
                "label": self.label,
                "detector": self.detector,
                "hyper_parameters": _in_json_types(self.hyper_parameters),
                "seed": self.seed,
                "k": self.k,
                "score_names": list(self.raw_score_names),
            }
            self.fingerprint = write_info(new, INFO_FILE, info)
        return self.fingerprint

    @classmethod
    def load(cls, folder: Path | str) -> FoldedDetector:
        """Read what `save` wrote.

        Raises:
            DetectorError: If there is none, it was changed or damaged, or is newer than this
                oddjet.
        """
        folder = Path(folder)
        if not (folder / INFO_FILE).exists() and (folder / "detector.json").exists():
            msg = f"{folder} holds a single detector: load it with oddjet.ml.load."
            raise DetectorError(msg)
        info = read_info(folder, INFO_FILE)
        folds = range(info["k"])
        return cls(
            label=info["label"],
            detector=info["detector"],
            hyper_parameters=info["hyper_parameters"],
            seed=info["seed"],
            detectors=tuple(Detector.load(folder / f"fold{fold}") for fold in folds),
            calibrations=tuple(
                {
                    score: SurvivalCalibration.load(folder / _calibration_file(fold, score))
                    for score in info["score_names"]
                }
                for fold in folds
            ),
            fingerprint=info["fingerprint"],
        )

    def _rows_by_fold(self, jets: Jets) -> Iterator[tuple[int, npt.NDArray[np.int64]]]:
        """Give each fold that has jets, and their rows."""
        if not len(jets):
            return
        folds = fold_of(jets, self.k)
        for fold in range(self.k):
            rows = np.flatnonzero(folds == fold)
            if len(rows):
                yield fold, rows

    def _fill(self, scores: Scores, fold: int, rows: npt.NDArray[np.int64], found: Scores) -> None:
        for name, values in found.items():
            scores[name][rows] = values
            scores[calibrated_name(name)][rows] = self.calibrations[fold][name](values)


def _calibration_file(fold: int, score: str) -> str:
    return f"calibration{fold}_{score}.npz"


def _seed_of_fold(seed: int, fold: int) -> int:
    return int(np.random.SeedSequence([seed, fold]).generate_state(1)[0] >> 1)


def _progress_of_fold(progress: FoldProgress | None, fold: int, k: int) -> Progress | None:
    if progress is None:
        return None
    return lambda epoch, n_epochs, logs: progress(fold, k, epoch, n_epochs, logs)


def _calibration_weights(jets: Jets, weights: npt.ArrayLike | None) -> npt.NDArray[np.float64]:
    """Take the weights given, else the jets', else 1; refuse negative ones before any training."""
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
            f"than {MIN_CALIBRATION_JETS}. Read more files, or lower k (at least 3)."
        )
        raise TooFewJetsError(msg)


def _in_json_types(hyper_parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Write a representation as its identity, which `create` takes as well."""
    return {
        name: value.identity() if hasattr(value, "identity") else value
        for name, value in hyper_parameters.items()
    }
