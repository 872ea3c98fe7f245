"""Out-of-fold detection: every jet is scored by a model that never saw its event.

Events fall into k folds by a hash of their number, and a share of them, by another hash, is held out from
learning. Model f is trained on the background of all folds but f, calibrated on the background of fold f,
held-out events always left out, and scores fold f. Each calibrated score says how rare a jet is in
background, so that one cut can be made on the scores of all k models. Only held-out events of what was
learned on may be hunted in and judged: others have trained or calibrated something.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
from threadpoolctl import threadpool_limits

from oddjet.datasets.folds import HELD_OUT, EventRoles, fold_of
from oddjet.datasets.jets import Jets, require_columns
from oddjet.ml.decorrelation import check_methods, method_name
from oddjet.ml.decorrelation.by_score import ByMethod, fit_methods
from oddjet.ml.detectors.base import Detector, Scores
from oddjet.ml.fold_files import (
    INFO_FILE,
    in_json_types,
    read_folds,
    read_parts,
    write_parts,
)
from oddjet.ml.fold_training import (
    Calibrations,
    FoldProgress,
    Learned,
    calibrate_folds,
    calibrating_rows,
    jet_weights,
    train_folds,
)
from oddjet.ml.folder import reading, replace_folder, write_info
from oddjet.ml.plugins import class_path
from oddjet.ml.provenance import dataset_names
from oddjet.ml.score_names import ScoreName
from oddjet.shown import Shown
from oddjet.typing import Floats, Ints

__all__ = ["INFO_FILE", "FoldProgress", "FoldedDetector", "Learned"]

log = logging.getLogger(__name__)


@dataclass(eq=False)
class FoldedDetector(Shown):
    """k detectors and their calibrations, one for each fold of events.

    Jets of datasets that no model was trained on, such as signals, are scored by the model of
    their own fold like all others. Any model could score them, but an average of k models has
    another spread than one model, and one fixed model another scale than the rest: in a mixture
    of signal and background the two would be treated differently for no physical reason. Make one with
    `fit` or `load`.

    Attributes:
        label: Prefix of its columns in a scores table.
        detector: Name of the detector, as `oddjet.ml.create` takes it.
        hyper_parameters: As `oddjet.ml.create` takes them.
        seed: What the seeds of the k trainings come from.
        held_out: Share of the events that was held out from learning.
        learned: What `detectors`, `thresholds` and `maps` were learned on.
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
    calibrations: Calibrations
    held_out: float = HELD_OUT
    learned: Mapping[str, Learned] = field(default_factory=dict)
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
        held_out: float = HELD_OUT,
        progress: FoldProgress | None = None,
        resume_in: Path | str | None = None,
    ) -> FoldedDetector:
        """Train and calibrate on background jets, held-out events left out.

        The jets' `weight`, or 1, counts in thresholds: give several datasets cross-section weights.

        Args:
            jets: Background jets with run, luminosityBlock and event. Signal does not belong here.
            detector: Name and hyper-parameters, as `oddjet.ml.create` takes them.
            k: Number of folds, at least 2.
            seed: Fixes everything random.
            label: Prefix of the columns in a scores table; the detector's name by default.
            held_out: Share of the events that nothing is learned on, so that they can be hunted in and
                judged; 0 for jets that never will be.
            progress: Called after each epoch of each fold.
            resume_in: A folder to keep the state of the k trainings in, a subfolder each; see
                `Detector.fit`. After an interruption no finished epoch is done again.

        Raises:
            ConfigError: If k is below 2, or the share is not between 0 and 1.
            TooFewJetsError: If a fold has too few jets to train or calibrate.
            InputError: If the jets lack run, luminosityBlock or event, or weights are negative.
        """
        name, hyper_parameters = detector[0], dict(detector[1])
        roles = EventRoles.from_jets(jets, k=k, held_out_share=held_out)
        weights = jet_weights(jets)
        detectors = train_folds(
            jets,
            (name, hyper_parameters),
            roles,
            k=k,
            seed=seed,
            progress=progress,
            resume_in=resume_in,
        )
        learned = {
            "detectors": Learned(dataset_names(jets[roles.learning])),
            "thresholds": Learned.from_jets(jets, weights, roles.learning & (weights > 0)),
        }
        calibrations = calibrate_folds(detectors, jets, roles, weights)
        return cls(
            label or name,
            name,
            hyper_parameters,
            seed,
            detectors,
            calibrations,
            held_out,
            learned,
        )

    @property
    def k(self) -> int:
        """Number of folds."""
        return len(self.detectors)

    @property
    def learned_on(self) -> tuple[str, ...]:
        """Names of the datasets that something was learned on: only their held-out events may be hunted in."""
        return tuple(sorted({name for on in self.learned.values() for name in on.datasets}))

    @property
    def learned_in_json(self) -> dict[str, dict[str, Any]]:
        """What `learned` says, ready for JSON."""
        return {what: on.to_dict() for what, on in self.learned.items()}

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

    def calibrated(self, jets: Jets) -> FoldedDetector:
        """Learn the thresholds of raw scores on other jets, as `fit` does on those it trains with.

        Args:
            jets: Background jets with run, luminosityBlock and event; their `weight` counts.

        Returns:
            A detector with these thresholds, the models and decorrelations the same.

        Raises:
            TooFewJetsError: If a fold has too few jets.
            InputError: If columns are missing, or weights are negative.
        """
        roles, weights = self._roles(jets), jet_weights(jets)
        used = roles.learning & (weights > 0)
        return replace(
            self,
            calibrations=calibrate_folds(self.detectors, jets, roles, weights),
            learned={**self.learned, "thresholds": Learned.from_jets(jets, weights, used)},
            fingerprint="",
            folder=None,
        )

    def decorrelated(
        self, jets: Jets, *, methods: Mapping[str, Mapping[str, Any]], mass: str = "msoftdrop"
    ) -> FoldedDetector:
        """Decorrelate every score from mass and pt, map f on the learning jets of fold f.

        Args:
            jets: Background jets with `mass` and pt, those it was fitted on or others; their `weight`
                counts.
            methods: Name → hyper-parameters, as `oddjet.ml.decorrelation.create` takes them; none
                takes decorrelations away.
            mass: Column of the mass.

        Returns:
            A detector with these decorrelations instead of earlier ones, the models the same.

        Raises:
            ConfigError: If a method or hyper-parameter is unknown.
            TooFewJetsError: If a fold has too few jets for a method.
            InputError: If columns are missing, or weights are negative.
        """
        check_methods(methods)
        learned = {what: on for what, on in self.learned.items() if what != "maps"}
        if not methods:
            return replace(self, decorrelations=(), learned=learned, fingerprint="", folder=None)
        require_columns(jets, (mass, "pt"), where="decorrelation")
        roles, weights = self._roles(jets), jet_weights(jets)
        fitted = []
        for fold, rows in calibrating_rows(roles, weights, self.k):
            log.info("%s: decorrelating fold %d of %d", self.label, fold, self.k)
            at = {"mass": _column(jets, mass)[rows], "pt": _column(jets, "pt")[rows]}
            at["weights"], events = weights[rows], roles.events[rows]
            scores = self.detectors[fold].scores(jets[rows])
            fitted.append(fit_methods(methods, scores, **at, events=events))
        used = roles.learning & (weights > 0)
        return replace(
            self,
            decorrelations=tuple(fitted),
            decorrelation_mass=mass,
            learned={**learned, "maps": Learned.from_jets(jets, weights, used)},
            fingerprint="",
            folder=None,
        )

    def _roles(self, jets: Jets) -> EventRoles:
        return EventRoles.from_jets(jets, k=self.k, held_out_share=self.held_out)

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
                self._fill(scores, fold, rows, jets[rows])
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
            write_parts(new, self.detectors, self.calibrations, self.decorrelations)
            info = {
                "label": self.label,
                "detector": self.detector,
                "hyper_parameters": in_json_types(self.hyper_parameters),
                "seed": self.seed,
                "k": self.k,
                "held_out": self.held_out,
                "learned": self.learned_in_json,
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
        info = read_folds(folder)
        with reading(folder):
            decorrelation = info.get("decorrelation") or {}
            return cls(
                **{name: info[name] for name in ("label", "detector", "hyper_parameters", "seed")},
                **read_parts(folder, info),
                held_out=info["held_out"],
                learned={what: Learned.from_dict(on) for what, on in info["learned"].items()},
                fingerprint=info["fingerprint"],
                folder=folder,
                decorrelation_mass=decorrelation.get("mass", "msoftdrop"),
            )

    @staticmethod
    def fingerprint_of(folder: Path | str) -> str:
        """Give the fingerprint of a folder without loading it; every file is compared with its hash.

        Raises:
            DetectorError: As for `load`.
        """
        return str(read_folds(Path(folder))["fingerprint"])

    def _rows_by_fold(self, jets: Jets) -> Iterator[tuple[int, Ints]]:
        """Give each fold that has jets, and their rows."""
        if not len(jets):
            return
        folds = fold_of(jets, self.k)
        for fold in range(self.k):
            rows = np.flatnonzero(folds == fold)
            if len(rows):
                yield fold, rows

    def _fill(self, scores: Scores, fold: int, rows: Ints, jets: Jets) -> None:
        raw = self.detectors[fold].scores(jets)
        for name, values in raw.items():
            scores[name][rows] = values
            scores[ScoreName(name).calibrated][rows] = self.calibrations[fold][name](values)
        at = [_column(jets, c) for c in (self.decorrelation_mass, "pt") if self.methods]
        for method, by_score in self.decorrelations[fold].items() if self.methods else ():
            for name, values in raw.items():
                column = ScoreName(name, method_name(method)).column
                scores[column][rows] = by_score[name](values, *at)


def _column(jets: Jets, name: str) -> Floats:
    return np.asarray(ak.to_numpy(jets[name]), dtype=np.float64)
