"""The decorrelations of one trained model: several methods, each for every score."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from oddjet.ml.decorrelation import create, method_name
from oddjet.ml.decorrelation.base import Decorrelation
from oddjet.typing import Floats

__all__ = ["ByMethod", "fit_methods", "load_methods", "save_methods"]


ByMethod: TypeAlias = dict[str, dict[str, Decorrelation]]
"""Method → score name → decorrelation."""


def fit_methods(
    methods: Mapping[str, Mapping[str, Any]],
    scores: Mapping[str, Floats],
    *,
    mass: Floats,
    pt: Floats,
    weights: Floats,
    events: npt.NDArray[np.uint64] | None = None,
) -> ByMethod:
    """Fit every method, name → hyper-parameters, on every score: (n,), masses and pt [GeV] too.

    With hashes of the events (n,), replicas of each are made, of the same events for all.

    Raises:
        TooFewJetsError: If there are too few jets for a method.
        ConfigError: If a method or hyper-parameter is unknown.
    """
    return {
        method: {
            score: create(method, **hyper_parameters).fit(values, mass, pt, weights, events=events)
            for score, values in scores.items()
        }
        for method, hyper_parameters in methods.items()
    }


def save_methods(folder: Path, fold: int, fitted: ByMethod) -> None:
    """Write a file for each: `decorrelation{fold}_{score}_{method}.npz`."""
    for method, by_score in fitted.items():
        for score, decorrelation in by_score.items():
            decorrelation.save(folder / _file(fold, score, method))


def load_methods(
    folder: Path, fold: int, *, methods: Iterable[str], scores: Iterable[str]
) -> ByMethod:
    """Read what `save_methods` wrote.

    Raises:
        DetectorError: If a file cannot be read.
    """
    names = tuple(scores)
    return {
        method: {score: Decorrelation.load(folder / _file(fold, score, method)) for score in names}
        for method in methods
    }


def _file(fold: int, score: str, method: str) -> str:
    return f"decorrelation{fold}_{score}_{method_name(method)}.npz"
