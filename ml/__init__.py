"""Anomaly detection: representations of jets, detectors, folds, calibration, evaluation.

>>> create("khanal", epochs=5).score_names
('mse', 'kl')
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from oddjet.errors import DetectorError, OddjetError, UnknownDetectorError
from oddjet.ml.detectors import DETECTORS
from oddjet.ml.detectors.base import Detector
from oddjet.ml.plugins import named_class

__all__ = [
    "DetectorDescription",
    "create",
    "describe_detectors",
    "detector_class",
    "detector_names",
    "load",
]


@dataclass(frozen=True)
class DetectorDescription:
    """A line of the list of detectors.

    Attributes:
        name: What `create` and configurations call it.
        summary: The first line of its docstring.
        score_names: The scores it gives, each higher for more anomalous jets.
        hyper_parameters: Name → default.
        provider: The package that adds it, with its version; empty for this package.
    """

    name: str
    summary: str
    score_names: tuple[str, ...]
    hyper_parameters: dict[str, Any]
    provider: str = ""


def detector_names() -> tuple[str, ...]:
    """Give the names that `create` knows."""
    return tuple(DETECTORS)


def describe_detectors() -> tuple[DetectorDescription, ...]:
    """Describe every registered detector, without importing TensorFlow.

    A detector of another package that cannot be imported is listed with the reason.
    """
    return tuple(_describe(name) for name in DETECTORS)


def _describe(name: str) -> DetectorDescription:
    provider = DETECTORS.provider(name)
    try:
        cls = detector_class(name)
    except OddjetError as error:
        return DetectorDescription(name, f"cannot be used: {error}", (), {}, provider)
    summary = (cls.__doc__ or "").strip().partition("\n")[0]
    return DetectorDescription(
        name, summary, cls.score_names, cls.hyper_parameter_defaults(), provider
    )


def detector_class(name: str) -> type[Detector]:
    """Find the class of a detector.

    Args:
        name: A registered name, or `"their_package.module:Class"` for a subclass of `Detector`.

    Raises:
        UnknownDetectorError: If there is no such name.
        DetectorError: If the named class cannot be imported or is no detector.
    """
    cls = named_class(DETECTORS, name, Detector, "detector", error=UnknownDetectorError)
    return cast("type[Detector]", cls)


def create(name: str, /, **hyper_parameters: Any) -> Detector:
    """Make an untrained detector.

    Args:
        name: A registered name or `"their_package.module:Class"`.
        **hyper_parameters: As the class takes them. `representation` may be a `Representation`,
            its name, or its name and fields, `{"jet_image": {"pixels": 32}}`.

    Raises:
        UnknownDetectorError: If there is no such name.
        DetectorError: If it has no such hyper-parameter.
        ConfigError: If a value is not allowed.
    """
    return detector_class(name).create(hyper_parameters)


def load(folder: Path | str) -> Detector:
    """Load a detector that `Detector.save` wrote, whatever its class.

    Raises:
        DetectorError: If there is none, it was changed or damaged, or is newer than this oddjet.
    """
    folder = Path(folder)
    if not (folder / "detector.json").exists() and (folder / "folds.json").exists():
        msg = (
            f"{folder} holds a folded detector: load it with "
            f"oddjet.ml.folds.FoldedDetector.load, or one fold of it, e.g. {folder / 'fold0'}."
        )
        raise DetectorError(msg)
    return Detector.load(folder)
