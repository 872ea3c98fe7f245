"""The folder of a folded detector: what its JSON file says, and the files of its folds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from oddjet.errors import DetectorError
from oddjet.ml.calibration import load_calibrations, save_calibrations
from oddjet.ml.decorrelation import Decorrelation
from oddjet.ml.decorrelation.by_score import ByMethod, load_methods, save_methods
from oddjet.ml.detectors.base import Detector
from oddjet.ml.fold_training import Calibrations
from oddjet.ml.folder import FoldsInfo, read_info, require_same
from oddjet.ml.plugins import saved_class

__all__ = ["INFO_FILE", "in_json_types", "read_folds", "read_parts", "write_parts"]

INFO_FILE = "folds.json"


def read_folds(folder: Path) -> dict[str, Any]:
    """Read the JSON file of a folder.

    Raises:
        DetectorError: If there is none, it is damaged or newer than this oddjet, or its models were
            calibrated on jets that would be hunted in.
    """
    if not (folder / INFO_FILE).exists() and (folder / "detector.json").exists():
        msg = f"{folder} holds a single detector: load it with oddjet.ml.load."
        raise DetectorError(msg)
    info = read_info(folder, INFO_FILE, FoldsInfo)
    if info.get("held_out") is None:
        msg = (
            f"{folder} was trained by an oddjet that held no events out: the jets that its thresholds and maps "
            f"were learned on would be hunted in and judged, and p-values be wrong. Train it again, with `oddjet "
            f"train` or `oddjet run`."
        )
        raise DetectorError(msg)
    return info


def write_parts(
    folder: Path,
    detectors: Sequence[Detector],
    calibrations: Calibrations,
    decorrelations: Sequence[ByMethod],
) -> None:
    """Write `fold0/` …, calibrations and decorrelations."""
    for fold, (model, calibration) in enumerate(zip(detectors, calibrations, strict=True)):
        model.save(folder / f"fold{fold}")
        save_calibrations(folder, fold, calibration)
    for fold, by_method in enumerate(decorrelations):
        save_methods(folder, fold, by_method)


def read_parts(folder: Path, info: Mapping[str, Any]) -> dict[str, Any]:
    """Read what `write_parts` wrote, as arguments of a `FoldedDetector`.

    Raises:
        DetectorError: If a file cannot be read, or is not what the JSON file says.
    """
    folds, scores = range(info["k"]), info["score_names"]
    methods = (info.get("decorrelation") or {}).get("methods", ())
    detectors = tuple(Detector.load(folder / f"fold{fold}") for fold in folds)
    _check_agreement(str(folder / INFO_FILE), info, detectors)
    maps = [load_methods(folder, f, methods=methods, scores=scores) for f in folds if methods]
    return {
        "detectors": detectors,
        "calibrations": tuple(load_calibrations(folder, f, scores=scores) for f in folds),
        "decorrelations": tuple(maps),
    }


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


def in_json_types(hyper_parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Write a representation as its identity, which `create` takes as well."""
    return {
        name: value.identity() if hasattr(value, "identity") else value
        for name, value in hyper_parameters.items()
    }
