"""Training detectors on the background of a skim, and using a training again when it still holds."""

from __future__ import annotations

import os
import pkgutil
import shutil
from pathlib import Path

import awkward as ak
import numpy as np
import numpy.typing as npt

from oddjet import ml
from oddjet.analysis.config import DecorrelationConfig, DetectorConfig
from oddjet.analysis.pipeline.folder import UNFINISHED
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

__all__ = ["KEY_FILE", "decorrelation_key", "place_of", "train_detector", "training_key"]

KEY_FILE = "training.json"
_JETS_CODE = ("oddjet.datasets.folds", "oddjet.datasets.jets", "oddjet.datasets.kinematics")
AFTER_TRAINING = {"decorrelation"}


def training_key(skim: Skim, detector: DetectorConfig, *, folds: int, seed: int) -> str:
    """Hash what a training depends on; keys of the background's parts stand for their contents."""
    used = (*background_datasets(skim), *_signal_datasets(skim, detector))
    parts = [c.key for c in skim.manifest.chunks if c.dataset in used]
    theirs = _module_outside(detector.name, DETECTORS)
    code = source_digest(*_training_code(), *_JETS_CODE, *theirs)
    wanted = [detector.name, detector.hyper_parameters, folds, seed]
    return content_key([sorted(parts), wanted, code])


def _module_outside(name: str, registry: Registry[str]) -> list[str]:
    """Name the module of a class outside this package, one or none; its code enters keys."""
    if ":" not in name and name in registry.added:
        name = registry[name]
    return [name.partition(":")[0]] if ":" in name else []


def _training_code() -> list[str]:
    """Name what trains, so all of `oddjet.ml` but what is done with trained detectors' scores."""
    modules = {module.name for module in pkgutil.iter_modules(ml.__path__)}
    return [f"{ml.__name__}.{name}" for name in sorted(modules - AFTER_TRAINING)]


def decorrelation_key(
    training: str, decorrelation: DecorrelationConfig | None, *, mass: str
) -> str | None:
    """Hash everything decorrelations depend on; None where there are none."""
    if decorrelation is None:
        return None
    theirs = [m for name in decorrelation.methods for m in _module_outside(name, DECORRELATIONS)]
    code = source_digest("oddjet.ml.decorrelation", *theirs)
    # The order of methods is that of the columns.
    return content_key([training, list(decorrelation.methods.items()), mass, code])


def background_datasets(skim: Skim) -> tuple[str, ...]:
    """Name the datasets a detector is trained and calibrated on.

    Those of kind background; where a skim has none, the data themselves.

    Raises:
        ConfigError: The skim has signal only.
    """
    for kind in ("background", "data"):
        names = tuple(n for n, d in skim.manifest.datasets.items() if d.kind == kind)
        if names:
            return names
    msg = (
        f"the skim holds only signal ({', '.join(skim.datasets)}): a detector is trained on "
        "background; add a dataset of kind 'background' or 'data'"
    )
    raise ConfigError(msg)


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
    *,
    folds: int = 3,
    seed: int = 1,
    decorrelation: DecorrelationConfig | None = None,
    mass: str = "msoftdrop",
    reporter: Reporter | None = None,
) -> FoldedDetector:
    """Train a detector on k folds, or load it where nothing it depends on has changed.

    Its scores are decorrelated where that is asked for. Another way to decorrelate trains nothing
    again.

    While it trains, its state is kept in `OUTPUT.unfinished`: after an interruption the same call goes
    on from there, in the fold and epoch where it was.

    Args:
        skim: Jets; those of background datasets are read, and signal for a supervised detector.
        detector: Which detector, with its hyper-parameters.
        output: Folder of the trained detector.
        folds: Number of folds k ≥ 3.
        seed: Seed of the trainings.
        decorrelation: How its scores are made independent of mass and pt; None for not at all.
        mass: Column of the mass in that, unless `decorrelation` names one.
        reporter: Receives progress.

    Raises:
        TooFewJetsError: A fold has too few jets to train, to calibrate or to decorrelate.
        DetectorError: The detector is unknown, its training diverges, or `output` holds something else.
        ConfigError: The skim has no background, or no signal for a supervised detector; or `output` is /.
    """
    reporter, output = reporter or SilentReporter(), place_of(output)
    require_place(output, marker=INFO_FILE)  # before hours of training
    require_no_folder(_key_path(output))
    key = training_key(skim, detector, folds=folds, seed=seed)
    trained = _train(skim, detector, output, key, folds=folds, seed=seed, reporter=reporter)
    mass = (decorrelation and decorrelation.mass) or mass
    wanted = decorrelation_key(key, decorrelation, mass=mass)
    if _stored_keys(output).get("decorrelation") == wanted:
        return trained
    methods = decorrelation.methods if decorrelation else {}
    if methods:
        reporter.log(f"{detector.key}: decorrelate by {', '.join(methods)} …")
    jets, weights = _jets_to_train_on(skim, detector)
    decorrelated = trained.decorrelated(jets, methods=methods, mass=mass, weights=weights)
    # Without this an interruption would leave new decorrelations under the old ones' key.
    _write_keys(output, key, "unfinished")
    decorrelated.save(output)
    _write_keys(output, key, wanted)
    return decorrelated


def _train(
    skim: Skim,
    detector: DetectorConfig,
    output: Path,
    key: str,
    *,
    folds: int,
    seed: int,
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
    jets, weights = _jets_to_train_on(skim, detector)
    with reporter.track(f"train {detector.key}", 100 * folds, "%") as update:

        def progress(fold: int, n_folds: int, epoch: int, n_epochs: int, logs: object) -> None:  # noqa: ARG001
            update(round(100 * (fold + epoch / n_epochs)))

        trained = FoldedDetector.fit(
            jets,
            detector=(detector.name, detector.hyper_parameters),
            k=folds,
            seed=seed,
            label=detector.key,
            weights=weights,
            progress=progress,
            resume_in=_unfinished(output, key),
        )
        update(100 * folds)
    output.parent.mkdir(parents=True, exist_ok=True)
    trained.save(output)
    _write_keys(output, key, None)
    shutil.rmtree(_unfinished(output), ignore_errors=True)
    return trained


def _jets_to_train_on(skim: Skim, detector: DetectorConfig) -> tuple[Jets, npt.NDArray[np.float64]]:
    """Read jets, and their weights in calibration and decorrelation."""
    jets = skim.jets((*background_datasets(skim), *_signal_datasets(skim, detector)))
    # What a signal sample holds besides its signal is neither background nor signal.
    jets = jets[jets.label != Truth.UNMATCHED]
    scales = _relative_scales(skim)
    # Signal, where a detector is supervised, trains but does not calibrate: its scale is 0.
    scale = [scales.get(name, 0.0) for name in ak.to_list(jets.dataset)]
    return jets, np.asarray(jets.weight, dtype=np.float64) * scale


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


def _relative_scales(skim: Skim) -> dict[str, float]:
    """Weights of several background datasets relative to each other: σ · k / Σw, where known."""
    datasets = {name: skim.manifest.datasets[name] for name in background_datasets(skim)}
    simulated = [d for d in datasets.values() if d.kind != "data"]
    if len(datasets) == 1 or any(d.cross_section_pb is None for d in simulated):
        return dict.fromkeys(datasets, 1.0)
    return dataset_scales(datasets, 1.0)


def _key_path(output: Path) -> Path:
    # Beside the folder, whose files are all hashed and which may hold no others.
    return output.with_name(f"{output.name}.{KEY_FILE}")


def _write_keys(output: Path, key: str, decorrelation: str | None) -> None:
    write_state(_key_path(output), {"key": key, "decorrelation": decorrelation})


def _stored_keys(output: Path) -> dict[str, str | None]:
    return read_state(_key_path(output), dict[str, str | None]) or {}
