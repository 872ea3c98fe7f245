"""What a hunt gives: the jets that were hunted in, their spectra after each cut, and the scan."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from oddjet.analysis.hunt.calibration import PeakCalibration
from oddjet.analysis.hunt.frozen import Frozen
from oddjet.analysis.statistics.background.fit import BackgroundFit
from oddjet.analysis.statistics.background.methods import MethodBias
from oddjet.analysis.statistics.bumphunt.joint import JointTable
from oddjet.analysis.statistics.bumphunt.result import BumpHunt, ChannelScan
from oddjet.analysis.statistics.spectrum import Spectrum
from oddjet.processors.sample import HuntSample
from oddjet.shown import Shown

__all__ = ["Hunt", "WorkingPoint", "score_bins_name", "spectrum_name"]


def spectrum_name(score: str, efficiency: float) -> str:
    """How a spectrum is called in tables and legends.

    Args:
        score: The score that was cut on; empty before any cut.
        efficiency: Background efficiency of the cut.

    >>> spectrum_name("kmeans_min_d", 0.1), spectrum_name("", 1.0)
    ('kmeans_min_d, 10 % background', 'all jets')
    """
    return f"{score}, {_cut_name(efficiency)}" if score else "all jets"


def score_bins_name(score: str) -> str:
    """How the score bins between all cuts on a score are called, which are tested together."""
    return f"{score}, score bins"


def _cut_name(efficiency: float) -> str:
    return f"{100 * efficiency:g} % background"


@dataclasses.dataclass(frozen=True)
class WorkingPoint:
    """The mass spectrum after one cut, its background and its scan.

    Attributes:
        column: The score that was cut on, as histograms are named; empty before any cut.
        efficiency: Background efficiency of the cut; 1 before any.
        edges: Mass bin edges, n_bins + 1 of them [GeV].
        counts: Jets a bin, shape (n_bins,); NaN where blinded.
        fit: The sideband fit beside the signal window, None where it failed.
        scan: The scan of this spectrum; None while blinded, or where it cannot be tested.
        methods: The background in the signal window by several methods; None where none is good.
        problem: Why there is no fit or no scan; empty where there are both.
        cross_check: Its scan by functions fitted beside each window, where `scan` is the conditional one.
    """

    column: str
    efficiency: float
    edges: npt.NDArray[np.float64]
    counts: npt.NDArray[np.float64]
    fit: BackgroundFit | None
    scan: ChannelScan | None
    problem: str = ""
    methods: MethodBias | None = None
    cross_check: ChannelScan | None = None

    @property
    def cut_name(self) -> str:
        """The cut without its score, as short as can be."""
        return _cut_name(self.efficiency) if self.column else "all jets"

    @property
    def name(self) -> str:
        """How the spectrum is called in tables and legends."""
        return spectrum_name(self.column, self.efficiency)

    def to_dict(self) -> dict[str, Any]:
        """Every number, ready for JSON."""
        return {
            "score": self.column,
            "background_efficiency": self.efficiency,
            "edges": self.edges.tolist(),
            "counts": [None if np.isnan(count) else count for count in self.counts.tolist()],
            "fit": None if self.fit is None else self.fit.to_dict(),
            "methods": None if self.methods is None else self.methods.to_dict(),
            "bump_hunt": None if self.scan is None else self.scan.to_dict(),
            "cross_check": None if self.cross_check is None else self.cross_check.to_dict(),
            "problem": self.problem,
        }


@dataclasses.dataclass(frozen=True)
class Hunt(Shown):
    """The hunt at all working points of all scores that were looked at.

    Attributes:
        columns: The scores that were cut on, as histograms are named; the first is the main one.
        working_points: No cut, then each score from the loosest cut to the tightest.
        bump_hunt: The scan of all these spectra together; None while blinded, or without a fit.
        problem: Why there is no scan; empty where there is one.
        frozen: With stages, what exploring wrote down: in these jets, or for these to test.
        cross_check: The scan of all spectra by functions, where `bump_hunt` is the conditional one: with a
            global p of its own, which does not enter the other.
        n_calibration: Effective jets in the mass range that maps, or thresholds where there are none, were
            learned on; None where not known.
        n_replicas: Replicas of what was learned, after which pseudo-experiments were drawn; 0 where there are none.
        peaks: Known peaks, as they were found; None without them.
        peaks_problem: Why they are taken as expected instead; empty where they are not.
        joint: Jets by mass and by the spectra that they are in, those of a blinded window left out.
        by_share: Whether jets that pass are compared with jets that fail, here or once the data are unblinded.
        simulated: Simulated background by the name of the spectrum; empty where there is none.
    """

    columns: tuple[str, ...]
    mass: str
    sample: HuntSample
    blinded: bool
    working_points: tuple[WorkingPoint, ...]
    bump_hunt: BumpHunt | None
    problem: str = ""
    frozen: Frozen | None = None
    cross_check: BumpHunt | None = None
    n_calibration: float | None = None
    n_replicas: int = 0
    peaks: PeakCalibration | None = None
    peaks_problem: str = ""
    joint: JointTable | None = dataclasses.field(default=None, repr=False, compare=False)
    by_share: bool = False
    simulated: Mapping[str, Spectrum] = dataclasses.field(
        default_factory=dict, repr=False, compare=False
    )

    @property
    def has_peaks(self) -> bool:
        """Whether known peaks were expected."""
        return self.peaks is not None or bool(self.peaks_problem)

    @property
    def n_hunted(self) -> int:
        """Jets that are hunted in, before any cut on a score; without those of a blinded window."""
        return int(np.nansum(self.working_points[0].counts))

    @property
    def calibration_sentence(self) -> str:
        """How many jets are hunted in for each that cuts were learned on; empty where that is not known.

        And whether p-values know the error of what was learned.
        """
        if not self.n_calibration:
            return ""
        error = (
            f"Pseudo-experiments are drawn after {self.n_replicas} replicas of what was learned, so that p-values have its error."
            if self.n_replicas
            else "The error of what was learned is not known, and left out of all p-values: they do not hold where more "
            "jets are hunted in than it was learned on. `oddjet score` makes a table that knows it."
        )
        return (
            f"{self.n_hunted:,} jets are hunted in{' outside the blinded window' if self.blinded else ''}, and cuts were "
            f"learned on {self.n_calibration:,.0f} others: {self.n_hunted / self.n_calibration:.2g} for each of these. {error}"
        )

    @property
    def column(self) -> str:
        """The main score: it is the one that figures of mass are cut on."""
        return self.columns[0]

    @property
    def main_points(self) -> tuple[WorkingPoint, ...]:
        """No cut, and the main score from the loosest cut to the tightest; of stages that test others alone, the first."""
        cut = [p.column for p in self.working_points if p.column]
        main = self.column if self.column in cut or not cut else cut[0]
        return tuple(p for p in self.working_points if p.column in {"", main})

    @property
    def tightest(self) -> WorkingPoint:
        """The tightest working point of the main score."""
        return self.main_points[-1]

    @property
    def tested_p(self) -> float | None:
        """The p of what exploring had written down, corrected for its number; None where this is no such test."""
        part, scan = self.sample.part, self.bump_hunt
        is_test = self.frozen is not None and part is not None and not part.explores
        return scan.global_p if is_test and scan is not None else None

    @property
    def stage_statements(self) -> tuple[str, ...]:
        """What the stages say, a sentence each; none without stages."""
        frozen, part = self.frozen, self.sample.part
        if frozen is None or part is None:
            return ()
        if part.explores:
            return (
                frozen.describe(),
                "exploring chooses and is no result: --unblind tests the rest",
            )
        p = self.tested_p
        tested = "nothing was tested" if p is None else f"tested in the others: p = {p:.3g}"
        return (frozen.describe(), f"{tested}; both stages together p = {frozen.together(p):.3g}")

    @property
    def joint_scans(self) -> tuple[ChannelScan, ...]:
        """Scans of several cuts together: of the score bins between them."""
        names = {point.name for point in self.working_points}
        channels = () if self.bump_hunt is None else self.bump_hunt.channels
        return tuple(channel for channel in channels if channel.label not in names)

    @property
    def tests(self) -> str:
        """How windows were tested, in a few words."""
        return "not scanned" if self.bump_hunt is None else self.bump_hunt.background

    def rows(self) -> list[tuple[str, ...]]:
        """One line a spectrum: cut, jets, function, its p, best window, local p, p over its windows."""
        rows: list[tuple[str, ...]] = []
        for point in self.working_points:
            jets = f"{np.nansum(point.counts):,.0f}"
            fit, scan = point.fit, point.scan
            shape = (fit.name, f"{fit.p_value:.2g}") if fit else ("none", "–")
            if scan is None:
                why = point.problem or self.problem or "not tested"
                rows.append((point.name, jets, *shape, why, "–", "–"))
                continue
            rows.append((point.name, jets, *shape, *_scan_cells(scan)))
        rows += [(scan.label, "–", "–", "–", *_scan_cells(scan)) for scan in self.joint_scans]
        return rows

    def _stages_dict(self) -> dict[str, Any] | None:
        if self.frozen is None:
            return None
        p = self.tested_p
        told = {"key": self.frozen.key, "tested_p": p, "p_of_both": self.frozen.together(p)}
        return dataclasses.asdict(self.frozen) | told

    def to_dict(self) -> dict[str, Any]:
        """Every number, ready for JSON; the windows of each spectrum are with its working point."""
        scan, check = (
            None if of is None else {k: v for k, v in of.to_dict().items() if k != "spectra"}
            for of in (self.bump_hunt, self.cross_check)
        )
        return {
            "scores": list(self.columns),
            "mass": self.mass,
            "sample": self.sample.kind,
            "lumi_ifb": self.sample.lumi_ifb,
            "n_hunted": self.n_hunted,
            "n_calibration": self.n_calibration,
            "n_replicas": self.n_replicas,
            "peaks": None if self.peaks is None else self.peaks.to_dict(),
            "peaks_problem": self.peaks_problem,
            "caveats": list(self.sample.caveats),
            "blinded": self.blinded,
            "problem": self.problem,
            "stages": self._stages_dict(),
            **({} if scan is None else scan),
            "cross_check": check,
            "working_points": [point.to_dict() for point in self.working_points],
            "score_bins": [channel.to_dict() for channel in self.joint_scans],
        }


def _scan_cells(scan: ChannelScan) -> tuple[str, str, str]:
    """Best window, local p and the p over all windows of a scan, for tables."""
    window = f"{scan.window[0]:g}–{scan.window[1]:g}" if scan.has_excess else "no excess"
    bound = "≤ " if scan.n_exceeding == 0 else ""
    return window, f"{scan.local_p:.2g}", f"{bound}{scan.spectrum_p:.2g}"
