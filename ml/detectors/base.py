"""What every detector has in common: hyper-parameters, provenance, saving, checking of scores.

A detector is one file with one subclass of `Detector`, and one line in
`oddjet.ml.detectors.DETECTORS`. The subclass is a dataclass whose fields are the hyper-parameters,
each declared with its default and what it may be, and it implements `_fit`, `_scores`, `_save` and
`_load`:

    @dataclass(kw_only=True, eq=False)
    class KMeansDetector(Detector):
        score_names = ("min_d",)
        label = "kmeans"

        k: int = constrained(100, Interval(int, 1))
        representation: Representation = constrained(
            factory=JetImage, constraint=InstanceOf(Representation)
        )
"""

from __future__ import annotations

import math
import platform
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from oddjet.datasets.disk.digest import content_key
from oddjet.datasets.jets import Jets
from oddjet.errors import DetectorError, NonFiniteError, TooFewJetsError
from oddjet.ml.detectors.hyper_parameters import Configurable
from oddjet.ml.folder import (
    DetectorInfo,
    applying,
    read_info,
    reading,
    replace_folder,
    require_same,
    write_info,
)
from oddjet.ml.networks.resume import Resume
from oddjet.ml.networks.training import Progress
from oddjet.ml.plugins import allow_classes, class_path, saved_class
from oddjet.ml.provenance import Provenance
from oddjet.ml.representations import representation_from_identity

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Detector", "Scores"]

Scores = dict[str, npt.NDArray[np.float64]]
"""Score name → one number a jet; higher is more anomalous, always."""

INFO_FILE = "detector.json"
PROVENANCE_FILE = "provenance.npz"
PACKAGES = ("oddjet", "numpy", "scikit-learn", "keras", "tensorflow")


class Detector(Configurable, ABC):
    """Base of all detectors.

    Subclasses take keyword-only hyper-parameters of JSON types and store each under its name,
    unchanged; `representation` is one of them. What fitting learns ends in an underscore.

    Attributes:
        representation: What the detector sees of a jet.
        provenance_: The events it was fitted on, validation included.
    """

    score_names: ClassVar[tuple[str, ...]]
    """The scores it gives, the main one first."""

    min_jets: ClassVar[int] = 100
    """Fewer jets than this are refused for training."""

    supervised: ClassVar[bool] = False
    """Whether training needs signal jets too, marked by their label: a reference, no search."""

    scoring_batch: ClassVar[int | None] = None
    """Most jets that `_scores` gets at once, so that memory does not grow with jets; None for all."""

    seed_: int | None = None
    provenance_: Provenance
    _fingerprint: str | None = None
    _resume: Resume | None = None

    # --- what a detector implements -------------------------------------------------------------

    @abstractmethod
    def _fit(
        self, jets: Jets, *, validation: Jets | None, seed: int, progress: Progress | None
    ) -> None:
        """Train from scratch on jets; all randomness comes from `seed`.

        A training in epochs passes `resume=self._resuming()`, or one stage's, to the loop.
        """

    @abstractmethod
    def _scores(self, jets: Jets) -> Mapping[str, npt.ArrayLike]:
        """Score n >= 1 jets, at most `scoring_batch`: `score_names` → (n,), higher is more anomalous."""

    @abstractmethod
    def _save(self, folder: Path) -> None:
        """Write what `_fit` learned as `.npz`, `.json` or `.keras` files; never pickles."""

    @abstractmethod
    def _load(self, folder: Path) -> None:
        """Read what `_save` wrote. The files' hashes have been checked."""

    def _scores_by_epoch(
        self,
        jets: Jets,  # noqa: ARG002
    ) -> Iterable[tuple[int, Mapping[str, npt.ArrayLike]]]:
        """Score jets (n >= 0) with each model kept, by rising epoch; none unless overridden."""
        return ()

    # --- what users call ------------------------------------------------------------------------

    @property
    def is_fitted(self) -> bool:
        """Whether it has been fitted or loaded."""
        return self.seed_ is not None

    def fit(
        self,
        jets: Jets,
        *,
        validation: Jets | None = None,
        seed: int,
        progress: Progress | None = None,
        resume_in: Path | str | None = None,
    ) -> Self:
        """Train on jets taken to be ordinary; earlier training is forgotten.

        Args:
            jets: Training jets. Every jet counts once: weights are not used.
            validation: Jets to judge the training by; otherwise a part of `jets` is set aside.
                These events count as trained on too, for they decide when the training stops.
            seed: Fixes everything random.
            progress: Called after each epoch with its number, their number, and the losses.
            resume_in: A folder to keep the state of a training in epochs in. The same call after an
                interruption goes on from there and comes to the same end; after a completed one it
                does no epoch again. The caller removes the folder when it is no longer needed.

        Raises:
            TooFewJetsError: If there are fewer than `min_jets`, or no validation jets.
            DetectorError: If the training diverges.
        """
        if len(jets) < self.min_jets:
            msg = (
                f"{type(self).__name__} needs at least {self.min_jets} jets to train. "
                f"Received: {len(jets)}. Loosen the selection or read more files."
            )
            raise TooFewJetsError(msg)
        if validation is not None and not len(validation):
            msg = (
                f"{type(self).__name__}: there are no validation jets. Pass some, or None to set "
                f"aside a part of the training jets."
            )
            raise TooFewJetsError(msg)
        self.seed_ = self._fingerprint = None
        self._resume = None if resume_in is None else self._resume_of(Path(resume_in), seed)
        try:
            self._fit(jets, validation=validation, seed=seed, progress=progress)
        finally:
            self._resume = None
        self.provenance_ = Provenance.from_jets(jets, validation)
        self.seed_ = int(seed)
        return self

    def scores(self, jets: Jets, *, allow_trained: bool = False) -> Scores:
        """Score jets; higher is more anomalous.

        Args:
            jets: n jets; n may be 0.
            allow_trained: Score jets of events it was trained on too.

        Returns:
            `score_names` → float64 array of shape (n,), all finite.

        Raises:
            TrainedOnError: If jets belong to events it was trained on.
            NonFiniteError: If a score comes out as NaN or infinite.
            DetectorError: If it was not fitted.
        """
        self._admit(jets, "scores", allow_trained=allow_trained)
        if not len(jets):
            return {name: np.zeros(0) for name in self.score_names}
        with applying(type(self).__name__):
            scores = self._in_batches(self._scores, jets)
        return self._checked(scores, len(jets))

    def scores_by_epoch(self, jets: Jets, *, allow_trained: bool = False) -> dict[int, Scores]:
        """Score jets with the models kept during the training.

        Args:
            jets: n jets; n may be 0.
            allow_trained: As in `scores`.

        Returns:
            Epoch → what `scores` would have given after it; empty for a detector that is not
            trained in epochs or kept no models. The last epochs may lie beyond the best one,
            which `scores` uses.

        Raises:
            TrainedOnError: If jets belong to events it was trained on.
            NonFiniteError: If a score comes out as NaN or infinite.
            DetectorError: If it was not fitted.
        """
        self._admit(jets, "scores_by_epoch", allow_trained=allow_trained)
        with applying(type(self).__name__):
            by_epoch = dict(self._scores_by_epoch(jets))
        return {epoch: self._checked(scores, len(jets)) for epoch, scores in by_epoch.items()}

    def save(self, folder: Path | str) -> str:
        """Write the detector as a folder, atomically; an earlier one there is replaced.

        Returns:
            Its fingerprint: the SHA-256 of everything in the folder.

        Raises:
            DetectorError: If it was not fitted, or something else is in the place.
        """
        self._require_fitted("save")
        with replace_folder(Path(folder), marker=INFO_FILE) as new:
            self._fingerprint = self._write(new)
        return self._fingerprint

    @classmethod
    def load(cls, folder: Path | str) -> Self:
        """Read a detector that `save` wrote; on `Detector` itself, of any class.

        Raises:
            DetectorError: If there is none, it was changed or damaged, is of another class, or
                newer than this oddjet.
        """
        folder = Path(folder)
        info, where = read_info(folder, INFO_FILE, DetectorInfo), str(folder / INFO_FILE)
        detector_class: type[Self] = saved_class("detectors", info["detector"], cls, where=where)
        with reading(folder):
            representation = representation_from_identity(info["representation"], saved_in=where)
            detector = detector_class.create(
                {**info["hyper_parameters"], "representation": representation}
            )
            require_same(where, "scores", list(detector.score_names), info["score_names"])
            detector._read(folder, info)
        return detector

    @property
    def classes(self) -> tuple[str, ...]:
        """Paths of the classes that its folder names: its own, and its representation's."""
        return class_path(type(self)), class_path(type(self.representation))

    @property
    def fingerprint(self) -> str:
        """The SHA-256 of the saved folder: it shows whether two scores come from one model.

        Raises:
            DetectorError: If it was neither saved nor loaded since it was fitted.
        """
        if self._fingerprint is None:
            msg = f"{type(self).__name__} has a fingerprint only once it is saved: call save first."
            raise DetectorError(msg)
        return self._fingerprint

    # --- pickling, to workers: the content of the saved files travels, no model object -----------

    def __getstate__(self) -> dict[str, Any]:
        if not self.is_fitted:
            return dict(self.__dict__)
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            self._write(folder)
            files = {path.name: path.read_bytes() for path in folder.iterdir()}
        # Who gives the detector on names its classes; the files alone would not be obeyed.
        return {
            "_saved_files": files,
            "_fingerprint": self._fingerprint,
            "_classes": self.classes,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        files = state.get("_saved_files")
        if files is None:
            self.__dict__.update(state)
            return
        allow_classes(state["_classes"])
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            for file_name, content in files.items():
                (folder / file_name).write_bytes(content)
            self.__dict__.update(type(self).load(folder).__dict__)
        self._fingerprint = state["_fingerprint"]

    def _flat(self, jets: Jets) -> npt.NDArray[Any]:
        """Represent jets and flatten: (n, numbers)."""
        return self.representation(jets).reshape(len(jets), math.prod(self.representation.shape))

    def _in_batches(
        self, function: Callable[[Jets], Mapping[str, npt.ArrayLike]], jets: Jets
    ) -> Mapping[str, npt.ArrayLike]:
        """Apply a function, from b jets to arrays of shape (b, …), to batches of n ≥ 0 jets."""
        size = self.scoring_batch
        if size is None or len(jets) <= size:
            return function(jets)
        parts = [function(jets[start : start + size]) for start in range(0, len(jets), size)]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def _resuming(self, stage: str = "training") -> Resume | None:
        """Give `optimise` or `train` the place of a stage's state, if there is to be one."""
        if self._resume is None:
            return None
        path = self._resume.path.with_name(f"{self._resume.path.stem}_{stage}.npz")
        return Resume(path, content_key([self._resume.key, stage]))

    # --- inside ---------------------------------------------------------------------------------

    def _resume_of(self, folder: Path, seed: int) -> Resume:
        key = content_key(
            [
                class_path(type(self)),
                self.hyper_parameters(),
                self.representation.identity(),
                int(seed),
                _versions(),
            ]
        )
        return Resume(folder / f"{key}.npz", key)

    def _write(self, folder: Path) -> str:
        self._save(folder)
        self.provenance_.save(folder / PROVENANCE_FILE)
        info = {
            "detector": class_path(type(self)),
            "hyper_parameters": self.hyper_parameters(),
            "representation": self.representation.identity(),
            "score_names": list(self.score_names),
            "seed": self.seed_,
            "trained_on_events": self.provenance_.summary(),
            "versions": _versions(),
        }
        return write_info(folder, INFO_FILE, info)

    def _read(self, folder: Path, info: dict[str, Any]) -> None:
        self._load(folder)
        self.provenance_ = Provenance.load(folder / PROVENANCE_FILE)
        self.seed_ = info["seed"]
        self._fingerprint = info["fingerprint"]

    def _checked(self, scores: Mapping[str, npt.ArrayLike], n: int) -> Scores:
        """Check what a subclass gave: the names it declared, one finite number a jet."""
        if tuple(scores) != self.score_names:
            msg = (
                f"{type(self).__name__} declares the scores {self.score_names} and gave "
                f"{tuple(scores)}."
            )
            raise DetectorError(msg)
        checked = {name: np.asarray(values, dtype=np.float64) for name, values in scores.items()}
        for name, values in checked.items():
            if values.shape != (n,):
                msg = (
                    f"{type(self).__name__}: expected score {name!r} of shape ({n},). "
                    f"Received: {values.shape}."
                )
                raise DetectorError(msg)
            if n_bad := int(np.count_nonzero(~np.isfinite(values))):
                msg = (
                    f"{type(self).__name__}: score {name!r} is NaN or infinite for {n_bad} of {n} "
                    f"jets, first for jet {int(np.argmin(np.isfinite(values)))}."
                )
                raise NonFiniteError(msg)
        return checked

    def _admit(self, jets: Jets, what: str, *, allow_trained: bool) -> None:
        """Refuse to score before the training, and jets of events trained on."""
        self._require_fitted(what)
        if not allow_trained:
            self.provenance_.refuse(jets, detector=type(self).__name__)

    def _require_fitted(self, what: str) -> None:
        if not self.is_fitted:
            msg = f"{type(self).__name__}.{what} needs a trained detector: call fit, or load one."
            raise DetectorError(msg)


def _versions() -> dict[str, str]:
    """Give the versions of Python and the packages whose code is in the numbers."""
    return {
        "python": platform.python_version(),
        **{package: metadata.version(package) for package in PACKAGES if find_spec(package)},
    }
