"""A statistical model as plain data: one channel of binned samples with their uncertainties.

`oddjet.analysis.statistics.exchange.workspace` writes it for pyhf, `oddjet.analysis.statistics.exchange.datacard` for
Combine; both see the same numbers.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping

import numpy as np

from oddjet.errors import InputError
from oddjet.typing import Floats

__all__ = ["Channel", "Sample", "safe_name"]


def safe_name(name: str) -> str:
    """Make a name that Combine, ROOT and pyhf take: letters, digits and underscores.

    >>> safe_name("khanal_mse @ 1 %"), safe_name("5 GeV")
    ('khanal_mse_1', 'n5_GeV')
    """
    safe = re.sub(r"[^A-Za-z0-9_]+", "_", name).strip("_") or "unnamed"
    return safe if not safe[0].isdigit() else f"n{safe}"


@dataclasses.dataclass(frozen=True)
class Sample:
    """What one process expects.

    Attributes:
        name: Its name, safe in the sense of `safe_name`.
        expected: Events a bin, shape (n_bins,), ≥ 0.
        is_signal: Whether the signal strength μ multiplies it.
        shapes: Nuisance to (down, up): the events a bin at −1σ and +1σ, each of shape (n_bins,).
        norms: Nuisance to the relative uncertainty of the yield: a factor 1 + u at +1σ and
            1 / (1 + u) at −1σ, which is Combine's ``lnN``.
        stat_errors: Absolute statistical error a bin, shape (n_bins,); None where there is none.
    """

    name: str
    expected: Floats
    is_signal: bool = False
    shapes: Mapping[str, tuple[Floats, Floats]] = dataclasses.field(default_factory=dict)
    norms: Mapping[str, float] = dataclasses.field(default_factory=dict)
    stat_errors: Floats | None = None


@dataclasses.dataclass(frozen=True)
class Channel:
    """Bins of mass with what was observed and what the samples expect.

    Attributes:
        name: Its name, safe in the sense of `safe_name`.
        edges: Bin edges, n_bins + 1 of them [GeV].
        samples: Exactly one signal, and backgrounds.
        observed: Events a bin, shape (n_bins,); None while they are blinded.
    """

    name: str
    edges: Floats
    samples: tuple[Sample, ...]
    observed: Floats | None = None

    def __post_init__(self) -> None:
        names = [self.name, *(sample.name for sample in self.samples), *self.nuisances]
        for name in names:
            if name != safe_name(name):
                msg = f"'{name}' is no name for Combine: write '{safe_name(name)}'"
                raise InputError(msg)
        if sum(sample.is_signal for sample in self.samples) != 1 or len(self.samples) < 2:
            msg = f"channel {self.name}: expected one signal and at least one background"
            raise InputError(msg)
        for sample in self.samples:
            arrays = [sample.expected, *(side for pair in sample.shapes.values() for side in pair)]
            if any(array.shape != (self.n_bins,) for array in arrays):
                msg = f"channel {self.name}: {sample.name} does not have {self.n_bins} bins"
                raise InputError(msg)
            if not all(np.isfinite(array).all() for array in arrays):
                msg = f"channel {self.name}: {sample.name} expects NaN or infinite events"
                raise InputError(msg)

    @property
    def n_bins(self) -> int:
        """Number of bins."""
        return int(self.edges.size - 1)

    @property
    def signal(self) -> Sample:
        """The sample that the signal strength multiplies."""
        return next(sample for sample in self.samples if sample.is_signal)

    @property
    def background(self) -> Floats:
        """Events a bin that all backgrounds expect, shape (n_bins,)."""
        expected = [sample.expected for sample in self.samples if not sample.is_signal]
        return np.asarray(np.sum(expected, axis=0))

    @property
    def nuisances(self) -> tuple[str, ...]:
        """Names of the nuisance parameters, in order of appearance, without those of bins."""
        names = [name for s in self.samples for name in (*s.norms, *s.shapes)]
        return tuple(dict.fromkeys(names))

    @property
    def data(self) -> Floats:
        """What a fit takes: the observed events, or the expected background while blinded."""
        return self.background if self.observed is None else self.observed
