"""Studies: questions that one asks of any detector, each a function from jets to a result.

Every study takes jets of a background and of signals and the detectors by name, trains them on
events that it does not test on, and gives a result with a table, JSON and figures.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from oddjet.errors import look_up
from oddjet.registry import load_object

__all__ = ["STUDIES", "StudyDescription", "describe_studies", "get_study"]

STUDIES: dict[str, str] = {
    "inverse": "oddjet.analysis.studies.inverse:inverse_tagging_study",
    "contamination": "oddjet.analysis.studies.contamination:contamination_study",
    "epochs": "oddjet.analysis.studies.epochs:epoch_study",
    "mass": "oddjet.analysis.studies.mass:reconstructed_mass_study",
    "images": "oddjet.analysis.studies.images:average_images_study",
    "thresholds": "oddjet.analysis.studies.thresholds:threshold_study",
    "correlation": "oddjet.analysis.studies.correlation:correlation_study",
    "wrong_signal": "oddjet.analysis.studies.wrong_signal:wrong_signal_study",
}
"""Name → `module:function`, imported when asked for."""


@dataclass(frozen=True)
class StudyDescription:
    """A line of the list of studies."""

    name: str
    summary: str
    options: dict[str, Any]


def get_study(name: str) -> Callable[..., Any]:
    """Find a study: a function of `StudyJets`, `Setting` and options that gives a `StudyResult`.

    Raises:
        ConfigError: If there is no such study.
    """
    return cast("Callable[..., Any]", load_object(look_up(STUDIES, name, "study")))


def describe_studies() -> tuple[StudyDescription, ...]:
    """Describe every study, with its options and their defaults."""
    descriptions = []
    for name in STUDIES:
        study = get_study(name)
        parameters = inspect.signature(study).parameters.values()
        options = {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}
        summary = (study.__doc__ or "").strip().partition("\n")[0]
        descriptions.append(StudyDescription(name, summary, options))
    return tuple(descriptions)
