"""Out-of-fold detection: every jet is scored by a model that never saw its event.

Events fall into k folds by a hash of their number. The jets of fold f are scored by model f, which
was trained on the background of all folds but f and f + 1 (modulo k), and calibrated on the
background of fold f + 1, which model f has not seen either. Each calibrated score says how rare a
jet is in background, so that one cut can be made on the scores of all k models.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from oddjet.datasets.folds import fold_of
from oddjet.datasets.jets import Jets, require_columns
from oddjet.errors import DetectorError
from oddjet.ml.calibration import SurvivalCalibration, load_calibrations, save_calibrations
from oddjet.ml.decorrelation import Decorrelation, check_methods, method_name
from oddjet.ml.decorrelation.by_score import ByMethod, fit_methods, load_methods, save_methods
from oddjet.ml.detectors.base import Detector, Scores
from oddjet.ml.fold_training import FoldProgress, calibration_weights, train_folds
from oddjet.ml.folder import (
    FoldsInfo,
    read_info,
    reading,
    replace_folder,
    require_same,
    write_info,
)
from oddjet.ml.plugins import class_path, saved_class
from oddjet.ml.score_names import ScoreName
from oddjet.shown import Shown
from oddjet.typing import Floats, Ints

__all__ = ["FoldProgress", "FoldedDetector"]

log = logging.getLogger(__name__)

INFO_FILE = "folds.json"


@dataclass(eq=False)
class FoldedDetector(Shown):
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
        decorrelations: For each fold: method → score name → decorrelation; see `decorrelated`.
        decorrelation_mass: Column of the mass these were fitted in.
        folder: Where it was saved or loaded; None until then.
        fingerprint: SHA-256 of the saved folder; empty until saved or loaded.
    """

    label: str
    detector: str
    hyper_parameters: dict[str, Any]
    seed: int
    detectors: tuple[Detector, ...]
    calibrations: tuple[dict[str, SurvivalCalibration], ...]
    fingerprint: str = ""
    decorrelations: tuple[ByMethod, ...] = ()
    decorrelation_mass: str = "msoftdrop"
    folder: Path | None = None

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
            InputError: If the jets lack run, luminosityBlock or event, or weights are negative.
        """
        name, hyper_parameters = detector[0], dict(detector[1])
        trained = train_folds(
            jets,
            (name, hyper_parameters),
            k=k,
            seed=seed,
            label=label or name,
            weights=weights,
            progress=progress,
            resume_in=resume_in,
        )
        return cls(label or name, name, hyper_parameters, seed, *trained)

    @property
    def k(self) -> int:
        """Number of folds."""
        return len(self.detectors)

    @property
    def classes(self) -> tuple[str, ...]:
        """Paths of the classes that its folder names."""
        methods = [m for by_score in self.decorrelations[:1] for m in by_score.values()]
        fitted = [class_path(type(d)) for by_name in methods for d in by_name.values()]
        return tuple(dict.fromkeys([*self.detectors[0].classes, *fitted]))

    @property
    def raw_score_names(self) -> tuple[str, ...]:
        """Names of the detector's own scores, the main one first."""
        return self.detectors[0].score_names

    @property
    def methods(self) -> tuple[str, ...]:
        """Names of the decorrelations, as `oddjet.ml.decorrelation.create` takes them."""
        return tuple(self.decorrelations[0]) if self.decorrelations else ()

    @property
    def score_names(self) -> tuple[str, ...]:
        """Names that `scores` gives: each raw score, its calibrated and its decorrelated forms."""
        return tuple(
            name
            for score in self.raw_score_names
            for name in (
                score,
                ScoreName(score).calibrated,
                *(ScoreName(score, method_name(method)).column for method in self.methods),
            )
        )

    def decorrelated(
        self,
        jets: Jets,
        *,
        methods: Mapping[str, Mapping[str, Any]],
        mass: str = "msoftdrop",
        weights: npt.ArrayLike | None = None,
    ) -> FoldedDetector:
        """Decorrelate every score from mass and pt, on the jets each fold was calibrated on.

        Args:
            jets: The background jets it was fitted on, with `mass` and pt, or others: those of
                events that a fold's model was trained on are not used.
            methods: Name → hyper-parameters, as `oddjet.ml.decorrelation.create` takes them; none
                takes decorrelations away.
            mass: Column of the mass.
            weights: As in `fit`.

        Returns:
            A detector with these decorrelations instead of earlier ones, the models the same.

        Raises:
            ConfigError: If a method or hyper-parameter is unknown.
            TooFewJetsError: If a fold has too few jets for a method.
            InputError: If columns are missing, or weights are negative.
        """
        check_methods(methods)
        if not methods:
            return replace(self, decorrelations=(), fingerprint="", folder=None)
        require_columns(jets, (mass, "pt"), where="decorrelation")
        folds = fold_of(jets, self.k)
        jet_weights = calibration_weights(jets, weights)
        fitted = []
        for fold, model in enumerate(self.detectors):
            rows = np.flatnonzero((folds == (fold + 1) % self.k) & (jet_weights > 0))
            log.info("%s: decorrelating fold %d of %d", self.label, fold, self.k)
            fitted.append(
                fit_methods(
                    methods,
                    model.scores(jets[rows]),
                    mass=_column(jets, mass)[rows],
                    pt=_column(jets, "pt")[rows],
                    weights=jet_weights[rows],
                )
            )
        return replace(
            self,
            decorrelations=tuple(fitted),
            decorrelation_mass=mass,
            fingerprint="",
            folder=None,
        )

    def scores(self, jets: Jets) -> Scores:
        """Score every jet with the model of its fold.

        Args:
            jets: n jets with run, luminosityBlock and event; n may be 0.

        Returns:
            `score_names` → float64 array of shape (n,): raw scores, which are comparable within a
            fold only, and calibrated ones, −log10 of the background's survival; decorrelated ones
            likewise, of the survival at the jet's mass and pt.

        Raises:
            InputError: If the jets lack run, luminosityBlock or event, or lack the mass or pt
                that decorrelations need.
        """
        if self.methods:
            require_columns(jets, (self.decorrelation_mass, "pt"), where="decorrelation")
        scores = {name: np.zeros(len(jets)) for name in self.score_names}
        # A matrix product's last bits depend on the number of threads, and jets have the same score
        # in a worker of one core as on a laptop.
        with threadpool_limits(1, user_api="blas"):
            for fold, rows in self._rows_by_fold(jets):
                raw = self.detectors[fold].scores(jets[rows])
                self._fill(scores, fold, rows, raw)
                self._fill_decorrelated(scores, fold, rows, raw, jets)
        return scores

    def scores_by_epoch(self, jets: Jets) -> dict[int, Scores]:
        """Score every jet with its fold's model as it was at several epochs.

        Returns:
            Epoch → raw scores, for the epochs that all folds reached and kept. No calibrated
            ones: the calibrations belong to the final models.
        """
        by_epoch: dict[int, Scores] = {}
        reached: set[int] | None = None
        for fold, rows in self._rows_by_fold(jets):
            raw = self.detectors[fold].scores_by_epoch(jets[rows])
            reached = set(raw) if reached is None else reached & set(raw)
            for epoch, scores in raw.items():
                empty = {name: np.zeros(len(jets)) for name in self.raw_score_names}
                for name, values in scores.items():
                    by_epoch.setdefault(epoch, empty)[name][rows] = values
        return {epoch: by_epoch[epoch] for epoch in sorted(reached or ())}

    def save(self, folder: Path | str) -> str:
        """Write a folder, atomically: `folds.json`, `fold0/` …, calibrations and decorrelations.

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
                save_calibrations(new, fold, calibration)
            for fold, by_method in enumerate(self.decorrelations):
                save_methods(new, fold, by_method)
            info = {
                "label": self.label,
                "detector": self.detector,
                "hyper_parameters": _in_json_types(self.hyper_parameters),
                "seed": self.seed,
                "k": self.k,
                "score_names": list(self.raw_score_names),
            }
            if self.methods:
                info["decorrelation"] = {
                    "methods": list(self.methods),
                    "mass": self.decorrelation_mass,
                }
            self.fingerprint = write_info(new, INFO_FILE, info)
        self.folder = Path(folder)
        return self.fingerprint

    @classmethod
    def load(cls, folder: Path | str) -> FoldedDetector:
        """Read what `save` wrote.

        Raises:
            DetectorError: If there is none, it was changed or damaged, or is newer than this
                oddjet.
        """
        folder = Path(folder)
        info = _read_info(folder)
        with reading(folder):
            folds = range(info["k"])
            decorrelation = info.get("decorrelation") or {}
            detectors = tuple(Detector.load(folder / f"fold{fold}") for fold in folds)
            _check_agreement(str(folder / INFO_FILE), info, detectors)
            return cls(
                label=info["label"],
                detector=info["detector"],
                hyper_parameters=info["hyper_parameters"],
                seed=info["seed"],
                detectors=detectors,
                calibrations=tuple(
                    load_calibrations(folder, fold, scores=info["score_names"]) for fold in folds
                ),
                fingerprint=info["fingerprint"],
                folder=folder,
                decorrelations=tuple(
                    load_methods(
                        folder, fold, methods=decorrelation["methods"], scores=info["score_names"]
                    )
                    for fold in folds
                )
                if decorrelation
                else (),
                decorrelation_mass=decorrelation.get("mass", "msoftdrop"),
            )

    @staticmethod
    def fingerprint_of(folder: Path | str) -> str:
        """Give the fingerprint of a folder without loading it; every file is compared with its hash.

        Raises:
            DetectorError: As for `load`.
        """
        return str(_read_info(Path(folder))["fingerprint"])

    def _rows_by_fold(self, jets: Jets) -> Iterator[tuple[int, Ints]]:
        """Give each fold that has jets, and their rows."""
        if not len(jets):
            return
        folds = fold_of(jets, self.k)
        for fold in range(self.k):
            rows = np.flatnonzero(folds == fold)
            if len(rows):
                yield fold, rows

    def _fill(self, scores: Scores, fold: int, rows: Ints, raw: Scores) -> None:
        for name, values in raw.items():
            scores[name][rows] = values
            scores[ScoreName(name).calibrated][rows] = self.calibrations[fold][name](values)

    def _fill_decorrelated(
        self, scores: Scores, fold: int, rows: Ints, raw: Scores, jets: Jets
    ) -> None:
        if not self.methods:
            return
        at = _column(jets, self.decorrelation_mass)[rows], _column(jets, "pt")[rows]
        for method, by_score in self.decorrelations[fold].items():
            for name, values in raw.items():
                column = ScoreName(name, method_name(method)).column
                scores[column][rows] = by_score[name](values, *at)


def _read_info(folder: Path) -> dict[str, Any]:
    if not (folder / INFO_FILE).exists() and (folder / "detector.json").exists():
        msg = f"{folder} holds a single detector: load it with oddjet.ml.load."
        raise DetectorError(msg)
    return read_info(folder, INFO_FILE, FoldsInfo)


def _check_agreement(where: str, info: Mapping[str, Any], detectors: Sequence[Detector]) -> None:
    """Refuse a folder whose detectors are not those that its JSON file names, or unknown methods.

    Raises:
        DetectorError: If a class or score is another, or a decorrelation's class is not known.
    """
    named = saved_class("detectors", info["detector"], Detector, where=where)
    for detector in detectors:
        require_same(where, "detector", named.__name__, type(detector).__name__)
        require_same(where, "scores", list(detector.score_names), info["score_names"])
    for method in (info.get("decorrelation") or {}).get("methods", ()):
        saved_class("decorrelations", method, Decorrelation, where=where)


def _column(jets: Jets, name: str) -> Floats:
    return np.asarray(ak.to_numpy(jets[name]), dtype=np.float64)


def _in_json_types(hyper_parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Write a representation as its identity, which `create` takes as well."""
    return {
        name: value.identity() if hasattr(value, "identity") else value
        for name, value in hyper_parameters.items()
    }
