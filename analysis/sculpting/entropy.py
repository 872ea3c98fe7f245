"""What a cut on a score does to the mass of the jets that pass.

References:
    T. Golling et al., The Mass-ive Issue: Anomaly Detection in Jet Physics (2020), section 4 and
    figure 4: the relative entropy of the mass after a cut to the mass before it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from oddjet.errors import ConfigError, TooFewJetsError
from oddjet.ml.evaluation.bootstrap import Interval, percentile_interval
from oddjet.typing import Floats

__all__ = ["Sculpted", "mass_sculpting", "relative_entropy"]


REPLICAS = 100


@dataclasses.dataclass(frozen=True)
class Sculpted:
    """A cut, and how it changes the mass.

    Attributes:
        working_point: Wanted background efficiency.
        threshold: Least score that passes.
        efficiency: Fraction of the background that passes.
        entropy: D(after ‖ before) of the background's mass [nats].
        entropy_by_chance: What a cut independent of the mass has on average.
        signal_efficiencies: Signal → the fraction that passes; NaN without jets.
    """

    working_point: float
    threshold: float
    efficiency: float
    entropy: Interval
    entropy_by_chance: float
    signal_efficiencies: Mapping[str, float]


def relative_entropy(after: npt.ArrayLike, before: npt.ArrayLike) -> float:
    """Relative entropy D(after ‖ before) = Σ p_after ln(p_after / p_before) of two histograms.

    Args:
        after: Contents (n_bins,) of what passes, not negative.
        before: Contents (n_bins,) of everything. Positive wherever `after` is.

    Returns:
        In nats; 0 for histograms of one shape, and for an empty `after`.

    Raises:
        ConfigError: If there is something in `after` where `before` has nothing.

    References:
        Golling et al., section 4.

    >>> round(relative_entropy([1, 0], [1, 1]), 4)
    0.6931
    """
    p, q = np.asarray(after, np.float64), np.asarray(before, np.float64)
    if bool(((p > 0) & (q <= 0)).any()):
        msg = (
            "relative entropy: jets pass the cut in a bin that was empty before. Expected a subset."
        )
        raise ConfigError(msg)
    if not p.sum() > 0:
        return 0.0
    p, q = p / p.sum(), q / q.sum()
    used = p > 0
    return max(float(np.sum(p[used] * np.log(p[used] / q[used]))), 0.0)


def mass_sculpting(
    background: tuple[Floats, Floats],
    signals: Mapping[str, Floats],
    *,
    efficiencies: Sequence[float],
    bins: int = 25,
    seed: int = 1,
) -> list[Sculpted]:
    """Cut on a score at several background efficiencies and compare the mass before and after.

    The bins hold equally many background jets before the cut. Jets are resampled one by one: they are of
    different events. `background` is scores and masses
    (n,), `signals` scores by name; `bins` are those in mass.

    Raises:
        TooFewJetsError: If there are fewer background jets than bins, or no signal.
    """
    scores, masses = background
    fewest = min((len(signal) for signal in signals.values()), default=1)
    if len(scores) < bins or not fewest:
        msg = f"sculpting: {len(scores)} background and {fewest} signal jets for {bins} bins."
        raise TooFewJetsError(msg)
    edges = np.unique(np.quantile(masses, np.linspace(0, 1, bins + 1)))
    place = np.clip(np.searchsorted(edges, masses, side="right") - 1, 0, len(edges) - 2)
    rng = np.random.default_rng(seed)
    drawn = [
        np.bincount(rng.integers(0, len(place), len(place)), minlength=len(place))
        for _ in range(REPLICAS)
    ]
    cuts = []
    for efficiency in efficiencies:
        threshold = float(np.quantile(scores, 1 - efficiency))
        passes = scores >= threshold

        def entropy(weights: Floats, passes: npt.NDArray[np.bool_] = passes) -> float:
            before = np.bincount(place, weights=weights, minlength=len(edges) - 1)
            after = np.bincount(place, weights=weights * passes, minlength=len(edges) - 1)
            return relative_entropy(after, before)

        value = entropy(np.ones(len(place)))
        samples = np.array([entropy(weights.astype(np.float64)) for weights in drawn])
        # An entropy of resampled jets has the noise of two samplings: move them back by one.
        samples = np.maximum(samples - (samples.mean() - value), 0.0)
        cuts.append(
            Sculpted(
                working_point=efficiency,
                threshold=threshold,
                efficiency=float(passes.mean()),
                entropy=percentile_interval(value, samples),
                entropy_by_chance=(len(edges) - 2) * (1 / passes.sum() - 1 / len(place)) / 2,
                signal_efficiencies={n: float(np.mean(s >= threshold)) for n, s in signals.items()},
            )
        )
    return cuts
