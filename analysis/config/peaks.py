"""The block `hunt.peaks`: what is known of peaks of the Standard Model among the jets that are hunted in."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from oddjet.datasets.files.dataset import DatasetName
from oddjet.problems import Settings

__all__ = ["PeaksConfig"]

Relative = Annotated[float, Field(gt=0, le=10)]


class PeaksConfig(Settings):
    """What is known of the datasets of kind ``peaking``, which give templates.

    Attributes:
        norms: Dataset to what is known of its jets beside the expectation: a relative error, of the cross section and
            of the share that passes a cut, or ``free``. A free one takes whatever has the shape of the peak.
        norm: That of datasets that are not named.
        mass_scale: Relative error of the scale of the jet mass, one for all peaks.
        mass_resolution: That of its resolution.
    """

    norms: dict[DatasetName, Relative | Literal["free"]] = Field(
        default_factory=dict, max_length=100
    )
    norm: Relative | Literal["free"] = 0.2
    mass_scale: float = Field(default=0.01, ge=0, le=0.5)
    mass_resolution: float = Field(default=0.1, ge=0, lt=1)

    def constraint(self, dataset: str) -> float | None:
        """Width of the prior on ln(norm); None where it is free."""
        norm = self.norms.get(dataset, self.norm)
        return None if norm == "free" else norm
