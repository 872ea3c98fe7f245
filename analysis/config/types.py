"""Kinds of values in the blocks of an analysis."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

__all__ = ["Efficiency", "Fraction", "Mass", "distinct"]

Efficiency = Annotated[float, Field(ge=1e-9, lt=1)]
Fraction = Annotated[float, Field(ge=0, lt=1)]
Mass = Annotated[float, Field(ge=0, le=100_000)]
"""Or a transverse momentum [GeV]."""


def distinct(value: tuple[float, ...]) -> tuple[float, ...]:
    """Sort values; refuse none, and one that is there twice."""
    if not value or len(set(value)) != len(value):
        msg = f"expected at least one, none twice, received {list(value)}"
        raise ValueError(msg)
    return tuple(sorted(value))
