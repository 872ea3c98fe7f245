"""Judge a score: does a cut on it change the mass of the background, and would a hunt see that as a bump?

What is tested, and how it is ranked, is in `permutations`; what a bump is in `fakes`.

References:
    R. L. Berger, "Multiparameter hypothesis testing and acceptance sampling", Technometrics 24 (1982)
    295: all bounds below a limit at 95 % each say at 95 % that the largest is (intersection–union).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from scipy import stats

from oddjet.analysis.sculpting.cut import (
    WORKING_POINTS,
    JetSample,
    checked_edges,
    make_cuts,
    make_strata,
)
from oddjet.analysis.sculpting.fakes import (
    Contrasts,
    FakeBumps,
    HuntedIn,
    JudgedJets,
    fake_bumps,
)
from oddjet.analysis.sculpting.permutations import Ranked, Strata
from oddjet.analysis.sculpting.verdict import (
    LEAST_POWER,
    LEVEL,
    JudgedCell,
    JudgedWindow,
    Outcome,
    Verdict,
)
from oddjet.bounds import MOST_TOYS
from oddjet.errors import ConfigError, FitError, TooFewJetsError
from oddjet.ml.evaluation.checks import effective_number
from oddjet.processors.histograms import PT_EDGES

__all__ = ["JudgeSettings", "judge"]

LEAST_PERMUTATIONS = 299


@dataclasses.dataclass(frozen=True)
class JudgeSettings:
    """How a score is judged.

    Attributes:
        working_points: Background efficiencies of the cuts that are hunted with.
        pt_edges: Edges [GeV].
        hunted: Bins, windows and numbers of jets of the hunt.
        order: Highest power of the mass in the logit of the smooth efficiency.
        n_groups: Equally full groups of mass bins in each pt bin; neighbours are merged where fewer than
            5 jets are expected to pass in one.
        n_permutations: Permutations of the mass, at least 299.
        tolerance: Variation of the efficiency over the mass that is tolerated.
        allowed: Fake bump that is tolerated, in units of the hunt's resolution.
        unblind: Whether data are judged in the signal window as well, as after unblinding.
        explored: Share of the events of data that explore in stages: they alone are judged; all if None.
        survival: Whether scores are −log10 of a survival, cut at those of the working points as the hunt
            cuts; else cuts are quantiles over the judged jets.

    Raises:
        ConfigError: If a number is out of its range.
    """

    working_points: Sequence[float] = WORKING_POINTS
    pt_edges: Sequence[float] = PT_EDGES
    hunted: HuntedIn = dataclasses.field(default_factory=HuntedIn)
    order: int = 2
    n_groups: int = 8
    n_permutations: int = LEAST_PERMUTATIONS
    n_power_toys: int = 200
    rho: float = 0.1
    tolerance: float = 0.05
    allowed: float = 0.3
    unblind: bool = False
    explored: float | None = None
    survival: bool = False
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
        if not self.allowed > 0:
            problems.append(f"an allowed fake bump above 0, got {self.allowed:g}")
        if not 0 <= self.order <= 6:
            problems.append(f"an order from 0 to 6, got {self.order}")
        if problems:
            msg = f"sculpting: expected {'; '.join(problems)}"
            raise ConfigError(msg)

    def of_analysis(self, *, unblind: bool, explored: float | None) -> JudgeSettings:
        """Take from an analysis what of its data may be seen.

        Raises:
            ConfigError: Data are to be shown that the analysis hides.
        """
        if self.unblind and not unblind:
            msg = (
                "judging: unblind is not a choice of a verdict: judge with config= of an analysis that says unblind: "
                "true, or leave it out"
            )
            raise ConfigError(msg)
        return dataclasses.replace(self, unblind=unblind, explored=explored)


def judge(jets: JetSample, settings: JudgeSettings | None = None) -> Verdict:
    """Judge whether a cut on a score changes the mass of background jets.

    FAIL: the mass depends on the score, and that matters. That is, the global p of a window is below 0.05,
    and what is faked there is more than 0.3σ of what the hunt resolves; or that of a cell is, and the efficiency
    varies across the mass by more than the tolerance. PASS: not so; in every window the 95 % upper bound of what
    may be faked is below 0.3σ; and the sample had 90 % power against a bump of 1σ and against a correlation
    `rho`. Else INCONCLUSIVE. A score that is independent of the mass FAILs in 5 % of samples, less in huge
    ones. A bump is scaled to the jets that are hunted in, so that hundred times more data ask for hundred times
    more judged jets.

    Cuts are quantiles of the score over all jets, so that a raw score and one made of it by a
    rising function get the same verdict; or those of the hunt, see `JudgeSettings.survival`. Under permutation a jet keeps its score, pt and weight
    and gets the mass of another in its pt bin: pt bins must be so narrow that within one neither
    weight nor score follows the mass through the pt. Windows hold the jets of all pt bins, as those of the hunt: a
    dependence on pt that makes a bump there counts.

    Raises:
        InputError: If all scores are equal.
        TooFewJetsError: If no pt bin has as many jets as groups of bins, or no window can be judged.
        ConfigError: If a setting is invalid.
    """
    settings = settings or JudgeSettings()
    kept = _inside(jets, settings)
    points = settings.working_points
    cuts = make_cuts(kept.scores, kept.weights, points, survival=settings.survival)
    edges = settings.hunted.edges
    strata = make_strata(
        kept, cuts, pt_edges=settings.pt_edges, mass_edges=edges, n_groups=settings.n_groups
    )
    judged = _judged_jets(strata, settings)
    try:
        contrasts = Contrasts.make(judged, settings.hunted.windows(), settings.order)
    except FitError as error:
        msg = f"sculpting: {len(kept)} jets, and no window of the hunt can be judged: {error}"
        raise TooFewJetsError(msg) from error
    bumps = [
        fake_bumps(judged, contrasts.windows, k, settings.hunted, order=settings.order)
        for k in range(len(cuts.working_points))
    ]
    toys = (settings.n_permutations, settings.n_power_toys, settings.rho)
    tests = Ranked.make(
        strata, judged, contrasts, bumps, toys=toys, allowed=settings.allowed, seed=settings.seed
    )
    cells = _cells(strata, tests, cuts.working_points)
    windows = _windows(bumps, tests, cuts.working_points)
    notes = list(cuts.notes)
    if n_outside := len(jets) - len(kept):
        notes.append(
            f"{n_outside} of {len(jets)} jets are outside the edges of pt or mass, or hidden"
        )
    verdict = dataclasses.replace(
        _verdict(kept, settings, tests, cells, windows),
        n_hunted=float(settings.hunted.expected(judged).sum()),
        n_unjudged=_unjudged(settings, contrasts),
        notes=(*notes, *_untested(cells)),
    )
    return dataclasses.replace(verdict, outcome=_outcome(verdict))


def _inside(jets: JetSample, settings: JudgeSettings) -> JetSample:
    edges = checked_edges(settings.pt_edges)
    masses = checked_edges(settings.hunted.edges, "mass_edges")
    kept = jets.in_pt(edges[0], edges[-1]).in_mass(masses[0], masses[-1])
    hidden = settings.hunted.hidden_bins
    kept = kept.select(~hidden[np.searchsorted(masses, kept.mass, side="right") - 1])
    if not len(kept):
        msg = (
            f"sculpting: none of {len(jets)} jets is inside the pt edges {tuple(settings.pt_edges)} GeV and"
            f" {masses[0]:g} to {masses[-1]:g} GeV of mass"
        )
        raise TooFewJetsError(msg)
    return kept


def _judged_jets(strata: Strata, settings: JudgeSettings) -> JudgedJets:
    parts = list(strata.values())
    return JudgedJets(
        n_jets=sum(stratum.n_jets for stratum in parts),
        edges=np.asarray(settings.hunted.edges, np.float64),
        weights=np.sum([stratum.bin_weights for stratum in parts], axis=0),
        squares=np.sum([stratum.bin_squares for stratum in parts], axis=0),
        passing=np.sum([stratum.observed().sums[0] for stratum in parts], axis=0),
    )


def _verdict(
    kept: JetSample,
    settings: JudgeSettings,
    tests: Ranked,
    cells: Sequence[JudgedCell],
    windows: Sequence[JudgedWindow],
) -> Verdict:
    """Everything but the outcome and what it follows from."""
    worst = min(cells, key=lambda cell: (cell.local_p, -cell.variation))
    changed = [cell for cell in cells if cell.global_p < LEVEL and cell.n_bins]
    bumps = [window for window in windows if window.global_p < LEVEL]
    largest = max(windows, key=lambda window: window.upper_sigmas)
    # Where this sample's own bound is above what it should be, it says how many jets are missing.
    own = len(kept) * max(largest.upper_sigmas / settings.allowed, 1.0) ** 2
    return Verdict(
        outcome=Outcome.INCONCLUSIVE,
        global_p=tests.overall_p,
        variation=max(changed or [worst], key=lambda cell: cell.variation).variation,
        tolerance=settings.tolerance,
        allowed=settings.allowed,
        power=tests.power,
        power_bump=tests.power_bump,
        rho=settings.rho,
        n_jets=len(kept),
        n_effective=effective_number(kept.weights),
        n_hunted=0.0,
        n_needed=max(tests.n_needed, own),
        n_unjudged=0,
        n_permutations=settings.n_permutations,
        n_power_toys=settings.n_power_toys,
        seed=settings.seed,
        worst=worst,
        varying=max(changed or [worst], key=lambda cell: cell.variation),
        fakest=max(bumps or windows, key=lambda window: window.fake_sigmas),
        largest=largest,
        cells=tuple(cells),
        windows=tuple(windows),
    )


def _outcome(verdict: Verdict) -> Outcome:
    if verdict.fakes or verdict.varies:
        return Outcome.FAIL
    bounded = verdict.largest.upper_sigmas < verdict.allowed and not verdict.n_unjudged
    seen = min(verdict.power, verdict.power_bump) >= LEAST_POWER
    return Outcome.PASS if bounded and seen else Outcome.INCONCLUSIVE


def _unjudged(settings: JudgeSettings, contrasts: Contrasts) -> int:
    """Windows in which jets are hunted, and none is there to be judged."""
    wanted, jets = settings.hunted.windows(), settings.hunted.jets
    if jets is None or np.ndim(jets) == 0:
        return 0  # hunted jets have the masses of the judged ones
    judged = set(zip(contrasts.windows.firsts, contrasts.windows.stops, strict=True))
    hunted = wanted.sums(np.nan_to_num(np.asarray(jets, np.float64)))
    places = zip(wanted.firsts, wanted.stops, strict=True)
    return sum(n >= 1 and place not in judged for n, place in zip(hunted, places, strict=True))


def _cells(strata: Strata, tests: Ranked, working_points: Sequence[float]) -> list[JudgedCell]:
    shape = (len(strata), len(working_points))
    t, p = tests.sample.cell_t.reshape(shape), tests.sample.cell_p.reshape(shape)
    global_p = tests.global_p(p.ravel(), 0).reshape(shape)
    return [
        JudgedCell(
            working_point=point,
            pt_low=low,
            pt_high=high,
            n_jets=stratum.n_jets,
            n_passing=int(stratum.passes[k].sum()),
            efficiency=float(stratum.efficiencies[k]),
            n_bins=int(stratum.n_merged[k]) if stratum.n_merged[k] >= 2 else 0,
            statistic=float(t[row, k]),
            local_p=float(p[row, k]),
            global_p=float(global_p[row, k]),
            variation=float(variations[k]),
        )
        for row, ((low, high), stratum) in enumerate(strata.items())
        for variations in [stratum.variations(stratum.observed())[0]]
        for k, point in enumerate(working_points)
    ]


def _windows(
    bumps: Sequence[FakeBumps], tests: Ranked, working_points: Sequence[float]
) -> list[JudgedWindow]:
    windows = []
    for k, (point, bump) in enumerate(zip(working_points, bumps, strict=True)):
        local_p = stats.norm.sf(tests.sample.significances[k, 0])
        columns = (
            bump.windows.low,
            bump.windows.high,
            bump.expected,
            bump.fake,
            bump.errors,
            bump.upper,
            bump.resolutions,
            local_p,
            tests.global_p(local_p, 1 + k),
        )
        rows = zip(*(column.tolist() for column in columns), strict=True)
        windows += [JudgedWindow(point, *row) for row in rows]
    return windows


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
