"""The AUC at fixed mass: how well a score separates jets of the same mass.

A score that follows the jet mass finds every heavy signal and makes a bump out of background. In
narrow bins of mass nothing is left that it could separate by.

References:
    T. Golling et al., The Mass-ive Issue: Anomaly Detection in Jet Physics (2020), section 4: why the
    mass must be taken out. The average over bins, weighted by the signal, is ours.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from oddjet.errors import ConfigError, TooFewJetsError
from oddjet.ml.evaluation.bootstrap import (
    REPLICAS,
    Interval,
    percentile_interval,
    resampled_weights,
)
from oddjet.ml.evaluation.checks import checked_columns
from oddjet.ml.evaluation.ranking import Ranking
from oddjet.ml.evaluation.roc import checked
from oddjet.typing import Bools, Floats

__all__ = ["Binning", "FixedAuc", "MassBin", "auc_at_fixed"]


@dataclass(frozen=True)
class MassBin:
    """One bin of mass.

    Attributes:
        low: Lower edge [GeV].
        high: Upper edge [GeV]; belongs to the next bin, but for the last one.
        auc: Area under the ROC curve in the bin; None where the bin was left out.
    """

    low: float
    high: float
    n_signal: int
    n_background: int
    auc: float | None


@dataclass(frozen=True)
class FixedAuc:
    """The AUC at fixed mass.

    Attributes:
        auc: Mean of the bins' areas, each weighted by its share of the signal.
        mass_auc: The same of the mass itself: 0.5 if the bins are narrow enough. What it lacks of
            it, or has more, is how far `auc` can be trusted.
        used: Fraction of the signal, weighted, in the bins that were used.
        bins: The bins, by rising mass.
    """

    auc: Interval
    mass_auc: float
    used: float
    bins: tuple[MassBin, ...]


@dataclass(frozen=True)
class Binning:
    """How narrow the bins of mass are made.

    They are halved until one holds a part in `bins` of the signal and the mass itself does not
    separate signal from background in it, but only as long as both halves keep `min_jets` of each.

    Attributes:
        bins: At least so many bins, where there are jets enough.
        tolerance: How far from 0.5 the mass's own area may be in a bin. Less than two standard
            deviations are never taken for a difference.
        min_jets: Least number of jets of either kind in a bin.

    Raises:
        ConfigError: If `bins` or `min_jets` is below 1, or `tolerance` not positive.
    """

    bins: int = 20
    tolerance: float = 0.01
    min_jets: int = 10

    def __post_init__(self) -> None:
        if self.bins < 1 or self.min_jets < 1 or not self.tolerance > 0:
            msg = (
                f"fixed mass: bins and min_jets must be at least 1, tolerance above 0. Received: "
                f"{self.bins}, {self.min_jets} and {self.tolerance}."
            )
            raise ConfigError(msg)


def auc_at_fixed(
    scores: npt.ArrayLike,
    is_signal: npt.ArrayLike,
    mass: npt.ArrayLike,
    weights: npt.ArrayLike | None = None,
    *,
    binning: Binning = Binning(),
    events: npt.ArrayLike | None = None,
    replicas: int = REPLICAS,
    seed: int = 1,
) -> FixedAuc:
    """Area under the ROC curve among jets of the same mass, averaged over the signal.

    The signal's mass is halved near its median, again and again, as `Binning` says. Bins with fewer jets, and those
    that could not be made narrow enough, are left out; so is the background beyond the signal. Any other
    number of a jet can be held fixed in the place of the mass.

    Args:
        scores: Shape (n,), higher for signal.
        is_signal: Bool, shape (n,).
        mass: What is held fixed, shape (n,) [GeV].
        weights: Not negative, shape (n,); 1 by default.
        binning: How narrow the bins are made.
        events: Jets with the same number are resampled together, shape (n,); without, each alone.
        replicas: Resamplings for the interval; the bins stay the same.
        seed: Of the resampling.

    Raises:
        TooFewJetsError: If signal or background have no weight, or no bin has enough of both.
        NonFiniteError: If a score, mass or weight is NaN or infinite.
        InputError: If a weight is negative, or shapes differ.
    """
    values, signal, w = checked(scores, is_signal, weights)
    masses = checked_columns({"mass": mass, "scores": values}, w)[0]["mass"]
    edges = _edges(masses, signal, w, binning)
    place, n_bins = _places(masses, edges), len(edges) - 1
    counts = [_counts(place[kind], n_bins) for kind in (signal, ~signal)]
    used = np.zeros(n_bins, dtype=bool)
    for i in np.flatnonzero(np.minimum(*counts) >= binning.min_jets):
        rows = place == i
        used[i] = not _separates(masses[rows], signal[rows], w[rows], binning.tolerance)
    inside = (place >= 0) & used[place]
    if not w[inside & signal].any() or not w[inside & ~signal].any():
        raise _no_bin(signal, binning)
    kind, where, weight = signal[inside], place[inside], w[inside]
    ranking = Ranking.from_scores(values[inside], kind, where, n_bins)
    by_mass = Ranking.from_scores(masses[inside], kind, where, n_bins)
    events = None if events is None else np.asarray(events)[inside]
    drawn = resampled_weights(weight, kind, replicas=replicas, seed=seed, events=events)
    shown = [float(a) if np.isfinite(a) else None for a in ranking.areas(weight)[0]]
    columns = (edges[:-1].tolist(), edges[1:].tolist(), *(count.tolist() for count in counts))
    return FixedAuc(
        auc=percentile_interval(ranking.mean_area(weight), [*map(ranking.mean_area, drawn)]),
        mass_auc=by_mass.mean_area(weight),
        used=float(weight[kind].sum() / w[signal].sum()),
        bins=tuple(MassBin(*row) for row in zip(*columns, shown, strict=True)),
    )


def _no_bin(signal: Bools, binning: Binning) -> TooFewJetsError:
    return TooFewJetsError(
        f"fixed mass: no bin of mass holds {binning.min_jets} jets of signal and of background and "
        f"is narrow ({int(signal.sum())} and {int((~signal).sum())} in all). Give more jets, or "
        f"lower min_jets or bins."
    )


def _edges(mass: Floats, signal: Bools, weights: Floats, binning: Binning) -> Floats:
    """Quantiles of the signal's mass, closer where the mass still separates: at least two."""
    low, high = float(mass[signal].min()), float(mass[signal].max())
    if low == high:
        return np.array([low, np.nextafter(low, np.inf)])
    inside = (mass >= low) & (mass <= high)
    most = np.count_nonzero(signal) / binning.bins

    def halve(mass: Floats, signal: Bools, weights: Floats, low: float, high: float) -> list[float]:
        """Halve a bin near its median signal: the lower edges of its parts."""
        cut = _cut(mass, signal, binning.min_jets)
        is_wide = np.count_nonzero(signal) > most
        if cut is None or not (is_wide or _separates(mass, signal, weights, binning.tolerance)):
            return [low]
        below = mass < cut
        return [
            *halve(mass[below], signal[below], weights[below], low, cut),
            *halve(mass[~below], signal[~below], weights[~below], cut, high),
        ]

    return np.array([*halve(mass[inside], signal[inside], weights[inside], low, high), high])


def _cut(mass: Floats, signal: Bools, min_jets: int) -> float | None:
    """The mass nearest to the median signal that leaves min_jets of each kind on either side."""
    kinds = [np.sort(mass[kind]) for kind in (signal, ~signal)]
    if any(len(masses) < 2 * min_jets for masses in kinds):
        return None
    above = max(float(masses[min_jets - 1]) for masses in kinds)
    most = min(float(masses[-min_jets]) for masses in kinds)
    cut = min(max(float(np.median(kinds[0])), float(np.nextafter(above, np.inf))), most)
    return cut if cut > above else None


def _separates(mass: Floats, signal: Bools, weights: Floats, tolerance: float) -> bool:
    """Whether the mass's own area is off 0.5 by more than the tolerance and two sigma."""
    area = Ranking.from_scores(mass, signal).areas(weights)[0][0]
    if np.isnan(area):
        return False
    n_effective = [
        weights[kind].sum() ** 2 / np.sum(weights[kind] ** 2) for kind in (signal, ~signal)
    ]
    # Of the Mann–Whitney statistic where nothing separates.
    sigma = np.sqrt(sum(1 / n for n in n_effective) / 12)
    return bool(abs(area - 0.5) > max(tolerance, 2 * sigma))


def _places(mass: Floats, edges: Floats) -> npt.NDArray[np.int64]:
    """Bin of each mass, −1 outside; the last edge belongs to the last bin."""
    place = np.searchsorted(edges, mass, side="right") - 1
    place[mass == edges[-1]] = len(edges) - 2
    place[(mass < edges[0]) | (mass > edges[-1])] = -1
    return np.asarray(place, dtype=np.int64)


def _counts(place: npt.NDArray[np.int64], n_bins: int) -> npt.NDArray[np.int64]:
    return np.bincount(place[place >= 0], minlength=n_bins)
