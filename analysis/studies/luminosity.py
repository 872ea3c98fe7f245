"""At which luminosity a hunt finds the signals of its fileset: pseudo-data drawn again and again from scored simulation."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from oddjet.analysis.config import PseudoData
from oddjet.analysis.hunt.hunt import Hunt, hunt
from oddjet.analysis.hunt.spectra import read_histograms
from oddjet.analysis.pipeline.folder import Run
from oddjet.analysis.report.figures.curves import curves
from oddjet.analysis.report.figures.style import PlotLabel
from oddjet.analysis.report.page import Picture, Section, Table
from oddjet.analysis.scores.sample import choose_sample, histogram_settings, peak_scales
from oddjet.analysis.statistics.bumphunt.pvalues import significance
from oddjet.analysis.statistics.bumphunt.result import BumpHunt
from oddjet.errors import ConfigError
from oddjet.ml.evaluation.bootstrap import Interval
from oddjet.processors.engine.progress import Reporter, SilentReporter
from oddjet.processors.sample import MOST_DRAWN, HeldOut, HuntSample

__all__ = ["LuminosityPoint", "LuminosityStudy", "pseudo_hunts", "study_luminosity"]

BAND = (0.16, 0.5, 0.84)
FOUND = 3.0
"""Global significance from which a signal counts as found [σ]."""
STEPS = 6
FIRST = 0.1
"""The lowest luminosity, as a part of the highest."""

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Found:
    """What scans of one kind find at one luminosity.

    Attributes:
        local: Local significance of the most improbable window, one entry a drawing [σ].
        scan: Global significance, one entry a drawing: extrapolated where no pseudo-experiment did as well, or a
            lower bound where that cannot be done [σ].
        n_bounds: How many of these are lower bounds.
    """

    local: tuple[float, ...]
    scan: tuple[float, ...]
    n_bounds: int

    @classmethod
    def of(cls, scans: Sequence[BumpHunt]) -> Found:
        """Take the scans of all drawings."""
        return cls(
            tuple(significance(scan.local_p) for scan in scans),
            tuple(significance(_smallest_p(scan)) for scan in scans),
            sum(scan.global_p_is_bound and scan.beyond is None for scan in scans),
        )

    @property
    def is_bound(self) -> bool:
        """Whether the median is a lower bound."""
        return 2 * self.n_bounds >= len(self.scan)

    @property
    def band(self) -> tuple[float, float, float]:
        """Global significance at 16, 50 and 84 % of the drawings."""
        low, middle, high = np.quantile(self.scan, BAND)
        return float(low), float(middle), float(high)


@dataclasses.dataclass(frozen=True)
class LuminosityPoint:
    """One luminosity.

    Attributes:
        lumi_ifb: The luminosity [1/fb].
        n_jets: Jets that are hunted in, the median of the drawings.
        main: What the hunt finds.
        functions: What its cross-check by functions finds; None where the hunt is by functions.
        windows: The most improbable window of each drawing [GeV].
        problems: Why there is no scan, of drawings without one.
    """

    lumi_ifb: float
    n_jets: float
    main: Found
    functions: Found | None
    windows: tuple[tuple[float, float], ...]
    problems: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class LuminosityStudy:
    """The hunts of all drawings.

    Attributes:
        scores: The scores that are cut on.
        highest: The highest luminosity that the simulation is large enough for [1/fb].
        points: By rising luminosity.
        level: Global significance from which a signal counts as found [σ].
    """

    scores: tuple[str, ...]
    highest: float
    points: tuple[LuminosityPoint, ...]
    level: float = FOUND

    @property
    def reached(self) -> float | None:
        """Luminosity from which the median is above `level`, by interpolation; None where it is nowhere [1/fb]."""
        median = np.array([point.main.band[1] for point in self.points])
        lumis = np.array([point.lumi_ifb for point in self.points])
        below = np.flatnonzero(median < self.level)
        if not below.size:
            return float(lumis[0])
        last = int(below[-1])
        if last == len(lumis) - 1:
            return None
        x, y = np.sqrt(lumis[last : last + 2]), median[last : last + 2]
        return float((x[0] + (self.level - y[0]) / (y[1] - y[0]) * (x[1] - x[0])) ** 2)

    def sentence(self) -> str:
        """Say from which luminosity on the signals are found."""
        lowest, highest = self.points[0].lumi_ifb, self.points[-1].lumi_ifb
        words, last = f"{self.level:g} σ", self.points[-1].main
        if self.reached is None and last.is_bound:
            return (
                f"At {highest:.3g}/fb the median global significance is {last.band[1]:.2f} σ or more: too few "
                f"pseudo-experiments to tell {words} (hunt.n_toys)"
            )
        if self.reached is None:
            return (
                f"The median global significance stays below {words} up to {highest:.3g}/fb; the simulation is large "
                f"enough for {self.highest:.3g}/fb"
            )
        if self.reached == lowest:
            return f"The median global significance is above {words} from {lowest:.3g}/fb on, the lowest that was tried"
        return f"The median global significance is above {words} from {self.reached:.3g}/fb on"

    def section(self, *, label: PlotLabel | None = None) -> Section:
        """The section for a report, or for the terminal."""
        rows = tuple(
            (
                f"{point.lumi_ifb:.3g}",
                f"{point.n_jets:,.0f}",
                f"{np.median(point.main.local):.1f}",
                _banded(point.main),
                "–" if point.functions is None else _banded(point.functions),
                f"{len(point.windows)} of {len(point.windows) + len(point.problems)}",
            )
            for point in self.points
        )
        problems = dict.fromkeys(problem for point in self.points for problem in point.problems)
        return Section(
            title="At which luminosity the signals are found",
            anchor="luminosity",
            paragraphs=(
                (
                    "Pseudo-data are drawn from the held-out simulation, at cross section, and hunted in as data are. Drawings at "
                    "high luminosity share many events: what they scatter by is less than what data would. "
                    f"Scores that are cut on: {', '.join(self.scores)}."
                ),
            ),
            warnings=tuple(problems),
            statements=(self.sentence(),),
            tables=(
                Table(
                    ("1/fb", "jets", "local σ", "global σ", "by functions", "scanned"),
                    rows,
                    "Medians over the drawings, 16 to 84 % of them in brackets; ≥ where no pseudo-experiment did as well in "
                    "half of them or more. By functions: the scan that stands beside as a cross-check",
                ),
            ),
            pictures=(
                Picture(
                    partial(self._draw, label=label),
                    "Global significance of the hunt in pseudo-data against their luminosity; the band holds 68 % of the drawings.",
                    hint=f"where the curve crosses {self.level:g} the signals of the fileset are found.",
                    alt="Global significance against luminosity",
                    name="luminosity",
                ),
            ),
            numbers=self.to_dict(),
        )

    def to_dict(self) -> dict[str, Any]:
        """Every number, ready for JSON."""
        return {
            "study": "luminosity",
            "reached_ifb": self.reached,
            **dataclasses.asdict(self),
        }

    def _draw(self, *, label: PlotLabel | None) -> Figure:
        lines = {"the hunt": [point.main for point in self.points]}
        if others := [point.functions for point in self.points if point.functions is not None]:
            lines["by functions"] = others
        return curves(
            [point.lumi_ifb for point in self.points],
            {
                name: [Interval(f.band[1], f.band[0], f.band[2]) for f in line]
                for name, line in lines.items()
            },
            axis_label="Luminosity [1/fb]",
            value_label="Global significance [σ]",
            log=True,
            label=label,
        )


def pseudo_hunts(run: Run, *, workers: int = 1) -> tuple[Callable[[float, int], Hunt], float]:
    """Give hunts in pseudo-data of a scored run, and the highest luminosity that they can be drawn at [1/fb].

    Args:
        run: A run whose fileset holds simulation alone.
        workers: Threads of the scans.

    Returns:
        What draws pseudo-data of a luminosity with a seed and hunts in them, and the luminosity at which the
        heaviest held-out event stands for one; one of a known peak for less, see `MOST_DRAWN`.

    Raises:
        ConfigError: The fileset holds data, or a dataset has no cross section.
    """
    scores = [name.column for name in run.main_scores]
    held_out = HeldOut.from_detectors(
        (m.held_out, m.learned_in_json) for m in run.detectors.values()
    )

    def sample(lumi: float, seed: int) -> HuntSample:
        drawn = PseudoData(lumi_ifb=lumi, seed=seed)
        return choose_sample(run.datasets, pseudo_data=drawn, held_out=held_out)

    def hunt_at(lumi: float, seed: int) -> Hunt:
        jets = sample(lumi, seed)
        peaks = peak_scales(run.datasets, jets)
        wanted = histogram_settings(run.config.hunt, scores, jets, peaks=peaks)
        spectra = read_histograms(run.scores_folder, wanted, verify=run.config.verify)
        return hunt(spectra.hunted(wanted), run.config.hunt, workers=workers)

    one = sample(1.0, 1)
    names, weights = np.asarray(run.table["dataset"]), np.asarray(run.table["weight"])
    heaviest = max(
        scale
        / one.held_out.share_of(name)
        * float(weights[names == name].max(initial=0.0))
        / (MOST_DRAWN if run.datasets[name].kind == "peaking" else 1.0)
        for name, scale in (one.scales or {}).items()
    )
    if not heaviest > 0:
        msg = f"study luminosity: no event of {', '.join(one.scales or {})} has a weight above 0: give simulation to draw from"
        raise ConfigError(msg)
    return hunt_at, (1 - 1e-9) / heaviest


def study_luminosity(
    hunt_at: Callable[[float, int], Hunt],
    *,
    highest: float,
    lumis: Sequence[float] = (),
    n_drawings: int = 10,
    level: float = FOUND,
    reporter: Reporter | None = None,
) -> LuminosityStudy:
    """Hunt in pseudo-data of several luminosities, several times each.

    Args:
        hunt_at: Draws pseudo-data of a luminosity [1/fb] with a seed, and hunts in them.
        highest: The highest luminosity that the simulation is large enough for [1/fb].
        lumis: Luminosities [1/fb]; six from a tenth of the highest on if none.
        n_drawings: Drawings of each.
        level: Global significance from which a signal counts as found [σ].
        reporter: Told how far it is.

    Raises:
        ConfigError: A luminosity is not above 0, or above the highest; or no drawing could be scanned.
    """
    ladder = sorted(lumis) or (np.geomspace(FIRST, 1.0, STEPS) * highest).tolist()
    if not 0 < ladder[0] <= ladder[-1] <= highest * (1 + 1e-9):
        msg = (
            f"study luminosity: expected luminosities above 0 and up to {highest:.4g}/fb, for which the held-out simulation "
            f"is large enough, received {', '.join(f'{lumi:g}' for lumi in ladder)}: ask for lower ones, or simulate more"
        )
        raise ConfigError(msg)
    points = []
    with (reporter or SilentReporter()).track(
        "study luminosity", len(ladder) * n_drawings, "hunts"
    ) as update:
        for number, lumi in enumerate(ladder):
            hunts = []
            for seed in range(1, n_drawings + 1):
                hunts.append(hunt_at(lumi, seed))
                update(number * n_drawings + seed)
            points.append(_point(lumi, hunts))
    return LuminosityStudy(hunts[0].columns, highest, tuple(points), level)


def _point(lumi: float, hunts: Sequence[Hunt]) -> LuminosityPoint:
    scans = [hunt.bump_hunt for hunt in hunts if hunt.bump_hunt is not None]
    problems = tuple(hunt.problem for hunt in hunts if hunt.bump_hunt is None)
    if not scans:
        msg = (
            f"study luminosity: no hunt in pseudo-data of {lumi:g}/fb could be made: {problems[0]}"
        )
        raise ConfigError(msg)
    checks = [hunt.cross_check for hunt in hunts if hunt.cross_check is not None]
    n_jets = float(np.median([hunt.working_points[0].counts.sum() for hunt in hunts]))
    _log.info("%g/fb: %s", lumi, [scan.global_p for scan in scans])
    return LuminosityPoint(
        lumi,
        n_jets,
        Found.of(scans),
        Found.of(checks) if len(checks) == len(scans) else None,
        tuple((float(low), float(high)) for low, high in (scan.window for scan in scans)),
        problems,
    )


def _smallest_p(scan: BumpHunt) -> float:
    return scan.global_p if scan.beyond is None else min(scan.beyond.p, scan.global_p)


def _banded(scans: Found) -> str:
    low, middle, high = scans.band
    bound = "≥ " if scans.is_bound else ""
    return f"{bound}{middle:.1f} [{low:.1f}, {high:.1f}]"
