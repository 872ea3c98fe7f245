"""What the studies share: trainings, evaluations, and results with a table, JSON and figures."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel

from oddjet.analysis.config import DetectorConfig
from oddjet.analysis.report.page import Cell, Picture, Section, Table
from oddjet.analysis.studies.jets import StudyJets, joined, shuffled
from oddjet.datasets.disk.digest import content_key
from oddjet.datasets.disk.numbers import jsonable
from oddjet.datasets.jets import Jets
from oddjet.errors import ConfigError, DetectorError
from oddjet.ml.evaluation.bootstrap import Interval
from oddjet.ml.evaluation.roc import Evaluation, Roc, evaluate
from oddjet.processors.engine.progress import Reporter, SilentReporter
from oddjet.typing import Floats

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from oddjet.analysis.report.figures.style import PlotLabel
    from oddjet.ml.detectors.base import Detector, Scores

__all__ = [
    "Cell",
    "Curve",
    "Reconstructs",
    "ReconstructsMass",
    "Setting",
    "StudyResult",
    "common_fields",
    "evaluate_pair",
    "interval_text",
    "require_ability",
    "require_unsupervised",
    "score_test_jets",
    "select_score",
    "titled",
    "train_model",
    "training_jets",
]

CURVE_POINTS = 200
SIGNAL_EFFICIENCY = 0.2


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
            goes on from there. Whoever runs the study removes it.
        reporter: Receives progress.
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


@dataclasses.dataclass(frozen=True, eq=False)
class StudyResult(ABC):
    """What a study found.

    Attributes:
        background: Name of the background.
        signals: Names of the signals.
        detectors: Name and hyper-parameters of the detectors.
        seed: Of the study.
        n_test: Test jets by sample.
    """

    study: ClassVar[str]
    """Name of the study."""

    background: str
    signals: tuple[str, ...]
    detectors: tuple[DetectorConfig, ...]
    seed: int
    n_test: dict[str, int]

    @property
    @abstractmethod
    def headers(self) -> tuple[str, ...]:
        """Headings of the table."""

    @abstractmethod
    def rows(self) -> list[tuple[Cell, ...]]:
        """Give the table's lines, one cell for each of `headers`."""

    @abstractmethod
    def figures(self, *, label: PlotLabel | None = None) -> dict[str, Figure]:
        """Draw the study: name of a file → figure.

        Args:
            label: Text above the axes.
        """

    def to_dict(self) -> dict[str, Any]:
        """Give every number, ready for JSON; fields marked `shown_only` are left out."""
        return {"study": self.study, **dict(jsonable(_plain(self)))}

    def section(self, *, label: PlotLabel | None = None) -> Section:
        """Show the study: its table, figures and numbers.

        Args:
            label: Text above the axes.
        """
        figures = self.figures(label=label)
        title = f"Study {self.study}, background {self.background}"
        return Section(
            title=title,
            anchor="study",
            tables=(Table(self.headers, tuple(self.rows()), title),),
            pictures=tuple(
                Picture(partial(figures.__getitem__, name), name, name=name) for name in figures
            ),
            numbers=self.to_dict(),
        )


def common_fields(jets: StudyJets, setting: Setting) -> dict[str, Any]:
    """Give the fields that all results share."""
    return {
        "background": jets.background_name,
        "signals": tuple(jets.signals),
        "detectors": setting.detectors,
        "seed": setting.seed,
        "n_test": jets.n_test(),
    }


def train_model(
    detector: DetectorConfig, jets: Jets, setting: Setting, *, what: str, seed: int | None = None
) -> Detector:
    """Train one detector of a study.

    Args:
        detector: Which.
        jets: To train on.
        setting: How the study is run.
        what: What it is trained on, in words; with detector and seed it names the state on disk.
        seed: Of the training; the study's by default.

    Raises:
        TooFewJetsError: If there are too few jets.
        DetectorError: If the detector is unknown or the training diverges.
    """
    from oddjet.ml import create  # noqa: PLC0415 (keeps the command line quick)

    seed = setting.seed if seed is None else seed
    folder = None
    if setting.resume_in is not None:
        folder = setting.resume_in / f"{detector.key}-{content_key([what, seed], length=10)}"
    model = create(detector.name, **detector.hyper_parameters)
    with setting.reporter.track(f"{detector.key} on {what}", 100, "%") as update:

        def progress(epoch: int, n_epochs: int, logs: dict[str, float]) -> None:
            del logs
            update(round(100 * epoch / n_epochs))

        model.fit(jets, seed=seed, progress=progress, resume_in=folder)
        update(100)
    return model


def training_jets(jets: StudyJets, detector: DetectorConfig, *, seed: int) -> Jets:
    """Give the background's training jets, shuffled; for a supervised detector all signals too."""
    from oddjet.ml import detector_class  # noqa: PLC0415 (keeps the command line quick)

    background = jets.training(jets.background_name)
    if not detector_class(detector.name).supervised:
        return shuffled(background, seed=seed)
    signals = [jets.training(name) for name in jets.signals]
    return shuffled(joined([background], signals), seed=seed)


def require_unsupervised(setting: Setting, *, study: str) -> None:
    """Refuse detectors that are trained on signal.

    Raises:
        ConfigError: If there is one.
    """
    from oddjet.ml import detector_class  # noqa: PLC0415 (keeps the command line quick)

    for detector in setting.detectors:
        if detector_class(detector.name).supervised:
            msg = (
                f"study {study}: '{detector.key}' is supervised, and this study asks what a "
                f"detector learns without labels. Choose another detector, or study wrong_signal."
            )
            raise ConfigError(msg)


def score_test_jets(model: Detector, jets: StudyJets) -> dict[str, Scores]:
    """Score the test jets of every sample: sample → score → (n,)."""
    return {name: model.scores(jets.test(name)) for name in jets.names}


def select_score(scores: Mapping[str, Scores], score: str) -> dict[str, Floats]:
    """Pick one score: sample → (n,)."""
    return {name: found[score] for name, found in scores.items()}


def evaluate_pair(
    jets: StudyJets,
    scores: Mapping[str, Scores],
    signal: str,
    *,
    against: str | None = None,
    seed: int,
    efficiencies: Sequence[float] = (SIGNAL_EFFICIENCY,),
) -> list[Evaluation]:
    """Evaluate every score of one signal against the background, or against another sample."""
    names = list(scores[signal])
    columns = {name: jets.pair(select_score(scores, name), signal, against) for name in names}
    _, is_signal, weights = columns[names[0]]
    return evaluate(
        {name: values for name, (values, _, _) in columns.items()},
        is_signal,
        weights,
        signal_efficiencies=efficiencies,
        seed=seed,
    )


def require_ability(setting: Setting, ability: type, *, study: str) -> None:
    """Refuse detectors without an optional method, before anything is trained.

    Args:
        setting: The detectors.
        ability: A protocol of this module, such as `ReconstructsMass`.
        study: Who asks.

    Raises:
        DetectorError: If a detector lacks it.
    """
    from oddjet.ml import detector_class  # noqa: PLC0415 (keeps the command line quick)

    for detector in setting.detectors:
        if not issubclass(detector_class(detector.name), ability):
            methods = [name for name in vars(ability) if not name.startswith("_")]
            msg = (
                f"study {study}: detector '{detector.key}' has no method {', '.join(methods)}, so "
                f"there is nothing to look at. Choose one that reconstructs its input, such as an "
                f"autoencoder."
            )
            raise DetectorError(msg)


def interval_text(interval: Interval | None, *, digits: int = 3) -> str:
    """A number with its interval, as a table shows it.

    >>> interval_text(Interval(0.87, 0.861, 0.8799))
    '0.870 [0.861, 0.880]'
    >>> interval_text(Interval(12.0, 9.0, float("inf")), digits=1)
    '12.0 [9.0, ∞]'
    """
    if interval is None or np.isnan(interval.value):
        return "–"
    value, low, high = (
        f"{x:.{digits}f}" if np.isfinite(x) else "∞"
        for x in (interval.value, interval.low, interval.high)
    )
    return f"{value} [{low}, {high}]"


def titled(label: PlotLabel | None, text: str) -> PlotLabel:
    """Say above the axes what is shown, where nothing else stands there."""
    from oddjet.analysis.report.figures.style import PlotLabel, legend_text  # noqa: PLC0415

    label = PlotLabel() if label is None else label
    return label if label.right else dataclasses.replace(label, right=legend_text(text))


def _plain(value: Any) -> Any:
    """Take dataclasses and settings apart, at any depth."""
    if isinstance(value, BaseModel):
        return value.model_dump()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            each.name: _plain(getattr(value, each.name))
            for each in dataclasses.fields(value)
            if not each.metadata.get("shown_only")
        }
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value
