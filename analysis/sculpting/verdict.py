"""The verdict on a score: its outcome, and the numbers that it follows from."""

from __future__ import annotations

import dataclasses
import enum
from typing import Any

from oddjet.analysis.sculpting.fakes import CONFIDENCE
from oddjet.shown import Shown

__all__ = ["LEAST_POWER", "LEVEL", "JudgedCell", "JudgedWindow", "Outcome", "Verdict"]


LEVEL = 0.05
"""A p below this means that the mass is not independent of the score."""

LEAST_POWER = 0.9
"""Fraction of toys of either kind that must be noticed for a PASS."""


class Outcome(str, enum.Enum):
    """The result of a verdict."""

    PASS = "PASS"
    FAIL = "FAIL"
    INCONCLUSIVE = "INCONCLUSIVE"


@dataclasses.dataclass(frozen=True)
class JudgedCell:
    """One working point in one bin of pt: does its efficiency change over the whole mass range?

    Attributes:
        working_point: Wanted background efficiency of the cut, over all pt.
        pt_low, pt_high: Edges of the pt bin [GeV].
        n_passing: Jets of these that pass.
        efficiency: Weighted fraction that passes in this pt bin.
        n_bins: Groups of mass bins in the test; 0 where too few jets pass, or fail, to test it.
        statistic: χ² with n_bins − 1 degrees of freedom; 0 where not tested.
        local_p: Its p, for this cell alone; 1 where not tested.
        global_p: With all cells and windows that were looked at counted.
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
    global_p: float
    variation: float

    @property
    def name(self) -> str:
        """Working point and pt in words."""
        return (
            f"efficiency {100 * self.working_point:g} %, pt {self.pt_low:g} to {self.pt_high:g} GeV"
        )


@dataclasses.dataclass(frozen=True)
class JudgedWindow:
    """One working point in one window of the hunt: what bump does the cut fake there?

    Attributes:
        low, high: Ends of the window [GeV].
        expected: Events that the hunt expects there after the cut.
        fake: Events more than a smooth efficiency gives, at the luminosity of the hunt.
        error: Standard deviation of this.
        upper: Its upper bound at 95 %.
        resolution: Standard deviation of what the hunt can see there: of the events in the window and
            of the background fit beside it, and at least one.
        local_p: That an efficiency without bumps gives as many, for this window alone.
        global_p: With all cells and windows that were looked at counted.
    """

    working_point: float
    low: float
    high: float
    expected: float
    fake: float
    error: float
    upper: float
    resolution: float
    local_p: float
    global_p: float

    @property
    def name(self) -> str:
        """Working point and window in words."""
        return f"efficiency {100 * self.working_point:g} %, {self.low:g}–{self.high:g} GeV"

    @property
    def fake_sigmas(self) -> float:
        """The fake bump over the hunt's resolution."""
        return self.fake / self.resolution

    @property
    def upper_sigmas(self) -> float:
        """Its upper bound over the hunt's resolution."""
        return self.upper / self.resolution


@dataclasses.dataclass(frozen=True)
class Verdict(Shown):
    """Whether a cut on a score sculpts the background's mass.

    Attributes:
        global_p: Chance of as rare a window or cell, all of them counted, if no efficiency depended on the mass.
        variation: Largest variation of an efficiency over the mass, of the cells that are
            significant; of the cell with the smallest p where none is.
        tolerance: Variation above which a significant dependence is a FAIL.
        allowed: Fake bump, in units of the hunt's resolution, above which a significant one is a FAIL,
            and below which all upper bounds are for a PASS.
        power: Fraction of toys with correlation `rho` that have a global p below `LEVEL`.
        power_bump: The same of toys with a bump that fakes 1σ of the hunt in one of its windows.
        rho: Correlation of the toys: of the normal scores of score and mass within each pt bin.
        n_jets: Jets that were judged.
        n_effective: (Σw)²/Σw² of them.
        n_hunted: Jets before any cut that the bumps are scaled to.
        n_needed: About as many judged jets let 9 of 10 scores PASS that do not know the mass.
        n_unjudged: Windows in which jets are hunted and none could be judged.
        worst: The cell with the smallest local p.
        varying: The cell whose variation is quoted.
        fakest: The largest fake bump of the windows that are significant; of all where none is.
        largest: The window whose upper bound is largest in units of the hunt's resolution.
    """

    outcome: Outcome
    global_p: float
    variation: float
    tolerance: float
    allowed: float
    power: float
    power_bump: float
    rho: float
    n_jets: int
    n_effective: float
    n_hunted: float
    n_needed: float
    n_unjudged: int
    n_permutations: int
    n_power_toys: int
    seed: int
    worst: JudgedCell
    varying: JudgedCell
    fakest: JudgedWindow
    largest: JudgedWindow
    cells: tuple[JudgedCell, ...]
    windows: tuple[JudgedWindow, ...]
    notes: tuple[str, ...] = ()

    @property
    def is_significant(self) -> bool:
        """Whether the mass depends on the score; if not, variation and bumps are chance."""
        return self.global_p < LEVEL

    @property
    def varies(self) -> bool:
        """Whether an efficiency changes over the mass, and by more than is tolerated."""
        return self.varying.global_p < LEVEL and self.variation > self.tolerance

    @property
    def fakes(self) -> bool:
        """Whether there is a fake bump, and a larger one than is allowed."""
        return self.fakest.global_p < LEVEL and self.fakest.fake_sigmas > self.allowed

    @property
    def sentence(self) -> str:
        """The verdict and its reasons in words."""
        tested = sum(cell.n_bins > 0 for cell in self.cells)
        looked = (
            f"p = {self.global_p:.2g} over {len(self.windows)} windows and {tested} cells of"
            f" {self.n_jets:,} jets"
        )
        if self.outcome is Outcome.FAIL:
            return f"FAIL: {looked}: {'; and '.join(self._faults())}."
        bound = (
            f"a bump of {_number(self.largest.upper)} events, {self.largest.upper_sigmas:.2g}σ of a hunt in"
            f" {self.n_hunted:,.0f} jets ({100 * CONFIDENCE:g} %; at {self.largest.name})"
        )
        power = (
            f"power {100 * self.power_bump:.0f} % against a bump of 1σ,"
            f" {100 * self.power:.0f} % against a correlation of {self.rho:g}"
        )
        if self.outcome is Outcome.INCONCLUSIVE:
            unjudged = (
                f", and none in {self.n_unjudged} windows of the hunt" if self.n_unjudged else ""
            )
            return (
                f"INCONCLUSIVE: {looked}, too few jets to tell{unjudged}: the cut may still fake {bound},"
                f" allowed {self.allowed:g}σ; {power}. About {_number(self.n_needed)} jets would decide."
            )
        depends = ""
        if self.is_significant:
            depends = ": the mass does depend on the score, but by no more than is allowed"
            if self.varying.global_p < LEVEL:
                depends += (
                    f" (its efficiency varies by {100 * self.variation:.1f} % over the range, within"
                    f" {100 * self.tolerance:g} %)"
                )
        return (
            f"PASS: {looked}{depends}; nowhere does the cut fake more than {bound}, allowed"
            f" {self.allowed:g}σ; {power}."
        )

    def _faults(self) -> list[str]:
        """What a FAIL is for."""
        faults = []
        if self.fakes:
            bump = self.fakest
            faults.append(
                f"the cut fakes {_number(bump.fake)} ± {_number(bump.error)} events on"
                f" {_number(bump.expected)}, {bump.fake_sigmas:.2g}σ of a hunt in {self.n_hunted:,.0f} jets"
                f" (at {bump.name}), allowed {self.allowed:g}σ"
            )
        if self.varies:
            faults.append(
                f"its efficiency varies across the mass by {100 * self.variation:.1f} % (at"
                f" {self.varying.name}), more than {100 * self.tolerance:g} %"
            )
        return faults

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

    def largest_of(self, working_point: float) -> JudgedWindow:
        """The window of a working point with the largest upper bound in units of the resolution."""
        own = [window for window in self.windows if window.working_point == working_point]
        return max(own, key=lambda window: window.upper_sigmas)

    def to_dict(self) -> dict[str, Any]:
        """Every number, for JSON."""
        return {
            **dataclasses.asdict(self),
            "outcome": self.outcome.value,
            "sentence": self.sentence,
            "level": LEVEL,
            "least_power": LEAST_POWER,
            "confidence": CONFIDENCE,
        }


def _number(value: float) -> str:
    """Two digits, or all before the point."""
    return f"{value:.2g}" if abs(value) < 100 else f"{float(f'{value:.2g}'):,.0f}"
