"""Training detectors on the background of a skim, and using a training again when it still holds."""

from __future__ import annotations

import os
import pkgutil
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np

from oddjet import ml
from oddjet.analysis.config import (
    AnalysisConfig,
    DecorrelationConfig,
    DetectorConfig,
    HuntConfig,
    TrainingConfig,
)
from oddjet.analysis.pipeline.folder import UNFINISHED
from oddjet.analysis.scores.learning import LearningSample, check_maps, learning_sample
from oddjet.analysis.scores.sample import dataset_scales
from oddjet.datasets.disk.atomic import require_no_folder
from oddjet.datasets.disk.digest import content_key, source_digest
from oddjet.datasets.disk.state import read_state, write_state
from oddjet.datasets.jets import Jets, Truth
from oddjet.datasets.skims.skim import Skim
from oddjet.errors import ConfigError, DetectorError
from oddjet.ml import detector_class
from oddjet.ml.decorrelation import DECORRELATIONS
from oddjet.ml.detectors import DETECTORS
from oddjet.ml.folder import require_place
from oddjet.ml.folds import INFO_FILE, FoldedDetector
from oddjet.processors.engine.progress import Reporter, SilentReporter
from oddjet.registry import Registry

__all__ = [
    "KEY_FILE",
    "TrainingPlan",
    "decorrelation_key",
    "place_of",
    "train_detector",
    "training_key",
]

KEY_FILE = "training.json"
_JETS_CODE = ("oddjet.datasets.folds", "oddjet.datasets.jets", "oddjet.datasets.kinematics")
AFTER_TRAINING = {"decorrelation"}


@dataclass(frozen=True)
class TrainingPlan:
    """How detectors are trained, calibrated and decorrelated.

    Attributes:
        folds: Number of folds k ≥ 2.
        seed: Seed of the trainings.
        decorrelation: How scores are made independent of mass and pt; None for not at all.
        training: What is learned on what.
        hunt: Its mass column, which decorrelations are in unless they name one, and the window that
            thresholds and maps do not see in data.
    """

    folds: int = 3
    seed: int = 1
    decorrelation: DecorrelationConfig | None = None
    training: TrainingConfig = field(default_factory=TrainingConfig)
    hunt: HuntConfig = field(default_factory=HuntConfig)

    @classmethod
    def from_config(cls, config: AnalysisConfig) -> TrainingPlan:
        """Take it from an analysis."""
        return cls(config.folds, config.seed, config.decorrelation, config.training, config.hunt)

    @property
    def mass(self) -> str:
        """Column of the mass in decorrelations."""
        return (self.decorrelation and self.decorrelation.mass) or self.hunt.mass

    def sample(self, skim: Skim, role: str) -> LearningSample:
        """What one of `ROLES` is learned on.

        Raises:
            ConfigError: The skim has no such datasets.
        """
        kinds = {name: dataset.kind for name, dataset in skim.manifest.datasets.items()}
        return learning_sample(role, kinds, self.training, self.hunt)


def training_key(skim: Skim, detector: DetectorConfig, plan: TrainingPlan) -> str:
    """Hash what a training depends on; keys of the background's parts stand for their contents."""
    sample = plan.sample(skim, "detectors")
    theirs = _module_outside(detector.name, DETECTORS)
    code = source_digest(*_training_code(), *_JETS_CODE, *theirs)
    wanted = [detector.name, detector.hyper_parameters, plan.folds, plan.seed]
    signals = _signal_datasets(skim, detector)
    return content_key([_sample_key(skim, sample, signals), plan.training.held_out, wanted, code])


def _sample_key(skim: Skim, sample: LearningSample, signals: tuple[str, ...] = ()) -> list[Any]:
    """What the jets of a sample follow from."""
    used = (*sample.datasets, *signals)
    parts = sorted(c.key for c in skim.manifest.chunks if c.dataset in used)
    return [parts, sample.cuts]


def _module_outside(name: str, registry: Registry[str]) -> list[str]:
    """Name the module of a class outside this package, one or none; its code enters keys."""
    if ":" not in name and name in registry.added:
        name = registry[name]
    return [name.partition(":")[0]] if ":" in name else []


def _training_code() -> list[str]:
    """Name what trains, so all of `oddjet.ml` but what is done with trained detectors' scores."""
    modules = {module.name for module in pkgutil.iter_modules(ml.__path__)}
    return [f"{ml.__name__}.{name}" for name in sorted(modules - AFTER_TRAINING)]


def decorrelation_key(training: str, plan: TrainingPlan, sample: Any = None) -> str | None:
    """Hash everything decorrelations depend on, their sample among it; None where there are none."""
    decorrelation = plan.decorrelation
    if decorrelation is None:
        return None
    theirs = [m for name in decorrelation.methods for m in _module_outside(name, DECORRELATIONS)]
    code = source_digest("oddjet.ml.decorrelation", *theirs)
    # The order of methods is that of the columns.
    return content_key([training, list(decorrelation.methods.items()), plan.mass, sample, code])


def place_of(folder: Path) -> Path:
    """Give the absolute path of a detector's folder; other files lie beside it, under its name.

    Raises:
        ConfigError: It is /.
    """
    place = Path(os.path.realpath(folder))  # `resolve` raises where links lead in a circle
    if not place.name:
        msg = f"{folder} cannot be the folder of a detector: name a folder below it"
        raise ConfigError(msg)
    return place


def train_detector(
    skim: Skim,
    detector: DetectorConfig,
    output: Path,
    plan: TrainingPlan | None = None,
    *,
    reporter: Reporter | None = None,
) -> FoldedDetector:
    """Train a detector on k folds, or load it where nothing it depends on has changed.

    Its scores are decorrelated where that is asked for. Other thresholds, or another way to decorrelate,
    train nothing again.

    While it trains, its state is kept in `OUTPUT.unfinished`: after an interruption the same call goes
    on from there, in the fold and epoch where it was.

    Args:
        skim: Jets; those that are learned on are read, and signal for a supervised detector.
        detector: Which detector, with its hyper-parameters.
        output: Folder of the trained detector.
        plan: How; the default plan if None.
        reporter: Receives progress.

    Raises:
        TooFewJetsError: A fold has too few jets to train, to calibrate or to decorrelate.
        DetectorError: The detector is unknown, its training diverges, or `output` holds something else.
        ConfigError: The skim has nothing to learn on, or no signal for a supervised detector; a map cannot
            be continued through the window; or `output` is /.
    """
    reporter, output, plan = reporter or SilentReporter(), place_of(output), plan or TrainingPlan()
    require_place(output, marker=INFO_FILE)  # before hours of training
    require_no_folder(_key_path(output))
    samples = {role: plan.sample(skim, role) for role in ("detectors", "thresholds", "maps")}
    check_maps(plan.decorrelation, samples["maps"], plan.mass)
    key = training_key(skim, detector, plan)
    of = {role: _sample_key(skim, sample) for role, sample in samples.items()}
    wanted = {
        "key": key,
        "thresholds": content_key([key, of["thresholds"]]),
        "decorrelation": decorrelation_key(key, plan, of["maps"]),
    }
    trained = _train(skim, detector, output, key, plan=plan, reporter=reporter)
    stored = _stored_keys(output)
    if stored == wanted:
        return trained
    if stored.get("thresholds") != wanted["thresholds"]:
        reporter.log(f"{detector.key}: thresholds on {samples['thresholds'].sentence} …")
        trained = trained.calibrated(_jets_of(skim, samples["thresholds"]))
    methods = plan.decorrelation.methods if plan.decorrelation else {}
    if methods:
        reporter.log(f"{detector.key}: decorrelate by {', '.join(methods)} …")
    jets = _jets_of(skim, samples["maps"]) if methods else ak.Array([])
    trained = trained.decorrelated(jets, methods=methods, mass=plan.mass)
    # Without this an interruption would leave new decorrelations under the old ones' key.
    _write_keys(output, {"key": key, "thresholds": "unfinished", "decorrelation": "unfinished"})
    trained.save(output)
    _write_keys(output, wanted)
    return trained


def _train(
    skim: Skim,
    detector: DetectorConfig,
    output: Path,
    key: str,
    *,
    plan: TrainingPlan,
    reporter: Reporter,
) -> FoldedDetector:
    """Train and save, or load."""
    if _stored_keys(output).get("key") == key:
        try:
            trained = FoldedDetector.load(output)
        except DetectorError as error:
            reporter.log(f"{output} cannot be used again and is trained again: {error}")
        else:
            reporter.log(f"{detector.key}: nothing changed, the training in {output} is used")
            return trained
    sample, folds = plan.sample(skim, "detectors"), plan.folds
    reporter.log(f"{detector.key}: train on {sample.sentence} …")
    jets = _jets_of(skim, sample, _signal_datasets(skim, detector))
    with reporter.track(f"train {detector.key}", 100 * folds, "%") as update:

        def progress(fold: int, n_folds: int, epoch: int, n_epochs: int, logs: object) -> None:  # noqa: ARG001
            update(round(100 * (fold + epoch / n_epochs)))

        trained = FoldedDetector.fit(
            jets,
            detector=(detector.name, detector.hyper_parameters),
            k=folds,
            seed=plan.seed,
            label=detector.key,
            held_out=plan.training.held_out,
            progress=progress,
            resume_in=_unfinished(output, key),
        )
        update(100 * folds)
    output.parent.mkdir(parents=True, exist_ok=True)
    trained.save(output)
    calibrated = content_key([key, _sample_key(skim, sample)])
    _write_keys(output, {"key": key, "thresholds": calibrated, "decorrelation": None})
    shutil.rmtree(_unfinished(output), ignore_errors=True)
    return trained


def _jets_of(skim: Skim, sample: LearningSample, signals: tuple[str, ...] = ()) -> Jets:
    """Read the jets of a sample, with the weights that count in calibration and decorrelation."""
    jets = skim.jets((*sample.datasets, *signals))
    # What a signal sample holds besides its signal is neither background nor signal.
    jets = jets[np.asarray(jets.label != Truth.UNMATCHED) & sample.rows(jets)]
    scales = _relative_scales(skim, sample.datasets)
    # Signal, where a detector is supervised, trains but does not calibrate: its scale is 0.
    scale = [scales.get(name, 0.0) for name in ak.to_list(jets.dataset)]
    return ak.with_field(jets, np.asarray(jets.weight, dtype=np.float64) * scale, "weight")


def _unfinished(output: Path, key: str = "") -> Path:
    """Name the folder of trainings that are not finished, or of the one that is wanted now."""
    folder = output.with_name(f"{output.name}{UNFINISHED}")
    if not key:
        return folder
    for other in folder.glob("*"):
        if other.name != key:  # of other jets, settings or code
            shutil.rmtree(other, ignore_errors=True)
    return folder / key


def _signal_datasets(skim: Skim, detector: DetectorConfig) -> tuple[str, ...]:
    """Name the signal datasets that a supervised detector is trained on; none for the others."""
    if not detector_class(detector.name).supervised:
        return ()
    names = tuple(n for n, d in skim.manifest.datasets.items() if d.kind == "signal")
    if not names:
        msg = (
            f"detector '{detector.key}' is supervised and the skim holds no signal: add a dataset "
            "of kind 'signal', or choose an unsupervised detector"
        )
        raise ConfigError(msg)
    return names


def _relative_scales(skim: Skim, names: tuple[str, ...]) -> dict[str, float]:
    """Weights of several background datasets relative to each other: σ · k / Σw, where known."""
    datasets = {name: skim.manifest.datasets[name] for name in names}
    simulated = [d for d in datasets.values() if d.kind != "data"]
    if len(datasets) == 1 or any(d.cross_section_pb is None for d in simulated):
        return dict.fromkeys(datasets, 1.0)
    return dataset_scales(datasets, 1.0)


def _key_path(output: Path) -> Path:
    # Beside the folder, whose files are all hashed and which may hold no others.
    return output.with_name(f"{output.name}.{KEY_FILE}")


def _write_keys(output: Path, keys: Mapping[str, str | None]) -> None:
    write_state(_key_path(output), dict(keys))


def _stored_keys(output: Path) -> dict[str, str | None]:
    return read_state(_key_path(output), dict[str, str | None]) or {}
