"""How much cuts on a score change the background's mass, and what they keep of signals.

References:
    T. Golling et al., The Mass-ive Issue: Anomaly Detection in Jet Physics (2020), section 4: the
    relative entropy of the mass after a cut to that before it.
    ATLAS, ATL-PHYS-PUB-2018-014: 1/JSD between passing and failing jets against the rejection.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from typing import TypedDict

import numpy as np
import numpy.typing as npt

from oddjet.analysis.sculpting.cut import (
    WORKING_POINTS,
    Cuts,
    JetSample,
    checked_edges,
    make_cuts,
    quantile_threshold,
)
from oddjet.analysis.sculpting.entropy import Sculpted, relative_entropy
from oddjet.analysis.sculpting.stratum import equal_bins
from oddjet.errors import InputError, TooFewJetsError
from oddjet.ml.evaluation.bootstrap import Interval, percentile_interval, resampled_weights
from oddjet.ml.evaluation.checks import effective_number
from oddjet.processors.histograms import PT_EDGES
from oddjet.typing import Bools, Floats

__all__ = [
    "EfficiencyStep",
    "Shapes",
    "jensen_shannon",
    "mass_shapes",
    "scan_efficiencies",
]


REPLICAS = 100


@dataclasses.dataclass(frozen=True)
class EfficiencyStep(Sculpted):
    """What one cut does in one range of pt; its working point is over all pt.

    Attributes:
        pt_low, pt_high: Ends of the pt range [GeV].
        jsd: Jensen–Shannon divergence between the masses of pass and fail [bits].
        jsd_by_chance: What a cut independent of the mass has on average.
        in_window: Signal to the fraction of its jets in the mass window that pass a cut which the
            fraction `working_point` of the background in that window passes. Empty without window.
    """

    pt_low: float
    pt_high: float
    jsd: Interval
    jsd_by_chance: float
    in_window: Mapping[str, float]


@dataclasses.dataclass(frozen=True)
class Shapes:
    """The background's mass before and after cuts.

    Attributes:
        edges: Edges of the mass bins [GeV], n_bins + 1 of them.
        working_points: Wanted background efficiencies, n_points of them.
        before: Σw of all jets, shape (n_bins,); the variances are Σw².
        after: Σw of passing jets, shape (n_points, n_bins).
        efficiencies: Fractions that pass, shape (n_points, n_bins); NaN in empty bins.
        errors: Their binomial errors √(Σ w² (pass − ε)²) / Σw, with ε that of all masses, so that
            a bin in which no jet passes has one too.
    """

    edges: Floats
    working_points: tuple[float, ...]
    before: Floats
    before_variances: Floats
    after: Floats
    after_variances: Floats
    efficiencies: Floats
    errors: Floats


class _Divergences(TypedDict):
    entropy: Interval
    entropy_by_chance: float
    jsd: Interval
    jsd_by_chance: float


def jensen_shannon(first: npt.ArrayLike, second: npt.ArrayLike) -> float:
    """Jensen–Shannon divergence of two histograms, in base 2.

    JSD = ½ D(p ‖ m) + ½ D(q ‖ m), m = ½ (p + q): 0 for one shape, 1 for histograms that share no bin.

    Args:
        first: Contents (n_bins,), not negative.
        second: Contents (n_bins,), not negative.

    Raises:
        InputError: If one is negative somewhere or empty, or the shapes differ.

    References:
        J. Lin, IEEE Transactions on Information Theory 37 (1991) 145, eq. 4.1.

    >>> jensen_shannon([1, 0], [0, 3])
    1.0
    """
    p, q = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if p.shape != q.shape or p.ndim != 1 or (p < 0).any() or (q < 0).any():
        msg = (
            "Jensen–Shannon divergence: expected two histograms of one binning without negative"
            f" bins; received shapes {p.shape} and {q.shape}"
        )
        raise InputError(msg)
    if not (p.sum() > 0 and q.sum() > 0):
        msg = "Jensen–Shannon divergence: a histogram is empty, so it has no shape"
        raise InputError(msg)
    p, q = p / p.sum(), q / q.sum()
    middle = 0.5 * (p + q)
    nats = 0.5 * (relative_entropy(p, middle) + relative_entropy(q, middle))
    return float(min(nats / np.log(2), 1.0))


def scan_efficiencies(
    background: JetSample,
    signals: Mapping[str, JetSample] | None = None,
    *,
    window: tuple[float, float] | None = None,
    working_points: Sequence[float] = WORKING_POINTS,
    pt_edges: Sequence[float] = PT_EDGES,
    n_bins: int = 25,
    seed: int = 1,
) -> list[EfficiencyStep]:
    """Cut at background efficiencies, and measure in all pt and in each pt bin [GeV].

    The bins of mass hold equally many background jets. A cut on a random number has divergences
    too; they are given as well, to first order in 1/n: (n_bins − 1)(1/n_pass − 1/n)/2 for the relative
    entropy and (n_bins − 1)(1/n_pass + 1/n_fail)/(8 ln 2) for JSD, n being (Σw)²/Σw².

    Jets outside the edges are left out, and so is a pt bin with fewer jets than the `n_bins` bins
    of mass. `window` [GeV] is for efficiencies at equal background inside.

    Returns:
        From loose to tight: first the cuts over all pt, then those of each pt bin.

    Raises:
        TooFewJetsError: If there are fewer background jets inside the edges than bins.
        InputError: If all scores are equal.
    """
    edges = checked_edges(pt_edges)
    jets = background.in_pt(edges[0], edges[-1])
    if len(jets) < n_bins:
        msg = f"sculpting: {len(jets)} background jets inside the pt edges for {n_bins} bins"
        raise TooFewJetsError(msg)
    cuts = make_cuts(jets.scores, jets.weights, working_points)
    rng = np.random.default_rng(seed)
    steps = []
    for low, high in dict.fromkeys([(edges[0], edges[-1]), *itertools.pairwise(edges)]):
        here = jets.in_pt(low, high)
        if len(here) < n_bins:
            continue
        kept = {name: sample.in_pt(low, high) for name, sample in (signals or {}).items()}
        divergences = _divergences(here, cuts, n_bins, rng)
        places = zip(cuts.working_points, cuts.thresholds, divergences, strict=True)
        for point, threshold, divergence in places:
            step = EfficiencyStep(
                working_point=point,
                threshold=threshold,
                pt_low=float(low),
                pt_high=float(high),
                efficiency=_passing(here, threshold),
                **divergence,
                signal_efficiencies={name: _passing(s, threshold) for name, s in kept.items()},
                in_window=_in_window(here, kept, window, point),
            )
            steps.append(step)
    return steps


def mass_shapes(
    background: JetSample,
    *,
    edges: npt.ArrayLike,
    working_points: Sequence[float] = WORKING_POINTS,
    exclude: tuple[float, float] | None = None,
) -> Shapes:
    """Histogram the background's mass before and after each cut, in rising edges [GeV].

    Masses outside are not shown, but are cut on. Jets in the window `exclude` [GeV] are left out of
    shapes and cuts.
    """
    bins = np.asarray(edges, np.float64)
    jets = background
    if exclude is not None:
        jets = jets.select((jets.mass < exclude[0]) | (jets.mass >= exclude[1]))
    mass, weights = jets.mass, jets.weights
    cuts = make_cuts(jets.scores, weights, working_points)
    passes = cuts.levels(jets.scores) > np.arange(len(cuts.thresholds))[:, None]

    def fill(values: Floats) -> Floats:
        return np.histogram(mass, bins, weights=values)[0].astype(np.float64)

    before = fill(weights)
    after = np.array([fill(weights * mask) for mask in passes])
    means = np.array([_fraction(mask, weights) for mask in passes])
    squares = np.array(
        [
            fill((weights * (mask - mean)) ** 2) if 0 < mean < 1 else np.zeros(len(before))
            for mask, mean in zip(passes, means, strict=True)
        ]
    )
    filled = np.where(before > 0, before, np.nan)
    return Shapes(
        edges=bins,
        working_points=cuts.working_points,
        before=before,
        before_variances=fill(weights**2),
        after=after,
        after_variances=np.array([fill(weights**2 * mask) for mask in passes]),
        efficiencies=after / filled,
        errors=np.sqrt(squares) / filled,
    )


def _fraction(mask: Bools, weights: Floats) -> float:
    total = float(weights.sum())
    return float(weights[mask].sum()) / total if total > 0 else float("nan")


def _passing(jets: JetSample, threshold: float) -> float:
    return _fraction(jets.scores >= threshold, jets.weights)


def _in_window(
    background: JetSample,
    signals: Mapping[str, JetSample],
    window: tuple[float, float] | None,
    point: float,
) -> dict[str, float]:
    """Signal efficiencies in a window of mass, the cut being a quantile of its background."""
    if window is None:
        return {}
    inside = background.in_mass(*window)
    # A quantile with less than one jet beyond it is not known.
    if len(inside) * point < 1 or np.ptp(inside.scores) == 0:
        return dict.fromkeys(signals, float("nan"))
    threshold = quantile_threshold(inside.scores, inside.weights, point)
    return {name: _passing(jets.in_mass(*window), threshold) for name, jets in signals.items()}


def _divergences(
    jets: JetSample, cuts: Cuts, n_bins: int, rng: np.random.Generator
) -> list[_Divergences]:
    """Entropy and JSD of each cut, with intervals and what chance gives."""
    weights, levels, n_points = jets.weights, cuts.levels(jets.scores), len(cuts.thresholds)
    place = equal_bins(jets.mass, n_bins)
    size = int(place.max()) + 1
    # A table of bins × cuts passed holds all that is needed; a cut sums its columns.
    cell = place * (n_points + 1) + levels

    def both(values: Floats) -> Floats:
        table = np.bincount(cell, values, minlength=size * (n_points + 1))
        table = table.reshape(size, n_points + 1)
        passing = table[:, ::-1].cumsum(axis=1)[:, ::-1]
        return np.array([_two(passing[:, k], passing[:, 0]) for k in range(1, n_points + 1)])

    value = both(weights)
    one_kind = np.zeros(len(jets), np.bool_)
    seed = int(rng.integers(2**32))
    drawn = [
        both(resampled)
        for resampled in resampled_weights(
            weights, one_kind, replicas=REPLICAS, seed=seed, events=jets.events
        )
    ]
    # Resampled jets have the noise of two samplings: move their divergences back by one.
    samples = np.array(drawn)
    samples = np.maximum(samples - (samples.mean(axis=0) - value), 0.0)
    n_all = effective_number(weights)
    divergences: list[_Divergences] = []
    for k in range(n_points):
        mask = levels > k
        passing, failing = (_inverse(effective_number(weights[m])) for m in (mask, ~mask))
        entropy, jsd = (percentile_interval(value[k, i], samples[:, k, i]) for i in (0, 1))
        divergences.append(
            {
                "entropy": entropy,
                "entropy_by_chance": 0.5 * (size - 1) * max(passing - 1 / n_all, 0.0),
                "jsd": jsd,
                "jsd_by_chance": (size - 1) * (passing + failing) / (8 * np.log(2)),
            }
        )
    return divergences


def _two(after: Floats, before: Floats) -> tuple[float, float]:
    """Entropy and JSD; 0 where nothing passes or nothing fails, so that nothing is compared."""
    fails = np.maximum(before - after, 0.0)
    if not after.sum() > 0 or not fails.sum() > 0:
        return 0.0, 0.0
    return relative_entropy(after, before), jensen_shannon(after, fails)


def _inverse(number: float) -> float:
    return 1 / number if number else float("nan")
