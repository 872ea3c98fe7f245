"""Replicas of the calibration of all cuts, beside the histograms of a scores table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from oddjet.datasets.disk.arrays import read_arrays
from oddjet.datasets.disk.atomic import atomic_write
from oddjet.datasets.disk.checksums import Verify
from oddjet.datasets.skims.manifest import check_output
from oddjet.errors import SkimError
from oddjet.ml.decorrelation import method_name
from oddjet.ml.folds import FoldedDetector
from oddjet.ml.replicas import CutReplicas, Replicas
from oddjet.ml.score_names import ScoreName, labelled

__all__ = ["REPLICAS", "load_replicas", "replicas_of", "save_replicas"]

REPLICAS = "replicas.npz"
"""Replicas of the calibration of a scores table's cuts, in its folder."""


def replicas_of(detectors: Mapping[str, FoldedDetector]) -> dict[str, CutReplicas]:
    """Collect what detectors, label → detector, know of the calibration of each column that is cut on."""
    replicas = {}
    for label, detector in detectors.items():
        for score in detector.raw_score_names:
            raw = labelled(label, score)
            calibrations = [by_score[score] for by_score in detector.calibrations]
            replicas[ScoreName(raw).cut] = CutReplicas.from_folds(
                [c.n_effective for c in calibrations], [c.replicas for c in calibrations]
            )
            for method in detector.methods:
                maps = [by_method[method][score] for by_method in detector.decorrelations]
                replicas[ScoreName(raw, method_name(method)).cut] = CutReplicas.from_folds(
                    [m.n_effective for m in maps], [m.replicas for m in maps]
                )
    return replicas


def save_replicas(path: Path, replicas: Mapping[str, CutReplicas]) -> None:
    """Write an `.npz` file of arrays, atomically."""
    arrays = {
        f"{name}_{column}_{fold}": array
        for column, cut in enumerate(replicas.values())
        for fold, known in enumerate(cut.folds)
        for name, array in known.arrays().items()
    }
    with atomic_write(path) as temporary:
        np.savez_compressed(
            temporary,
            allow_pickle=False,
            columns=np.array(list(replicas), dtype=np.str_),
            n_effective=np.array([cut.n_effective for cut in replicas.values()]),
            n_folds=np.array([len(cut.folds) for cut in replicas.values()], dtype=np.int64),
            **arrays,
        )


def load_replicas(path: Path, verify: Verify = "first") -> dict[str, CutReplicas]:
    """Read what `save_replicas` wrote: column → replicas; `verify` is as of `open_skim`.

    Raises:
        SkimError: If the file cannot be read, or the manifest beside it says that it is not what was written.
    """
    check_output(path, verify)
    arrays = read_arrays(path, error=SkimError)
    try:
        columns = zip(arrays["columns"], arrays["n_effective"], arrays["n_folds"], strict=True)
        return {
            str(column): CutReplicas.from_folds([n], _folds(arrays, number, range(n_folds)))
            for number, (column, n, n_folds) in enumerate(columns)
        }
    except (KeyError, ValueError, TypeError) as error:
        msg = f"{path} holds no replicas of calibrations: {error!r:.200}. Score again with `oddjet score`"
        raise SkimError(msg) from error


def _folds(
    arrays: Mapping[str, np.ndarray], column: int, folds: Iterable[int]
) -> list[Replicas | None]:
    names = ("masses", "logs")
    return [Replicas.restored({n: arrays[f"{n}_{column}_{fold}"] for n in names}) for fold in folds]
