"""Detectors in workers: named by their folder, loaded once a process, never sent."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np

from oddjet.datasets.folds import fold_of
from oddjet.datasets.jets import Jets, require_columns
from oddjet.errors import ConfigError, DetectorError, NonFiniteError
from oddjet.ml.decorrelation import method_name
from oddjet.ml.folds import FoldedDetector, Learned
from oddjet.ml.plugins import allow_classes
from oddjet.ml.score_names import ScoreName, labelled

__all__ = ["DetectorReference", "find_detectors", "score_jets"]

COLUMNS = (
    "dataset", "run", "luminosityBlock", "event", "jet_index", "rank", "file_id", "entry",
    "pt", "eta", "phi", "mass", "msoftdrop", "weight", "label",
)  # fmt: skip
"""Columns of jets that a scores table keeps, as far as there are any."""

_NEEDED = ("dataset", "run", "luminosityBlock", "event", "rank", "pt", "mass", "weight", "label")


@dataclass(frozen=True)
class DetectorReference:
    """Where a worker finds a detector.

    Attributes:
        label: Prefix of its columns.
        folder: Its folder, absolute.
        fingerprint: Of its content when the run was planned.
        methods: Its decorrelations, as they are called in columns.
        held_out: Share of the events that it was not learned on.
        learned: What `detectors`, `thresholds` and `maps` were learned on.
        classes: Paths of the classes that its folder names, which were found to be known: a worker may
            import them.
    """

    label: str
    folder: str
    fingerprint: str
    k: int
    score_names: tuple[str, ...]
    methods: tuple[str, ...] = ()
    held_out: float = 1.0
    learned: Mapping[str, Learned] = field(default_factory=dict)
    classes: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[ScoreName, ...]:
        """Its scores, raw ones first."""
        return ScoreName.from_label(self.label, self.score_names, self.methods)

    def load(self) -> FoldedDetector:
        """Read it, once a process.

        Raises:
            DetectorError: If it changed since the run was planned.
        """
        allow_classes(self.classes)
        return _load(self.folder, self.fingerprint)


def find_detectors(
    detectors: Mapping[str, Path | str],
) -> tuple[DetectorReference, ...]:
    """Load detectors, label → folder, once, to check them and to know their scores.

    Raises:
        DetectorError: If a folder holds no folded detector.
        ConfigError: If there is none, or numbers of folds differ.
    """
    references = []
    for label, folder in detectors.items():
        path = Path(folder).absolute()
        # Kept for scoring, should that be in this process too.
        loaded = _load(str(path), FoldedDetector.fingerprint_of(path))
        references.append(
            DetectorReference(
                label,
                str(path),
                loaded.fingerprint,
                loaded.k,
                loaded.raw_score_names,
                tuple(method_name(method) for method in loaded.methods),
                loaded.held_out,
                dict(loaded.learned),
                loaded.classes,
            )
        )
    if not references:
        msg = "detectors: expected at least one, received none"
        raise ConfigError(msg)
    if len({reference.k for reference in references}) > 1:
        folds = ", ".join(f"{reference.label}: {reference.k}" for reference in references)
        msg = f"detectors: expected the same number of folds in all; received {folds}"
        raise ConfigError(msg)
    return tuple(references)


def score_jets(jets: Jets, detectors: Sequence[DetectorReference]) -> Jets:
    """Score jets with detectors: rows of the scores table.

    Args:
        jets: n jets with dataset, run, luminosityBlock, event, rank, weight and label.
        detectors: With which; at least one.

    Returns:
        n records: `COLUMNS`, fold, and of each score `{label}_{score}`,
        `{label}_{score}_calibrated`, and `{label}_{score}_{method}` of each decorrelation.

    Raises:
        InputError: If columns are missing.
        NonFiniteError: If a score or weight is NaN or infinite.
        DetectorError: If a detector changed since the run was planned.
    """
    require_columns(jets, _NEEDED, where="scores")
    columns = {name: jets[name] for name in COLUMNS if name in jets.fields}
    columns["fold"] = fold_of(jets, detectors[0].k).astype(np.int8)
    for detector in detectors:
        scores = detector.load().scores(jets)
        for name, values in scores.items():
            _require_finite(values, f"detector {detector.label}: score {name}")
            columns[labelled(detector.label, name)] = values
    _require_finite(columns["weight"], "scores: the weight")
    return ak.zip(columns, depth_limit=1)


def _require_finite(values: Any, what: str) -> None:
    if n_bad := int(np.count_nonzero(~np.isfinite(np.asarray(values)))):
        msg = f"{what} is NaN or infinite for {n_bad} of {len(values)} jets"
        raise NonFiniteError(msg)


@functools.lru_cache(maxsize=16)
def _load(folder: str, fingerprint: str) -> FoldedDetector:
    detector = FoldedDetector.load(folder)
    if detector.fingerprint != fingerprint:
        msg = f"{folder}: the detector was replaced while it was being used; repeat the command"
        raise DetectorError(msg)
    return detector
