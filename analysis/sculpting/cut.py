"""Nested cuts on a score, and the pt bins of jets that are judged."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from oddjet.analysis.sculpting.stratum import Stratum
from oddjet.errors import ConfigError, InputError, TooFewJetsError
from oddjet.ml.evaluation.checks import checked_columns
from oddjet.typing import Bools, Floats, Ints

__all__ = [
    "WORKING_POINTS",
    "Cuts",
    "JetSample",
    "checked_edges",
    "make_cuts",
    "make_strata",
    "quantile_threshold",
]


WORKING_POINTS = (0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005)
"""Background efficiencies at which a score is looked at unless others are given."""


@dataclasses.dataclass(frozen=True)
class Cuts:
    """Nested cuts on a score, from loose to tight.

    Attributes:
        working_points: Wanted efficiencies.
        thresholds: Least score that passes each.
        efficiencies: Efficiencies that were reached: more than wanted where scores are equal.
        notes: What had to be left out or is not as wanted, in words.
    """

    working_points: tuple[float, ...]
    thresholds: tuple[float, ...]
    efficiencies: tuple[float, ...]
    notes: tuple[str, ...] = ()

    def levels(self, scores: Floats) -> Ints:
        """Count the cuts each jet passes, shape (n,)."""
        # Thresholds rise, and a score equal to one passes it.
        return np.searchsorted(np.asarray(self.thresholds), scores, side="right").astype(np.int64)


@dataclasses.dataclass(frozen=True, eq=False)
class JetSample:
    """Jets of one kind, each with a weight above zero.

    Attributes:
        scores: Higher is more anomalous, shape (n,).
        mass, pt: [GeV], shape (n,).
        weights: Shape (n,).
        events: The same number for the jets of an event, shape (n,): they fluctuate together.
    """

    scores: Floats
    mass: Floats
    pt: Floats
    weights: Floats
    events: Ints

    @classmethod
    def from_arrays(
        cls,
        scores: npt.ArrayLike,
        mass: npt.ArrayLike,
        pt: npt.ArrayLike,
        weights: npt.ArrayLike | None = None,
        events: npt.ArrayLike | None = None,
    ) -> JetSample:
        """Check arrays (n,), masses and pt in GeV, weights by default 1; leave out jets of weight 0.

        Without `events` every jet is of an event of its own.

        Raises:
            InputError: If shapes differ, a weight is negative, or all weights are zero.
            NonFiniteError: If a value is NaN or infinite.
        """
        given = {"scores": scores, "mass": mass, "pt": pt}
        columns, w = checked_columns(given, weights, where="sculpting")
        if len(w) and not w.any():
            msg = "sculpting: all weights are zero; expected jets with a positive weight"
            raise InputError(msg)
        numbers = np.arange(len(w)) if events is None else np.asarray(events)
        numbers = np.unique(numbers, return_inverse=True)[1].astype(np.int64)
        return cls(**columns, weights=w, events=numbers).select(w > 0)

    def __len__(self) -> int:
        return len(self.scores)

    def select(self, rows: Bools) -> JetSample:
        """Keep the jets of a mask, shape (n,)."""
        return JetSample(*(column[rows] for column in vars(self).values()))

    def in_pt(self, low: float, high: float) -> JetSample:
        """Keep the jets from `low` to below `high` in pt [GeV]."""
        return self.select((self.pt >= low) & (self.pt < high))

    def in_mass(self, low: float, high: float) -> JetSample:
        """Keep the jets from `low` to below `high` in mass [GeV]."""
        return self.select((self.mass >= low) & (self.mass < high))


def quantile_threshold(scores: Floats, weights: Floats, fraction: float) -> float:
    """The highest threshold that a fraction of the scores (n,), weighted (n,), passes at least."""
    order = np.argsort(-scores, kind="stable")
    cumulative = np.cumsum(weights[order])
    place = int(np.searchsorted(cumulative, fraction * cumulative[-1] * (1 - 1e-12)))
    return float(scores[order[min(place, len(order) - 1)]])


def checked_edges(given: Sequence[float] | Floats, name: str = "pt_edges") -> Floats:
    """Edges of bins as an array.

    Raises:
        ConfigError: If they do not rise, or are fewer than two.
    """
    edges = np.asarray(given, np.float64)
    if edges.ndim != 1 or len(edges) < 2 or not (np.diff(edges) > 0).all():
        msg = f"{name}: expected at least two rising numbers; received {tuple(given)}"
        raise ConfigError(msg)
    return edges


def make_cuts(
    scores: Floats, weights: Floats, working_points: Sequence[float], *, survival: bool = False
) -> Cuts:
    """Place cuts so that each passes at least the wanted fraction, and equal scores pass together.

    Scores and positive weights have shape (n,); efficiencies are between 0 and 1. With `survival` the scores are
    −log10 of a survival, and the cuts are at those of the working points, as a hunt makes them: what passes
    here may be another fraction than where the survival was learned.

    Raises:
        ConfigError: If an efficiency is not between 0 and 1, is given twice, or there is none.
        InputError: If all scores are equal.
    """
    wanted = sorted((float(point) for point in working_points), reverse=True)
    if not wanted or len(set(wanted)) < len(wanted) or not 0 < wanted[-1] <= wanted[0] < 1:
        msg = (
            "working_points: expected different background efficiencies between 0 and 1, ends"
            f" excluded; received {tuple(working_points)}"
        )
        raise ConfigError(msg)
    if np.ptp(scores) == 0:
        msg = f"sculpting: all {len(scores)} scores are {scores[0]:g}; no cut tells jets apart"
        raise InputError(msg)
    total = float(np.cumsum(weights[np.argsort(-scores, kind="stable")])[-1])
    kept: list[tuple[float, float, float]] = []
    notes = []
    for point in wanted:
        threshold = -np.log10(point) if survival else quantile_threshold(scores, weights, point)
        reached = float(weights[scores >= threshold].sum()) / total
        if not reached:
            notes.append(f"efficiency {point:g}: left out, no jet passes")
            continue
        if threshold <= scores.min():
            notes.append(f"efficiency {point:g}: left out, the cut would pass all jets")
            continue
        if kept and threshold == kept[-1][1]:
            notes.append(f"efficiency {point:g}: left out, equal scores make it the cut before it")
            continue
        if reached > 1.2 * point + 1 / len(scores):
            why = "with the hunt's threshold" if survival else "since scores are equal"
            notes.append(f"efficiency {point:g}: {reached:.3g} pass, {why}")
        elif survival and reached < point / 1.2 - 1 / len(scores):
            notes.append(f"efficiency {point:g}: {reached:.3g} pass, with the hunt's threshold")
        kept.append((point, threshold, reached))
    if not kept:
        msg = (
            f"sculpting: at none of the efficiencies {tuple(wanted)} is there a cut that some jets"
            " pass and some fail. Use a score with fewer equal values, or give more jets."
        )
        raise InputError(msg)
    points, thresholds, efficiencies = zip(*kept, strict=True)
    return Cuts(tuple(points), tuple(thresholds), tuple(efficiencies), tuple(notes))


def make_strata(
    jets: JetSample,
    cuts: Cuts,
    *,
    pt_edges: Sequence[float],
    mass_edges: Sequence[float] | Floats,
    n_groups: int,
) -> dict[tuple[float, float], Stratum]:
    """Sort jets, all inside the edges [GeV], into bins of pt, and each bin's jets into bins of mass.

    Returns:
        Edges of each pt bin that holds jets, to these.

    Raises:
        ConfigError: If edges do not rise, or there are fewer than two groups of mass bins.
        TooFewJetsError: If no pt bin has as many jets as groups, or all masses share a bin.
    """
    edges, masses = checked_edges(pt_edges), checked_edges(mass_edges, "mass_edges")
    if n_groups < 2:
        msg = f"sculpting: expected at least 2 groups of mass bins; received {n_groups}"
        raise ConfigError(msg)
    place = np.searchsorted(masses, jets.mass, side="right") - 1
    if len(np.unique(place)) < 2:
        msg = (
            f"sculpting: {len(jets)} jets, and their masses share one bin of mass: give more jets, or"
            " narrower bins"
        )
        raise TooFewJetsError(msg)
    levels = cuts.levels(jets.scores)
    strata: dict[tuple[float, float], Stratum] = {}
    for low, high in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        inside = (jets.pt >= low) & (jets.pt < high)
        if inside.any():
            rows = (place[inside], levels[inside], jets.weights[inside])
            strata[low, high] = Stratum(*rows, len(cuts.thresholds), len(masses) - 1, n_groups)
    most = max(stratum.n_jets for stratum in strata.values())
    if most < n_groups:
        msg = (
            f"sculpting: {len(jets)} jets, and at most {most} in a bin of pt, for {n_groups} groups of"
            " mass bins: give more jets, or wider bins of pt"
        )
        raise TooFewJetsError(msg)
    return strata
