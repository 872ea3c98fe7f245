"""Jets whose score knows nothing of the mass, and a signal that scores high."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from oddjet.analysis.statistics.bumphunt.joint import JointTable
from oddjet.typing import Floats

EDGES = np.linspace(40.0, 240.0, 41)
KEEP = np.log(0.1) / np.log(0.55)
"""Powers of uniform numbers: of the signal a cut of 10 % keeps 55 %."""

Efficiency = Callable[[Floats], Floats]


def table_of(mass: Floats, survival: Floats, cuts: Sequence[float]) -> JointTable:
    """The joint table of all jets and of those after each cut on the survival."""
    inside = np.searchsorted(EDGES, mass, side="right")[:, None] == np.arange(1, EDGES.size)
    passes = np.stack([survival < cut for cut in (np.inf, *cuts)])
    labels = ("all jets", *(f"{100 * cut:g} %" for cut in cuts))
    jets = JointTable(labels, EDGES, passes, inside.astype(float))
    return jets.select(range(len(labels)))


def toy_table(
    n: int = 7500,
    share: float = 0.0,
    seed: int = 1,
    cuts: Sequence[float] = (0.1,),
    efficiency: Efficiency | None = None,
) -> JointTable:
    """A gamma-like spectrum of n jets and a share of signal at 172 ± 12 GeV; efficiency as a factor at a mass."""
    rng = np.random.default_rng([9, seed])
    mass = 10 + rng.gamma(1.3, 38.0, 2 * n + 200)
    mass = mass[(mass > 40) & (mass < 240)][:n]
    n_signal = rng.poisson(share * n)
    survival = rng.random(mass.size)
    if efficiency is not None:
        survival /= efficiency(mass)
    mass = np.concatenate([mass, rng.normal(172, 12, n_signal)])
    return table_of(mass, np.concatenate([survival, rng.random(n_signal) ** KEEP]), cuts)
