"""A statistical model as plain data: one channel of binned samples with their uncertainties.

Jets that pass a cut and jets that fail it are bins of one such channel as well, which bins of the same mass share a
free factor of: each bin is then written as a channel of its own.

`oddjet.analysis.statistics.exchange.workspace` writes it for pyhf, `oddjet.analysis.statistics.exchange.datacard` for
Combine; both see the same numbers.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping

import numpy as np

from oddjet.errors import InputError
from oddjet.typing import Floats

__all__ = ["Channel", "Sample", "safe_name", "safe_names"]

LARGEST_EXPONENT = 25.0
"""Larger changes of ln(events) at +1σ are cut in what leaves for pyhf and Combine, whose powers would overflow."""


def safe_name(name: str) -> str:
    """Make a name that Combine, ROOT and pyhf take: letters, digits and underscores.

    >>> safe_name("khanal_mse @ 1 %"), safe_name("5 GeV"), safe_name("pt < 500")
    ('khanal_mse_1', 'n5_GeV', 'pt_below_500')
    """
    words = name.replace("<", " below ").replace(">", " above ")
    safe = re.sub(r"[^A-Za-z0-9_]+", "_", words).strip("_") or "unnamed"
    return safe if not safe[0].isdigit() else f"n{safe}"


def safe_names(names: Iterable[str]) -> tuple[str, ...]:
    """Make names of several things, different ones: those that would be alike are numbered.

    >>> safe_names(["w+jets", "w-jets", "top"])
    ('w_jets', 'w_jets_2', 'top')
    """
    made: list[str] = []
    for name in map(safe_name, names):
        number, new = 2, name
        while new in made:
            new, number = f"{name}_{number}", number + 1
        made.append(new)
    return tuple(made)


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
        modes: Nuisance to the change of ln(events) a bin at +1σ, shape (n_bins,): the events are
            multiplied by exp(θ · change), so they stay positive whatever θ is.
        stat_errors: Absolute statistical error a bin, shape (n_bins,); None where there is none.
        scaled_by: Nuisance of zero mean and unit width that multiplies the sample; empty for none.
        floats: Free factor to the bins that it multiplies, shape (n_bins,), as 0 and 1: nothing constrains it but that
            it is above zero, and its logarithm is the parameter.
        factors: Free factor ≥ 0 of each bin, by name, n_bins of them: bins of one name share it, and it is 1 where the
            sample is as expected. Empty for none. Of these there may be many: fits have them as a
            closed problem of each.
    """

    name: str
    expected: Floats
    is_signal: bool = False
    shapes: Mapping[str, tuple[Floats, Floats]] = dataclasses.field(default_factory=dict)
    norms: Mapping[str, float] = dataclasses.field(default_factory=dict)
    modes: Mapping[str, Floats] = dataclasses.field(default_factory=dict)
    stat_errors: Floats | None = None
    scaled_by: str = ""
    floats: Mapping[str, Floats] = dataclasses.field(default_factory=dict)
    factors: tuple[str, ...] = ()

    def varied(self, cell: int) -> dict[str, tuple[float, float]]:
        """Changes of the events of a bin at −1σ and at +1σ of the shapes that change it."""
        nominal = self.expected[cell]
        changes = {
            name: (float(down[cell] - nominal), float(up[cell] - nominal))
            for name, (down, up) in self.shapes.items()
        }
        return {name: pair for name, pair in changes.items() if any(pair)}

    def logs(self, cell: int) -> dict[str, float]:
        """Changes of ln(events) of a bin at +1σ, of its yields and modes."""
        logs = {name: float(np.log1p(size)) for name, size in self.norms.items()}
        logs |= {name: float(mode[cell]) for name, mode in self.modes.items() if mode[cell]}
        return {n: float(np.clip(v, -LARGEST_EXPONENT, LARGEST_EXPONENT)) for n, v in logs.items()}

    def multipliers(self, cell: int) -> list[str]:
        """Free factors that multiply a bin."""
        floats = [name for name, on in self.floats.items() if on[cell]]
        return [*floats, *([self.factors[cell]] if self.factors else [])]

    def of_bins(self) -> tuple[Sample, ...]:
        """Split a sample with modes into one a bin, where each mode is a plain ``lnN``.

        Neither HistFactory nor Combine has shapes that multiply bins by exp(θ · change); a process that
        lives in one bin and has a log-normal yield is exactly that, in both.
        """
        if not self.modes:
            return (self,)
        alone = np.eye(self.expected.size)
        errors = np.zeros_like(self.expected) if self.stat_errors is None else self.stat_errors
        return tuple(
            dataclasses.replace(
                self,
                name=f"{self.name}_bin{i}",
                expected=self.expected * bin_i,
                shapes={n: (down * bin_i, up * bin_i) for n, (down, up) in self.shapes.items()},
                norms={**self.norms, **{n: _kappa(mode[i]) for n, mode in self.modes.items()}},
                modes={},
                stat_errors=None if self.stat_errors is None else errors * bin_i,
            )
            for i, bin_i in enumerate(alone)
        )


def _kappa(change: float) -> float:
    """Relative uncertainty of a log-normal yield whose logarithm changes so much at +1σ."""
    return float(np.expm1(np.clip(change, -LARGEST_EXPONENT, LARGEST_EXPONENT)))


@dataclasses.dataclass(frozen=True)
class Channel:
    """Bins of mass with what was observed and what the samples expect.

    Attributes:
        name: Its name, safe in the sense of `safe_name`.
        edges: Bin edges, n_bins + 1 of them [GeV].
        samples: Exactly one signal, and backgrounds.
        observed: Events a bin, shape (n_bins,); None while they are blinded.
        notes: What a reader of the model must know; written into the datacard.
        cells: Name of each bin where bins are not of one axis, but channels of their own; empty where they are of one.
        instead: What stands for blinded data, shape (n_bins,); the sum of the backgrounds if None.
    """

    name: str
    edges: Floats
    samples: tuple[Sample, ...]
    observed: Floats | None = None
    notes: tuple[str, ...] = ()
    cells: tuple[str, ...] = ()
    instead: Floats | None = None

    def __post_init__(self) -> None:
        names = [self.name, *(sample.name for sample in self.samples), *self.nuisances]
        names += [*self.cells, *self.factors]
        for name in names:
            if name != safe_name(name):
                msg = f"'{name}' is no name for Combine: write '{safe_name(name)}'"
                raise InputError(msg)
        if sum(sample.is_signal for sample in self.samples) != 1 or len(self.samples) < 2:
            msg = f"channel {self.name}: expected one signal and at least one background"
            raise InputError(msg)
        for sample in self.samples:
            sides = (side for pair in sample.shapes.values() for side in pair)
            arrays = [sample.expected, *sides, *sample.modes.values(), *sample.floats.values()]
            if any(array.shape != (self.n_bins,) for array in arrays):
                msg = f"channel {self.name}: {sample.name} does not have {self.n_bins} bins"
                raise InputError(msg)
            if not all(np.isfinite(array).all() for array in arrays):
                msg = f"channel {self.name}: {sample.name} expects NaN or infinite events"
                raise InputError(msg)
        self._check_factors()

    def _check_factors(self) -> None:
        """Refuse what fits of free factors cannot do: they have a closed form for one sample alone."""
        with_factors = [sample for sample in self.samples if sample.factors]
        errors = any(sample.stat_errors is not None for sample in self.samples)
        if len(with_factors) > 1 or (with_factors and errors):
            msg = (
                f"channel {self.name}: expected free factors of bins in one sample at most, and no sample with statistical "
                "errors beside them: write these as modes, one a bin"
            )
            raise InputError(msg)
        sizes = {len(sample.factors) for sample in with_factors} | {len(self.cells) or self.n_bins}
        if sizes != {self.n_bins}:
            msg = (
                f"channel {self.name}: expected {self.n_bins} names of bins and factors, one a bin"
            )
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
        expected = [s.expected for s in self.samples if not (s.is_signal or s.scaled_by)]
        return np.asarray(np.sum(expected, axis=0))

    @property
    def nuisances(self) -> tuple[str, ...]:
        """Names of the nuisance parameters, in order of appearance, without factors and errors of bins."""
        names = [
            name
            for s in self.samples
            for name in (*s.norms, *s.shapes, *s.modes, *s.floats, s.scaled_by)
            if name
        ]
        return tuple(dict.fromkeys(names))

    @property
    def unconstrained(self) -> frozenset[str]:
        """Those nuisance parameters that nothing constrains."""
        return frozenset(name for sample in self.samples for name in sample.floats)

    @property
    def factors(self) -> tuple[str, ...]:
        """Names of the free factors of bins, in order of appearance."""
        return tuple(dict.fromkeys(name for sample in self.samples for name in sample.factors))

    def parts(self, cell: int) -> list[Sample]:
        """Samples that expect anything in a bin, at nominal parameters or at ±1σ; the signal is first."""
        samples = sorted(self.samples, key=lambda sample: not sample.is_signal)
        return [s for s in samples if s.expected[cell] > 0 or s.varied(cell)]

    @property
    def data(self) -> Floats:
        """What a fit takes: the observed events, or the expected background while blinded."""
        blinded = self.background if self.instead is None else self.instead
        return blinded if self.observed is None else self.observed
