"""What is learned on what: the datasets and cuts of detectors, thresholds and maps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from oddjet.analysis.config import (
    ROLES,
    DecorrelationConfig,
    HuntConfig,
    LearningConfig,
    TrainingConfig,
)
from oddjet.analysis.scores.sample import blinded_range
from oddjet.datasets.jets import Jets, require_columns
from oddjet.errors import ConfigError
from oddjet.ml.decorrelation import DECORRELATIONS, Decorrelation
from oddjet.ml.plugins import named_class
from oddjet.typing import Bools

__all__ = [
    "LearningSample",
    "check_maps",
    "learned_text",
    "learning_datasets",
    "learning_sample",
    "learning_sentence",
]


@dataclass(frozen=True)
class LearningSample:
    """What detectors, thresholds or maps are learned on.

    Attributes:
        datasets: Names of the datasets.
        kind: ``background`` or ``data``.
        learning: The cuts on their jets.
        hidden: Column of a mass and its values [low, high) whose jets are left out [GeV]: the signal
            window, in data.
    """

    datasets: tuple[str, ...]
    kind: str
    learning: LearningConfig
    hidden: tuple[str, tuple[float, float]] | None = None

    def rows(self, jets: Jets) -> Bools:
        """Mark the jets (n) that are learned on, of those that are not held out.

        Raises:
            InputError: If a column is missing.
        """
        keep = self.learning.rows(jets)
        if self.hidden is not None:
            column, (low, high) = self.hidden
            require_columns(jets, (column,), where="the window that is not learned on")
            mass = np.asarray(jets[column], np.float64)
            keep &= (mass < low) | (mass >= high)
        return keep

    @property
    def cuts(self) -> list[Any]:
        """Every cut, for keys."""
        return [self.learning.model_dump(mode="json")["where"], self.hidden]

    def has_gap(self, column: str) -> bool:
        """Whether masses are missing that a map of this column has to be continued to."""
        return column in self.learning.where or self.hidden is not None

    @property
    def sentence(self) -> str:
        """The jets in words, without what is held out."""
        kind = "data" if self.kind == "data" else "simulation"
        text = f"{kind} ({', '.join(self.datasets)})"
        cuts = [
            f"{column} in " + " or ".join(f"{low:g}–{high:g}" for low, high in ranges)
            for column, ranges in self.learning.where.items()
        ]
        if self.hidden is not None:
            column, (low, high) = self.hidden
            cuts.append(f"{column} outside {low:g}–{high:g} GeV")
        return f"{text} with {' and '.join(cuts)}" if cuts else text


def learning_datasets(
    kinds: Mapping[str, str], on: str | None, *, role: str = "detectors"
) -> tuple[str, ...]:
    """Name the datasets that something is learned on.

    Args:
        kinds: Dataset to its kind.
        on: ``simulation``, the datasets of kind background, never peaking ones; ``data``; or None for simulation where there
            is some, else data.
        role: One of `ROLES`, for messages.

    Raises:
        ConfigError: There are none.
    """
    wanted = {"simulation": ("background",), "data": ("data",)}.get(
        on or "", ("background", "data")
    )
    for kind in wanted:
        if names := tuple(name for name, its in kinds.items() if its == kind):
            return names
    have = ", ".join(f"{name} ({kind})" for name, kind in kinds.items()) or "nothing"
    msg = (
        f"{role} are learned on datasets of kind {' or '.join(wanted)}, and there is none among {have}: add one, or "
        f"say what they are learned on with training.on (data or simulation)"
    )
    raise ConfigError(msg)


def learning_sample(
    role: str, kinds: Mapping[str, str], training: TrainingConfig, hunt: HuntConfig
) -> LearningSample:
    """Say what one of `ROLES` is learned on; of data, thresholds and maps do not see the window.

    Raises:
        ConfigError: There are no such datasets.
    """
    learning = training.of(role)
    datasets = learning_datasets(kinds, learning.on, role=role)
    kind = kinds[datasets[0]]
    hides = kind == "data" and role != "detectors"
    return LearningSample(
        datasets, kind, learning, (hunt.mass, blinded_range(hunt)) if hides else None
    )


def check_maps(
    decorrelation: DecorrelationConfig | None, sample: LearningSample, mass: str
) -> None:
    """Refuse maps that cannot be continued to masses that they do not see.

    Raises:
        ConfigError: If there is one.
    """
    if decorrelation is None or not sample.has_gap(mass):
        return
    continuing = [n for n in DECORRELATIONS if n not in DECORRELATIONS.added and _continues(n)]
    for method in decorrelation.methods:
        if not _continues(method):
            known = f"use {' or '.join(continuing)}, or " if continuing else ""
            msg = (
                f"decorrelation: {method} cannot be continued to masses that it does not see, and it is learned on "
                f"{sample.sentence}: {known}learn the maps on simulation of all masses (training: {{maps: {{on: "
                f"simulation}}}})"
            )
            raise ConfigError(msg)


def _continues(method: str) -> bool:
    cls = named_class(DECORRELATIONS, method, Decorrelation, "decorrelation", error=ConfigError)
    return bool(getattr(cls, "continues", False))


def learning_sentence(
    kinds: Mapping[str, str], training: TrainingConfig, hunt: HuntConfig, *, maps: bool
) -> str:
    """Say in one sentence what is learned on what, and what is hunted in.

    Raises:
        ConfigError: There are no datasets to learn on.
    """
    roles = [role for role in ROLES if maps or role != "maps"]
    samples = {role: learning_sample(role, kinds, training, hunt) for role in roles}
    text = learned_text({role: sample.sentence for role, sample in samples.items()})
    names = sorted({name for sample in samples.values() for name in sample.datasets})
    data = [name for name, kind in kinds.items() if kind == "data"]
    if not data:
        use = "they alone are judged, and hunted in as pseudo-data that stand for all"
    elif set(data) & set(names):
        use = "they alone are judged and hunted in"
    else:
        use = f"they alone are judged; all events of the data ({', '.join(data)}) are hunted in"
    share = f"{100 * training.held_out:g} % of the events of {_joined(names)}"
    return f"{text}. {share} are held out from that: {use}."


def learned_text(samples: Mapping[str, str]) -> str:
    """Say on what each of `ROLES` is learned, those on the same jets together.

    >>> learned_text({"detectors": "simulation (q)", "maps": "data (d)"})
    'Detectors are learned on simulation (q); maps are learned on data (d)'
    """
    by_text: dict[str, list[str]] = {}
    for role, sample in samples.items():
        by_text.setdefault(sample, []).append(role)
    text = "; ".join(f"{_joined(roles)} are learned on {on}" for on, roles in by_text.items())
    return text[:1].upper() + text[1:]


def _joined(names: list[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
