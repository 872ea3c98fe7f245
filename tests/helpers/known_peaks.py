"""Jets as of QCD with peaks of the Standard Model, as joint tables with templates of their own simulation."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping

import numpy as np
from cut_tables import gamma_masses, table_of

from oddjet.analysis.config import HuntConfig
from oddjet.analysis.hunt.result import spectrum_name
from oddjet.analysis.hunt.spectra import HuntedSpectra
from oddjet.analysis.statistics.bumphunt.joint import JointTable
from oddjet.analysis.statistics.components import Component
from oddjet.processors.sample import HuntSample
from oddjet.typing import Floats

CUTS = (0.2, 0.1, 0.05)
POINTS = (("", 1.0), *(("s", cut) for cut in CUTS))
SETTINGS = HuntConfig(
    range=(40, 240), bin_width=5, window=(150, 200), working_points=CUTS, n_toys=100
)
PEAKS: Mapping[str, tuple[float, float, float, float]] = {
    "w": (82.0, 8.0, 0.45, 1500.0),
    "z": (92.0, 9.0, 0.45, 600.0),
    "top": (172.0, 13.0, 0.55, 900.0),
}
"""Mass and width [GeV], share that a cut of 10 % keeps, expected jets."""
N_SMOOTH, N_SIMULATED = 75_000, 200_000


def peak_jets(name: str, n: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Masses and survivals of n jets of a peak."""
    mass, width, keep, _ = PEAKS[name]
    return rng.normal(mass, width, n), rng.random(n) ** (np.log(0.1) / np.log(keep))


def drawn_table(
    seed: int,
    *,
    masses: Callable[[np.random.Generator, int], Floats] = gamma_masses,
    resonance: tuple[float, float, int] = (0.0, 1.0, 0),
    scale: float = 1.0,
) -> JointTable:
    """Draw jets: what is smooth, the peaks at a mass scale, and a resonance (mass, width, jets)."""
    rng = np.random.default_rng([3, seed])
    parts = [(masses(rng, N_SMOOTH), rng.random(N_SMOOTH))]
    for name, (*_, expected) in PEAKS.items():
        mass, survival = peak_jets(name, rng.poisson(expected), rng)
        parts.append((scale * mass, survival))
    mass, width, n = resonance
    parts.append((rng.normal(mass, width, n), rng.random(n) ** (np.log(0.1) / np.log(0.55))))
    table = table_of(*(np.concatenate(column) for column in zip(*parts, strict=True)), CUTS)
    return dataclasses.replace(table, labels=tuple(spectrum_name(*point) for point in POINTS))


@functools.cache
def templates() -> dict[str, tuple[Floats, Floats]]:
    """Expected jets of each peak by number of cuts that are passed, and Σw²."""
    made = {}
    for name, (*_, expected) in PEAKS.items():
        table = table_of(*peak_jets(name, N_SIMULATED, np.random.default_rng(99)), CUTS)
        weight = expected / N_SIMULATED
        cells = np.zeros((len(CUTS) + 1, table.edges.size - 1))
        cells[table.members[1:].sum(axis=0)] = table.counts
        made[name] = (cells * weight, cells * weight**2)
    return made


def with_peaks(table: JointTable) -> JointTable:
    """Give a table the templates."""
    passed = table.members[1:].sum(axis=0)
    peaks = [Component(n, c[passed], squares[passed]) for n, (c, squares) in templates().items()]
    return dataclasses.replace(table, peaks=tuple(peaks))


def spectra_of(table: JointTable) -> HuntedSpectra:
    """Spectra to hunt in, of decorrelated scores."""
    return HuntedSpectra(("s",), "msoftdrop", HuntSample("data", None), POINTS, table, True)
