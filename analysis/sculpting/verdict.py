"""The verdict on a score: does a cut on it change the mass of the background?

One number decides: the smallest p of a test of pass against fail over the mass, over all working
points and bins of pt. It is ranked among the same number of samples in which the masses were
permuted among the jets of each pt bin. So the many places that were looked at are counted, and the
rank p = (k + 1)/(n + 1) is exact for any distribution of the test's statistic.

References:
    B. Phipson and G. K. Smyth, "Permutation p-values should never be zero", arXiv:1603.05766.
    P. H. Westfall and S. S. Young, "Resampling-based multiple testing", Wiley (1993): the smallest
    p under permutation.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Sequence
from typing import Any

import numpy as np

from oddjet.analysis.sculpting.cut import (
    WORKING_POINTS,
    JetSample,
    checked_edges,
    make_cuts,
    make_strata,
)
from oddjet.analysis.sculpting.stratum import Stratum
from oddjet.bounds import MOST_TOYS
from oddjet.errors import ConfigError, TooFewJetsError
from oddjet.ml.evaluation.checks import effective_number
from oddjet.processors.histograms import PT_EDGES
from oddjet.shown import Shown
from oddjet.typing import Floats

__all__ = ["LEAST_POWER", "LEVEL", "JudgeSettings", "JudgedCell", "Outcome", "Verdict", "judge"]


LEVEL = 0.05
"""A p below this means that the mass is not independent of the score."""

LEAST_POWER = 0.9
"""Fraction of correlated toys that must be noticed for a PASS."""

LEAST_PERMUTATIONS = 299


class Outcome(str, enum.Enum):
    """The result of a verdict."""

    PASS = "PASS"
    FAIL = "FAIL"
    INCONCLUSIVE = "INCONCLUSIVE"


@dataclasses.dataclass(frozen=True)
class JudgedCell:
    """One working point in one bin of pt.

    Attributes:
        working_point: Wanted background efficiency of the cut, over all pt.
        pt_low, pt_high: Edges of the pt bin [GeV].
        n_passing: Jets of these that pass.
        efficiency: Weighted fraction that passes in this pt bin.
        n_bins: Bins of mass in the test; 0 where too few jets pass, or fail, to test it.
        statistic: χ² with n_bins − 1 degrees of freedom; 0 where not tested.
        local_p: Its p, for this cell alone; 1 where not tested.
        variation: RMS over the mass of ε(m)/ε − 1, less what chance gives.
    """

    working_point: float
    pt_low: float
    pt_high: float
    n_jets: int
    n_passing: int
    efficiency: float
    n_bins: int
    statistic: float
    local_p: float
    variation: float

    @property
    def name(self) -> str:
        """Working point and pt in words."""
        return (
            f"efficiency {100 * self.working_point:g} %, pt {self.pt_low:g} to {self.pt_high:g} GeV"
        )


@dataclasses.dataclass(frozen=True)
class Verdict(Shown):
    """Whether a cut on a score sculpts the background's mass.

    Attributes:
        global_p: Rank of the smallest local p among permutations of the mass, (k + 1)/(n + 1).
        variation: Largest variation of the efficiency over the mass, of the cells that are
            significant; of the cell with the smallest p where none is.
        tolerance: Variation above which a significant dependence is a FAIL.
        power: Fraction of toys with correlation `rho` that have a global p below `LEVEL`.
        rho: Correlation of the toys: of the normal scores of score and mass within each pt bin.
        n_jets: Jets that were judged.
        n_effective: (Σw)²/Σw² of them.
        n_power_toys: Toys with correlation.
        worst: The cell with the smallest local p.
        varying: The cell whose variation is quoted.
    """

    outcome: Outcome
    global_p: float
    smallest_p: float
    variation: float
    tolerance: float
    power: float
    rho: float
    n_jets: int
    n_effective: float
    n_permutations: int
    n_power_toys: int
    seed: int
    worst: JudgedCell
    varying: JudgedCell
    cells: tuple[JudgedCell, ...]
    notes: tuple[str, ...] = ()

    @property
    def is_significant(self) -> bool:
        """Whether the mass depends on the score; if not, the variation is chance."""
        return self.global_p < LEVEL

    @property
    def sentence(self) -> str:
        """The verdict and its reasons in words."""
        tested = sum(cell.n_bins > 0 for cell in self.cells)
        chance = f"p = {self.global_p:.2g} over {tested} cells of {self.n_jets:,} jets"
        power = f"power {100 * self.power:.0f} % against a correlation of {self.rho:g}"
        varies = f"varies across the mass by {100 * self.variation:.1f} %"
        allowed = f"{100 * self.tolerance:g} %"
        if self.outcome is Outcome.FAIL:
            return (
                f"FAIL: {chance}, and the efficiency {varies} (at {self.varying.name}), more than"
                f" {allowed}; most significant at {self.worst.name}."
            )
        if self.outcome is Outcome.INCONCLUSIVE:
            return (
                f"INCONCLUSIVE: {chance}, and too few jets to tell: {power}, wanted"
                f" {100 * LEAST_POWER:g} %."
            )
        if self.is_significant:
            return (
                f"PASS: {chance}: the mass does depend on the score, but the efficiency {varies} at"
                f" most, within {allowed}; {power}."
            )
        return f"PASS: {chance}; {power}."

    def rows(self) -> list[tuple[float, str, int, int, float, float | None, float | None]]:
        """One row a cell: working point, pt, jets, passing, efficiency, local p, variation.

        The last two are None where the cell was not tested.
        """
        return [
            (
                cell.working_point,
                f"{cell.pt_low:g}–{cell.pt_high:g}",
                cell.n_jets,
                cell.n_passing,
                cell.efficiency,
                cell.local_p if cell.n_bins else None,
                cell.variation if cell.n_bins else None,
            )
            for cell in self.cells
        ]

    def to_dict(self) -> dict[str, Any]:
        """Every number, for JSON."""
        return {
            **dataclasses.asdict(self),
            "outcome": self.outcome.value,
            "sentence": self.sentence,
            "level": LEVEL,
            "least_power": LEAST_POWER,
        }


@dataclasses.dataclass(frozen=True)
class JudgeSettings:
    """How a score is judged.

    Attributes:
        pt_edges: Edges [GeV].
        n_bins: Equally full mass bins in each pt bin; neighbours are merged where fewer than 5 jets
            are expected to pass in one.
        n_permutations: Permutations of the mass, at least 299.
        tolerance: Variation of the efficiency over the mass that is tolerated.

    Raises:
        ConfigError: If a number is out of its range.
    """

    working_points: Sequence[float] = WORKING_POINTS
    pt_edges: Sequence[float] = PT_EDGES
    n_bins: int = 8
    n_permutations: int = LEAST_PERMUTATIONS
    n_power_toys: int = 200
    rho: float = 0.1
    tolerance: float = 0.05
    seed: int = 1

    def __post_init__(self) -> None:
        least = LEAST_PERMUTATIONS
        problems = []
        if not least <= self.n_permutations <= MOST_TOYS:
            expected = f"n_permutations of at least {least} and at most {MOST_TOYS}"
            problems.append(f"{expected}, got {self.n_permutations}")
        if not 20 <= self.n_power_toys <= MOST_TOYS:
            expected = f"n_power_toys of at least 20 and at most {MOST_TOYS}"
            problems.append(f"{expected}, got {self.n_power_toys}")
        if not 0 < abs(self.rho) < 1:
            problems.append(f"rho between 0 and 1, ends excluded, got {self.rho:g}")
        if not self.tolerance >= 0:
            problems.append(f"a tolerance of at least 0, got {self.tolerance:g}")
        if problems:
            msg = f"sculpting: expected {'; '.join(problems)}"
            raise ConfigError(msg)


def judge(jets: JetSample, settings: JudgeSettings | None = None) -> Verdict:
    """Judge whether a cut on a score changes the mass of background jets.

    FAIL: the global p is below 0.05, and in a cell that is significant by itself the efficiency
    varies across the mass by more than the tolerance. Otherwise PASS if the sample had at least 90 %
    power against a correlation `rho`, and INCONCLUSIVE if it had not. A score that is independent
    of the mass can FAIL in 5 % of samples; less in huge ones, where chance stays within the tolerance.
    A correlation of 0.1 varies the efficiency by 8 % (half of the jets pass) to 29 % (0.5 % pass).

    Cuts are quantiles of the score over all jets, so that a raw score and one made of it by a
    rising function get the same verdict. Under permutation a jet keeps its score, pt and weight
    and gets the mass of another in its pt bin: pt bins must be so narrow that within one neither
    weight nor score follows the mass through the pt.

    Raises:
        InputError: If all scores are equal.
        TooFewJetsError: If no pt bin has as many jets as bins of mass.
        ConfigError: If a setting is invalid.
    """
    settings = settings or JudgeSettings()
    kept = _inside(jets, settings.pt_edges)
    cuts = make_cuts(kept.scores, kept.weights, settings.working_points)
    strata, notes = make_strata(kept, cuts, pt_edges=settings.pt_edges, n_bins=settings.n_bins)
    if n_outside := len(jets) - len(kept):
        notes = (f"{n_outside} of {len(jets)} jets are outside the pt edges", *notes)
    smallest_null, smallest_toys = _smallest_ps(list(strata.values()), settings)
    cells = [
        cell
        for (low, high), stratum in strata.items()
        for cell in _cells(stratum, low, high, cuts.working_points)
    ]
    worst, varying = _worst_and_varying(cells, smallest_null)
    global_p = float(_ranks(smallest_null, np.array([worst.local_p]))[0])
    power = float(np.mean(_ranks(smallest_null, smallest_toys) < LEVEL))
    return Verdict(
        outcome=_outcome(global_p, varying.variation, settings.tolerance, power),
        global_p=global_p,
        smallest_p=worst.local_p,
        variation=varying.variation,
        tolerance=settings.tolerance,
        power=power,
        rho=settings.rho,
        n_jets=sum(stratum.n_jets for stratum in strata.values()),
        n_effective=effective_number(np.concatenate([s.weights for s in strata.values()])),
        n_permutations=settings.n_permutations,
        n_power_toys=settings.n_power_toys,
        seed=settings.seed,
        worst=worst,
        varying=varying,
        cells=tuple(cells),
        notes=(*cuts.notes, *notes, *_untested(cells)),
    )


def _inside(jets: JetSample, pt_edges: Sequence[float]) -> JetSample:
    edges = checked_edges(pt_edges)
    kept = jets.in_pt(edges[0], edges[-1])
    if not len(kept):
        msg = f"sculpting: none of {len(jets)} jets is inside the pt edges {tuple(pt_edges)} GeV"
        raise TooFewJetsError(msg)
    return kept


def _smallest_ps(strata: Sequence[Stratum], settings: JudgeSettings) -> tuple[Floats, Floats]:
    """The smallest local p of each permutation, sorted, and of each toy."""
    rng = np.random.default_rng(settings.seed)
    null, toys = [], []
    for stratum in strata:
        null.append(stratum.statistics(stratum.permuted_sums(settings.n_permutations, rng))[1])
        drawn = stratum.correlated_sums(settings.rho, settings.n_power_toys, rng)
        toys.append(stratum.statistics(drawn)[1])
    smallest_null = np.sort(np.concatenate(null, axis=1).min(axis=1))
    return smallest_null, np.concatenate(toys, axis=1).min(axis=1)


def _worst_and_varying(
    cells: Sequence[JudgedCell], smallest_null: Floats
) -> tuple[JudgedCell, JudgedCell]:
    """The most significant cell, and of all significant ones that with the largest variation."""
    worst = min(cells, key=lambda cell: (cell.local_p, -cell.variation))
    ranks = _ranks(smallest_null, np.array([cell.local_p for cell in cells]))
    significant = [c for c, rank in zip(cells, ranks, strict=True) if rank < LEVEL and c.n_bins]
    return worst, max(significant or [worst], key=lambda cell: cell.variation)


def _outcome(global_p: float, variation: float, tolerance: float, power: float) -> Outcome:
    if global_p < LEVEL and variation > tolerance:
        return Outcome.FAIL
    return Outcome.PASS if power >= LEAST_POWER else Outcome.INCONCLUSIVE


def _ranks(sorted_null: Floats, values: Floats) -> Floats:
    """Rank values among those under permutation: p = (k + 1)/(n + 1), k of them not larger."""
    # Sums over permuted jets differ in their last digits for one and the same table.
    k = np.searchsorted(sorted_null, values * (1 + 1e-9), side="right")
    ranks: Floats = (k + 1) / (len(sorted_null) + 1)
    return ranks


def _cells(
    stratum: Stratum, low: float, high: float, working_points: Sequence[float]
) -> list[JudgedCell]:
    sums = stratum.sums()
    t, p = stratum.statistics(sums)
    variations = stratum.variations(sums)
    passing = stratum.passes.sum(axis=1)
    return [
        JudgedCell(
            working_point=point,
            pt_low=low,
            pt_high=high,
            n_jets=stratum.n_jets,
            n_passing=int(passing[k]),
            efficiency=float(stratum.efficiencies[k]),
            n_bins=int(stratum.n_merged[k]) if stratum.n_merged[k] >= 2 else 0,
            statistic=float(t[0, k]),
            local_p=float(p[0, k]),
            variation=float(variations[0, k]),
        )
        for k, point in enumerate(working_points)
    ]


def _untested(cells: Sequence[JudgedCell]) -> tuple[str, ...]:
    """Name for each pt bin the cuts that too few jets pass or fail."""
    missing: dict[str, list[str]] = {}
    for cell in cells:
        if not cell.n_bins:
            name = f"pt {cell.pt_low:g} to {cell.pt_high:g} GeV ({cell.n_jets:,} jets)"
            missing.setdefault(name, []).append(f"{100 * cell.working_point:g}")
    return tuple(
        f"{name}: not tested at efficiencies of {', '.join(points)} %, where too few pass or fail"
        for name, points in missing.items()
    )
