"""Jets whose score knows nothing of the mass, or little, and a signal that scores high."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from scipy import stats

from oddjet.analysis.statistics.bumphunt.joint import JointTable
from oddjet.analysis.statistics.components import Component
from oddjet.typing import Floats

EDGES = np.linspace(40.0, 240.0, 41)
KEEP = np.log(0.1) / np.log(0.55)
"""Powers of uniform numbers: of the signal a cut of 10 % keeps 55 %."""


def gamma_masses(rng: np.random.Generator, n: int) -> Floats:
    """A smooth spectrum: a gamma distribution."""
    mass = 10 + rng.gamma(1.3, 38.0, 2 * n + 200)
    return mass[(mass > 40) & (mass < 240)][:n]


def shoulder_masses(rng: np.random.Generator, n: int) -> Floats:
    """A spectrum as of soft-drop masses at high pt: a peak at its left end, a shoulder and a bend."""
    parts = (
        rng.exponential(14.0, n) + 40,
        100 + 33 * rng.standard_normal(3 * n),
        40 + rng.exponential(110.0, 3 * n),
    )
    mass = np.concatenate(parts)
    mass = mass[(mass > 40) & (mass < 240)]
    return rng.choice(mass, n, replace=False)


def peak(rng: np.random.Generator, n: int) -> Floats:
    """A signal: a Gaussian."""
    return rng.normal(172, 12, n)


def top_masses(rng: np.random.Generator, n: int) -> Floats:
    """A signal with a peak that holds six tenths of it, a W's at 82 GeV and what is between."""
    kind = rng.choice(3, n, p=(0.6, 0.15, 0.25))
    choices = (rng.normal(172, 13, n), rng.normal(82, 9, n), rng.uniform(60, 200, n))
    return np.choose(kind, choices)


def follows(rho: float) -> Callable[[np.random.Generator, Floats], Floats]:
    """Survivals with a correlation of −rho with the mass (Gaussian copula)."""

    def survival(rng: np.random.Generator, mass: Floats) -> Floats:
        ranks = stats.norm.ppf((np.argsort(np.argsort(mass)) + 0.5) / mass.size)
        own = rng.standard_normal(mass.size)
        return np.asarray(stats.norm.sf(rho * ranks + np.sqrt(1 - rho**2) * own))

    return survival


def bends(
    efficiency: Callable[[Floats], Floats],
) -> Callable[[np.random.Generator, Floats], Floats]:
    """Survivals of an efficiency that changes with the mass by a factor."""
    return lambda rng, mass: rng.random(mass.size) / efficiency(mass)


def table_of(mass: Floats, survival: Floats, cuts: Sequence[float]) -> JointTable:
    """The joint table of all jets and of those after each cut on the survival."""
    places = np.searchsorted(EDGES, mass, side="right") - 1
    inside = (places >= 0) & (places < EDGES.size - 1)
    ladder = sorted((*cuts, np.inf))
    steps = np.searchsorted(ladder, survival[inside], side="right")
    counts = np.zeros((len(ladder), EDGES.size - 1))
    np.add.at(counts, (steps, places[inside]), 1.0)
    members = np.array(
        [[step <= ladder.index(cut) for step in range(len(ladder))] for cut in (np.inf, *cuts)]
    )
    labels = ("all jets", *(f"{100 * cut:g} %" for cut in cuts))
    return JointTable(labels, EDGES, members, counts).select(range(len(labels)))


def toy_table(
    n: int = 7500,
    share: float = 0.0,
    seed: int = 1,
    cuts: Sequence[float] = (0.1,),
    *,
    masses: Callable[[np.random.Generator, int], Floats] = gamma_masses,
    signal: Callable[[np.random.Generator, int], Floats] = peak,
    survivals: Callable[[np.random.Generator, Floats], Floats] | None = None,
) -> JointTable:
    """The joint table of n jets and a share of signal."""
    rng = np.random.default_rng([9, seed])
    mass, signals = masses(rng, n), signal(rng, rng.poisson(share * n))
    own = rng.random(mass.size) if survivals is None else survivals(rng, mass)
    survival = np.concatenate([own, rng.random(signals.size) ** KEEP])
    return table_of(np.concatenate([mass, signals]), survival, cuts)


def wide_peak(rng: np.random.Generator, n: int) -> Floats:
    """A known peak, as of W bosons."""
    return rng.normal(85, 9, n)


def peaked_table(
    n: int = 7500,
    seed: int = 1,
    cuts: Sequence[float] = (0.2, 0.1, 0.05),
    *,
    share: float = 0.07,
    expected: float = 1.0,
    constraint: float | None = None,
    scale: float = 1.0,
    regions: int = 1,
    signal: float = 0.0,
) -> JointTable:
    """The joint table of n jets, of signal, and of a known peak that a score prefers a little, which the table knows of.

    The peak's norm is `share` · n jets over what is expected, its mass is `scale` of what is expected, and a shift of
    2 % is a standard deviation. Jets are in `regions` pt bins by lot, half as many in each as in the one before.
    """
    rng = np.random.default_rng([11, seed])
    parts = [(masses_of(rng, count), rng.random(count) ** power) for masses_of, count, power in (
        (gamma_masses, n, 1.0),
        (wide_peak, rng.poisson(share * n), 1.5),
        (peak, rng.poisson(signal * n), KEEP),
    )]  # fmt: skip
    parts[1] = (scale * parts[1][0], parts[1][1])
    mass, survival = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    odds = 0.5 ** np.arange(regions)
    region = rng.choice(regions, mass.size, p=odds / odds.sum())
    tables = [table_of(mass[region == r], survival[region == r], cuts) for r in range(regions)]
    many = np.random.default_rng(12)
    masses, survivals = wide_peak(many, 200_000), many.random(200_000) ** 1.5
    contents = [
        share * n / expected / 200_000 * table_of(factor * masses, survivals, cuts).counts
        for factor in (1.0, 0.98, 1.02)
    ]
    weights = np.repeat(odds / odds.sum(), len(contents[0]))[:, None]
    middle, low, high = (weights * np.tile(own, (regions, 1)) for own in contents)
    known = Component("w", middle, constraint=constraint, shifts={"jms": (low, high)})
    return JointTable(
        tables[0].labels,
        EDGES,
        np.hstack([table.members for table in tables]),
        np.vstack([table.counts for table in tables]),
        regions=tuple(f"pt {r}" for r in range(regions)),
        region_of=np.repeat(np.arange(regions), len(contents[0])),
        peaks=(known,) if share else (),
    )
