"""Jets that come on top of the smooth background, as templates: a peak of the Standard Model, or a signal."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np

from oddjet.typing import Floats

__all__ = ["SOFT", "Component", "positive", "shifted"]

SOFT = 0.01
"""Part of a bin's content and of what shifts change it by, below which the shifted content bends away from zero."""


@dataclasses.dataclass(frozen=True, eq=False)
class Component:
    """Jets that come on top of the smooth background: a peak of the Standard Model, or a signal.

    Mass bins are the last axis; the others are the patterns of a joint table, or regions and score bins.

    Attributes:
        name: What they are.
        contents: Jets expected at norm 1, shape (..., n_bins); of a model of channels (n_regions, n_scores, n_bins).
        variances: Σw² of the same shape; None where the statistical error is negligible.
        constraint: Width of the Gaussian prior on ln(norm), about the relative error; None for a free norm ≥ 0.
        shifts: By name of the nuisance the contents at −1σ and at +1σ, each of the shape of `contents`. The
            nuisance has a unit Gaussian prior and is shared by all components that name it. Contents are
            interpolated as `pyhf.interpolators.code4p` does.
        is_signal: Whether it is looked for, and its norm 0 without it.
    """

    name: str
    contents: Floats
    variances: Floats | None = None
    constraint: float | None = None
    shifts: Mapping[str, tuple[Floats, Floats]] = dataclasses.field(default_factory=dict)
    is_signal: bool = False

    def transformed(self, change: Callable[[Floats], Floats]) -> Component:
        """Apply one linear change to the contents, the variances and what the shifts give: sums of bins, for example."""
        return dataclasses.replace(
            self,
            contents=change(self.contents),
            variances=None if self.variances is None else change(self.variances),
            shifts={name: (change(low), change(high)) for name, (low, high) in self.shifts.items()},
        )

    def at(self, shifts: Mapping[str, float]) -> Floats:
        """Contents at norm 1 with the shifts that are given, in standard deviations, see `positive`.

        References:
            `pyhf.interpolators.code4p`: a polynomial of sixth order inside ±1, linear outside.
        """
        contents, spread = self.contents, self.contents
        for name, (low, high) in self.shifts.items():
            contents = contents + shifted(self.contents, low, high, shifts.get(name, 0.0))
            spread = spread + np.abs(low - self.contents) + np.abs(high - self.contents)
        return np.where(self.contents < 0, contents, positive(contents, SOFT * spread))


def positive(contents: Floats, width: Floats) -> Floats:
    """Keep contents above zero: those below `width` approach it by an exponential that joins without a kink."""
    safe = np.where(width > 0, width, 1.0)
    bent = width * np.exp(np.minimum(contents / safe, 1.0) - 1.0)
    return np.where(contents < width, bent, contents)


def shifted(nominal: Floats, low: Floats, high: Floats, size: float) -> Floats:
    """What a shift adds to the nominal contents; `low` and `high` are the contents at −1 and +1."""
    if abs(size) >= 1.0:
        return size * (high - nominal if size > 0 else nominal - low)
    even = (high + low - 2.0 * nominal) / 16.0
    return size * (0.5 * (high - low) + size * even * (15.0 + size**2 * (3.0 * size**2 - 10.0)))
