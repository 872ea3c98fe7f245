"""What a hunt would find, before data are unblinded: expected significance and limit against the injected fraction.

Nothing of the blinded window enters. Jets of all score bins are interpolated through it, the ratio of those that
pass to those that fail is continued from beside it, and a signal of the fileset is added. Experiments are drawn from that
and the cuts on the main score are scanned as in the data; the global p of each is its place among experiments without a signal.

References:
    G. Cowan et al., arXiv:1007.1727, sections 3.1 and 4 (Asimov data, median significance).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import stats

from oddjet.analysis.config import HuntConfig
from oddjet.analysis.hunt.result import Hunt
from oddjet.analysis.statistics.bumphunt.joint import JointTable
from oddjet.analysis.statistics.bumphunt.pvalues import significance, toy_p
from oddjet.analysis.statistics.bumphunt.ranks import SLACK, extrapolate, ranks
from oddjet.analysis.statistics.components import Component
from oddjet.analysis.statistics.conditional.scan import scan_conditionally
from oddjet.analysis.statistics.limits.asymptotic import Asymptotic
from oddjet.analysis.statistics.limits.likelihood import Likelihood
from oddjet.analysis.statistics.limits.passfail import PassFailInputs
from oddjet.analysis.statistics.limits.spectrum import SpectrumLimit
from oddjet.errors import FitError
from oddjet.typing import Floats

__all__ = ["Reach", "ReachPoint", "expected_reach"]

N_EXPERIMENTS = 25
"""Experiments at each fraction: the median significance comes out to 0.25 σ."""
MOST_TOYS = 500
"""Experiments without a signal that these are compared with, at most."""
FEW = 10
BAND = (0.16, 0.5, 0.84)


@dataclasses.dataclass(frozen=True)
class ReachPoint:
    """What is expected of one amount of signal.

    Attributes:
        fraction: Signal jets in the mass range, those that fail cuts among them, over all other jets.
        jets: Signal jets.
        passing: Those of them that pass the loosest cut.
        local: Median significance of a fit of the signal's own template, where its mass is known [σ].
        scan: Global significance of the scan in experiments, at 16, 50 and 84 % of them [σ].
        n_bounds: Experiments whose global significance is a lower bound.
        limit: Limit that is expected if so much is there, as a fraction.
    """

    fraction: float
    jets: float
    passing: float
    local: float
    scan: tuple[float, float, float]
    n_bounds: int
    limit: float


@dataclasses.dataclass(frozen=True)
class Reach:
    """What is expected of one signal.

    Attributes:
        name: Its dataset.
        n_jets: Expected jets of the hunt without it, the window interpolated.
        n_toys: Experiments without a signal.
        n_experiments: Experiments at each fraction.
        limit: Fractions that are expected to be excluded where there is no signal: at −2, −1, 0, 1, 2 σ of the background.
        points: By rising fraction.
    """

    name: str
    n_jets: float
    n_toys: int
    n_experiments: int
    limit: tuple[float, ...]
    points: tuple[ReachPoint, ...]

    def to_dict(self) -> dict[str, Any]:
        """Every number, ready for JSON."""
        return dataclasses.asdict(self)


def expected_reach(
    hunt: Hunt,
    settings: HuntConfig,
    limits: Sequence[SpectrumLimit],
    *,
    n_experiments: int = N_EXPERIMENTS,
    workers: int = 1,
) -> tuple[tuple[Reach, ...], tuple[str, ...]]:
    """Give the expected significance and limit for each signal that a limit was set on.

    Args:
        hunt: A blinded hunt that compares jets that pass with jets that fail.
        settings: The scan, and the fractions (`hunt.reach`).
        limits: Limits of the hunt; those on signals of the fileset are taken.
        n_experiments: Experiments at each fraction.
        workers: Threads.

    Returns:
        The reach of each signal, and why others are missing.
    """
    reaches, problems = [], []
    background: _Background | None = None
    for result in limits:
        inputs = result.limit.inputs
        if not (result.name and isinstance(inputs, PassFailInputs) and settings.reach):
            continue
        try:
            if background is None:
                background = _Background.make(hunt, settings, inputs, workers)
            reaches.append(_reach(background, result, inputs, settings, n_experiments))
        except FitError as error:
            problems.append(f"no expected reach of {result.name}: {error}")
    return tuple(reaches), tuple(problems)


@dataclasses.dataclass(frozen=True)
class _Background:
    """Jets without a signal, and what the scan finds in experiments of them.

    Attributes:
        table: All jets, and those after each cut on the main score.
        peaks: Known peaks in it, by region and score bin.
        settings: How they are scanned, with one pseudo-experiment.
        smallest: Smallest local p of each experiment, shape (n_toys, n_spectra).
        labels: What the spectra are called.
    """

    table: JointTable
    peaks: tuple[Component, ...]
    settings: HuntConfig
    smallest: Floats
    labels: tuple[str, ...]

    @classmethod
    def make(
        cls, hunt: Hunt, settings: HuntConfig, inputs: PassFailInputs, workers: int
    ) -> _Background:
        assert hunt.joint is not None
        places = [hunt.joint.labels.index(point.name) for point in hunt.main_points]
        n_toys = min(settings.n_toys, MOST_TOYS)
        table = _filled(
            hunt.joint.select(places), whole_jets(inputs.expected), inputs.model.components
        )
        scan = scan_conditionally(
            table, settings.model_copy(update={"n_toys": n_toys}), workers=workers
        )
        smallest = np.stack([channel.toy_min_p for channel in scan.channels], axis=1)
        one = settings.model_copy(update={"n_toys": 1})
        labels = tuple(channel.label for channel in scan.channels)
        return cls(table, inputs.model.components, one, smallest, labels)

    def _local_p(self, counts: Floats) -> Floats:
        """Smallest local p of each spectrum in one experiment; 1 where no jet of it passes the cut, shape (n_spectra,)."""
        table, own = _filled(self.table, counts, self.peaks), np.ones(len(self.labels))
        passed = table.spectra.sum(axis=1)
        if not ((passed > 0) & (passed < table.counts.sum())).any():
            return own
        for channel in scan_conditionally(table, self.settings).channels:
            if channel.label in self.labels:
                own[self.labels.index(channel.label)] = channel.local_p
        return own

    def global_z(self, counts: Floats) -> tuple[float, bool]:
        """Global significance of one experiment, and whether it is a lower bound."""
        own = self._local_p(counts)
        places = ranks(np.vstack([own, self.smallest]))
        first = places[1:].min(axis=1)
        n_exceeding = int(np.sum(first <= places[0].min() * SLACK))
        p = float(toy_p(n_exceeding, len(first)))
        if n_exceeding >= FEW:
            return significance(p), False
        best = int(np.argmin(places[0]))
        in_effect = max(1.0, float(np.mean(first <= 0.05)) / 0.05)
        beyond = extrapolate(float(own[best]), self.smallest[:, best], in_effect)
        if beyond is not None:
            return significance(min(beyond.p, 1.0)), False
        return significance(p), n_exceeding == 0


def whole_jets(expected: Floats) -> Floats:
    """Round contents to whole jets, the last axis the mass, so that sums over masses stay what they are but for half a jet.

    >>> whole_jets(np.array([0.4, 0.4, 0.4, 0.4])).tolist()
    [0.0, 1.0, 0.0, 1.0]
    """
    return np.asarray(np.diff(np.round(np.cumsum(expected, axis=-1)), axis=-1, prepend=0.0))


def _filled(table: JointTable, counts: Floats, peaks: Sequence[Component]) -> JointTable:
    """Bring jets by region, score bin and mass into a joint table of nested cuts."""
    n_regions, n_scores, n_bins = counts.shape
    passed = np.arange(n_scores)[None, :] >= np.arange(n_scores)[:, None]

    def by_pattern(values: Floats) -> Floats:
        return values.reshape(n_regions * n_scores, n_bins)

    return dataclasses.replace(
        table,
        members=np.tile(passed, (1, n_regions)),
        counts=by_pattern(counts),
        region_of=np.repeat(np.arange(n_regions), n_scores),
        peaks=tuple(peak.transformed(by_pattern) for peak in peaks),
        given=None,
    )


def _reach(
    background: _Background,
    result: SpectrumLimit,
    inputs: PassFailInputs,
    settings: HuntConfig,
    n_experiments: int,
) -> Reach:
    jets, shape = float(inputs.expected.sum()), inputs.signal.contents / inputs.signal_yield
    rng = np.random.default_rng([settings.seed, *result.name.encode()])
    points = []
    for fraction in settings.reach:
        means = inputs.expected + fraction * jets * shape
        seen = [
            background.global_z(rng.poisson(means).astype(np.float64)) for _ in range(n_experiments)
        ]
        local, limit = _of_asimov(inputs, means, 1.0 - result.limit.settings.cl)
        low, middle, high = np.quantile([z for z, _ in seen], BAND)
        points.append(
            ReachPoint(
                fraction,
                fraction * jets,
                fraction * jets * inputs.efficiency,
                local,
                (float(low), float(middle), float(high)),
                sum(is_bound for _, is_bound in seen),
                limit / jets,
            )
        )
    excluded = tuple(result.limit.in_events(mu) / jets for mu in result.limit.expected)
    return Reach(
        result.name, jets, len(background.smallest), n_experiments, excluded, tuple(points)
    )


def _of_asimov(inputs: PassFailInputs, means: Floats, level: float) -> tuple[float, float]:
    """Significance of the signal's template in the data that are expected with it, and the limit [jets]."""
    unit = inputs.reference_yield
    likelihood = Likelihood(inputs.channel(signal_yield=unit), free=inputs.free)
    asymptotic = Asymptotic(likelihood, inputs.asimov(likelihood, means))
    return float(stats.norm.isf(asymptotic.p0)), unit * asymptotic.limits(level)[0]
