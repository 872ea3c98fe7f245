"""What is injected: which signal, how much of it, how often."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, field_validator

__all__ = ["InjectionConfig"]

Fraction = Annotated[float, Field(ge=0, lt=1)]


class InjectionConfig(BaseModel):
    """Signal injected into background, as if both were data.

    A fraction is the number of injected signal jets over that of background jets, both counted among
    the jets that are hunted in (in the mass range, before any cut on a score). 0 injects nothing: there a
    bump would be one that the chain made.

    Attributes:
        signal: Dataset that is injected.
        fractions: Fractions of signal.
        seeds: One experiment each: they draw other events and train from other beginnings.
        background_share: Share of the background's events in one experiment. Below 1, so that
            seeds have different backgrounds; those of two seeds still share this share of theirs.
        n_toys: Pseudo-experiments of each scan.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    signal: str
    fractions: tuple[Fraction, ...] = (0.0, 0.0025, 0.005, 0.01, 0.02)
    seeds: tuple[int, ...] = (1, 2, 3)
    background_share: float = Field(default=0.5, gt=0, le=1)
    n_toys: int = Field(default=200, ge=100)

    @field_validator("fractions", "seeds")
    @classmethod
    def _distinct(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if not value or len(set(value)) != len(value):
            msg = f"expected at least one, none twice, received {list(value)}"
            raise ValueError(msg)
        return tuple(sorted(value))
