"""What the studies share: trainings, evaluations, and results with a table, JSON and figures."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeAlias, runtime_checkable

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from pydantic import BaseModel

from oddjet.analysis.config import DetectorConfig
from oddjet.analysis.report.figures.roc import RocLine
from oddjet.analysis.report.figures.style import PlotLabel, legend_text
from oddjet.analysis.report.page import Cell, Picture, Section, Table
from oddjet.analysis.studies.jets import SIGNAL_EFFICIENCY, StudyJets, joined, shuffled
from oddjet.datasets.disk.digest import content_key
from oddjet.datasets.disk.numbers import jsonable
from oddjet.datasets.jets import Jets
from oddjet.errors import ConfigError, DetectorError
from oddjet.ml import create, detector_class
from oddjet.ml.detectors.base import Detector
from oddjet.ml.evaluation.bootstrap import Interval
from oddjet.ml.evaluation.roc import Evaluation, Roc
from oddjet.processors.engine.progress import Reporter, SilentReporter

__all__ = [
    "Cell",
    "Curve",
    "Figures",
    "PlotLabel",
    "Reconstructs",
    "ReconstructsMass",
    "Setting",
    "StudyResult",
    "evaluation_cells",
    "interval_text",
    "is_supervised",
    "titled",
    "training_jets",
]

Figures: TypeAlias = dict[str, Figure]
"""Name of a file → figure."""

CURVE_POINTS = 200


@runtime_checkable
class Reconstructs(Protocol):
    """A detector that gives back the jets it was given, as far as it can."""

    def reconstruct(self, jets: Jets) -> npt.NDArray[Any]:
        """Reconstruct jets: an array of the shape of their representation, (n, …)."""


@runtime_checkable
class ReconstructsMass(Protocol):
    """A detector that says what it makes of the jets' masses."""

    def reconstruct_masses(self, jets: Jets) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        """Give the masses of jets as they went in and as they came out [GeV], each (n,)."""


@dataclasses.dataclass(frozen=True, eq=False)
class Setting:
    """How a study is run.

    Attributes:
        detectors: Detectors, each with a key of its own.
        seed: Fixes everything random.
        resume_in: Folder to keep the state of trainings in; an interrupted study that is repeated
            goes on from there. `run_study` removes it.
    """

    detectors: tuple[DetectorConfig, ...]
    seed: int = 1
    resume_in: Path | None = None
    reporter: Reporter = dataclasses.field(default_factory=SilentReporter)

    def __post_init__(self) -> None:
        keys = [detector.key for detector in self.detectors]
        if not keys or len(set(keys)) != len(keys):
            msg = f"study: expected detectors, each with a label of its own. Received: {keys}."
            raise ConfigError(msg)

    def common_fields(self, jets: StudyJets) -> dict[str, Any]:
        """Give the fields that all results share."""
        return {
            "background": jets.background_name,
            "signals": tuple(jets.signals),
            "detectors": self.detectors,
            "seed": self.seed,
            "n_test": jets.n_test(),
        }

    def train(
        self, detector: DetectorConfig, jets: Jets, *, what: str, seed: int | None = None
    ) -> Detector:
        """Train one detector of a study.

        `what` it is trained on, in words, names the state on disk, together with detector and seed.

        Raises:
            TooFewJetsError: If there are too few jets.
            DetectorError: If the detector is unknown or the training diverges.
        """
        seed = self.seed if seed is None else seed
        folder = None
        if self.resume_in is not None:
            folder = self.resume_in / f"{detector.key}-{content_key([what, seed], length=10)}"
        model = create(detector.name, **detector.hyper_parameters)
        with self.reporter.track(f"{detector.key} on {what}", 100, "%") as update:

            def progress(epoch: int, n_epochs: int, logs: dict[str, float]) -> None:
                del logs
                update(round(100 * epoch / n_epochs))

            model.fit(jets, seed=seed, progress=progress, resume_in=folder)
            update(100)
        return model

    def train_on_background(self, jets: StudyJets) -> Iterator[tuple[DetectorConfig, Detector]]:
        """Train every detector on `training_jets`, one after the other.

        Raises:
            TooFewJetsError: If there are too few jets.
            DetectorError: If a detector is unknown or its training diverges.
        """
        for detector in self.detectors:
            training = training_jets(jets, detector, seed=self.seed)
            yield detector, self.train(detector, training, what=jets.background_name)

    def require_unsupervised(self, *, study: str) -> None:
        """Refuse detectors that are trained on signal, with a `ConfigError`."""
        for detector in self.detectors:
            if is_supervised(detector):
                msg = (
                    f"study {study}: '{detector.key}' is supervised, and this study asks what a "
                    f"detector learns without labels. Choose another detector, or study wrong_signal."
                )
                raise ConfigError(msg)

    def require_ability(self, ability: type, *, study: str) -> None:
        """Refuse detectors without the optional method of a protocol, before anything is trained.

        Raises:
            DetectorError: If a detector lacks it.
        """
        for detector in self.detectors:
            if not issubclass(detector_class(detector.name), ability):
                methods = [name for name in vars(ability) if not name.startswith("_")]
                msg = (
                    f"study {study}: detector '{detector.key}' has no method {', '.join(methods)}, so "
                    f"there is nothing to look at. Choose one that reconstructs its input, such as an "
                    f"autoencoder."
                )
                raise DetectorError(msg)


@dataclasses.dataclass(frozen=True)
class Curve:
    """A ROC curve at a few hundred points.

    Attributes:
        signal_efficiency: Rising to 1.
        background_efficiency: At each; rising to 1.
    """

    signal_efficiency: tuple[float, ...]
    background_efficiency: tuple[float, ...]

    @classmethod
    def from_roc(cls, roc: Roc) -> Curve:
        """Thin out a curve."""
        grid = np.linspace(1 / CURVE_POINTS, 1, CURVE_POINTS).tolist()
        reached = [roc.background_efficiency(efficiency) for efficiency in grid]
        # The last signal jet may be found before the last background jet.
        return cls((*grid, 1.0), (*reached, 1.0))

    def line(self, label: str, area: Interval) -> RocLine:
        """Give the curve for a figure, with its AUC."""
        efficiencies = (np.array(self.signal_efficiency), np.array(self.background_efficiency))
        return RocLine(label, *efficiencies, area)


@dataclasses.dataclass(frozen=True, eq=False)
class StudyResult(ABC):
    """What a study found.

    Attributes:
        detectors: Name and hyper-parameters of the detectors.
        n_test: Test jets by sample.
    """

    study: ClassVar[str]
    """Name of the study."""

    background: str
    signals: tuple[str, ...]
    detectors: tuple[DetectorConfig, ...]
    seed: int
    n_test: dict[str, int]

    @abstractmethod
    def records(self) -> Sequence[Mapping[str, Cell]]:
        """Give the lines of the table: heading → cell, the same headings for all."""

    @abstractmethod
    def figures(self, *, label: PlotLabel | None = None) -> Figures:
        """Draw the study."""

    def to_dict(self) -> dict[str, Any]:
        """Give every number, ready for JSON; fields marked `shown_only` are left out."""
        return {"study": self.study, **dict(jsonable(_plain(self)))}

    def section(self, *, label: PlotLabel | None = None) -> Section:
        """Show the study: its table, figures and numbers."""
        figures = self.figures(label=label)
        title = f"Study {self.study}, background {self.background}"
        return Section(
            title=title,
            anchor="study",
            tables=(Table.from_records(self.records(), title),),
            pictures=tuple(
                Picture(partial(figures.__getitem__, name), name, name=name) for name in figures
            ),
            numbers=self.to_dict(),
        )


def is_supervised(detector: DetectorConfig) -> bool:
    """Whether a detector learns from labels."""
    return detector_class(detector.name).supervised


def training_jets(jets: StudyJets, detector: DetectorConfig, *, seed: int) -> Jets:
    """Give the background's training jets, shuffled; for a supervised detector all signals too."""
    background = jets.training(jets.background_name)
    if not is_supervised(detector):
        return shuffled(background, seed=seed)
    signals = [jets.training(name) for name in jets.signals]
    return shuffled(joined([background], signals), seed=seed)


def evaluation_cells(evaluation: Evaluation) -> dict[str, Cell]:
    """Give the AUC and the rejection of one score: heading → cell."""
    return {
        "AUC": interval_text(evaluation.auc),
        f"1/ε_b at ε_s = {SIGNAL_EFFICIENCY:g}": interval_text(
            evaluation.rejection[SIGNAL_EFFICIENCY], digits=1
        ),
    }


def interval_text(interval: Interval | None, *, digits: int = 3) -> str:
    """Write a number with its interval, as a table shows it; a dash for NaN and None."""
    return "–" if interval is None else interval.text(digits)


def titled(label: PlotLabel | None, text: str) -> PlotLabel:
    """Write above the axes what is shown, where they have no other text."""
    label = PlotLabel() if label is None else label
    return label if label.right else dataclasses.replace(label, right=legend_text(text))


def _plain(value: Any) -> Any:
    """Take dataclasses and settings apart, at any depth."""
    if isinstance(value, BaseModel):
        return value.model_dump()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            field.name: _plain(getattr(value, field.name))
            for field in dataclasses.fields(value)
            if not field.metadata.get("shown_only")
        }
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
