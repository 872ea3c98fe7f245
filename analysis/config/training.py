"""The block `training`: what detectors, thresholds and maps are learned on."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
from pydantic import AfterValidator, BeforeValidator, Field

from oddjet.bounds import Name
from oddjet.datasets.folds import HELD_OUT
from oddjet.datasets.jets import Jets, require_columns
from oddjet.problems import Settings
from oddjet.typing import Bools

__all__ = ["ROLES", "LearningConfig", "TrainingConfig"]

ROLES = ("detectors", "thresholds", "maps")
"""What is learned: models, thresholds of raw scores, and maps that make scores independent of mass."""


def _several(value: Any) -> Any:
    """Take one range, [low, high], as a list of one."""
    pair = isinstance(value, list | tuple) and len(value) == 2
    return [value] if pair and all(isinstance(end, int | float) for end in value) else value


def _rising(value: tuple[float, float]) -> tuple[float, float]:
    if not value[0] < value[1]:
        msg = f"expected a range [low, high], the lower number first, received {list(value)}"
        raise ValueError(msg)
    return value


Number = Annotated[float, Field(ge=-1e9, le=1e9)]
Range = Annotated[tuple[Number, Number], AfterValidator(_rising)]
Ranges = Annotated[
    tuple[Range, ...],
    BeforeValidator(_several, json_schema_input_type=Range | list[Range]),
    Field(min_length=1, max_length=100),
]


class LearningConfig(Settings):
    """What something is learned on.

    Attributes:
        on: ``data`` or ``simulation``, the datasets of kind background; by default simulation where
            there is some, else data.
        where: Column of the jets to the range or ranges [low, high) that its values are in.
    """

    on: Literal["data", "simulation"] | None = None
    where: dict[Name, Ranges] = Field(default_factory=dict, max_length=20)

    def rows(self, jets: Jets) -> Bools:
        """Mark the jets (n) that all cuts keep.

        Raises:
            InputError: If a column is missing.
        """
        require_columns(jets, tuple(self.where), where="training.where")
        keep = np.ones(len(jets), np.bool_)
        for column, ranges in self.where.items():
            values = np.asarray(jets[column], np.float64)
            keep &= np.any([(values >= low) & (values < high) for low, high in ranges], axis=0)
        return keep


class TrainingConfig(LearningConfig):
    """What detectors, thresholds and maps are learned on, and what is held out from learning.

    `on` and `where` are those of all three; a block of its own says otherwise for one.

    Attributes:
        held_out: Share of the events, of datasets that something is learned on, that nothing is learned on:
            they alone are hunted in and judged.
        detectors: On what detectors are trained.
        thresholds: On what thresholds of raw scores are learned.
        maps: On what decorrelations are learned.
    """

    held_out: float = Field(default=HELD_OUT, gt=0, lt=1)
    detectors: LearningConfig | None = None
    thresholds: LearningConfig | None = None
    maps: LearningConfig | None = None

    def of(self, role: str) -> LearningConfig:
        """What one of `ROLES` is learned on: its own block's `on` and `where`, else those of all."""
        common = LearningConfig(on=self.on, where=self.where)
        own: LearningConfig | None = getattr(self, role)
        return (
            common if own is None else common.model_copy(update=own.model_dump(exclude_unset=True))
        )
