"""Whether a given background describes the data beside the signal: a limit with another one has no meaning."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from scipy import stats

from oddjet.analysis.statistics.bumphunt.pvalues import toy_p
from oddjet.analysis.statistics.spectrum import Histogram, Spectrum, Window, overlaps

__all__ = ["Agreement", "compare_background"]

N_TOYS = 2000
"""Few events a bin do not follow χ²: toys of all bins take a hundredth of a second."""


@dataclasses.dataclass(frozen=True)
class Agreement:
    """A spectrum and its given background beside the window of a signal.

    Attributes:
        observed: Events beside the window.
        expected: What the background expects there.
        error: Its statistical error.
        n_bins: Bins beside the window in which the background expects events.
        p_value: How often Σ (seen − expected)² / (expected + error²) over these bins would be as large: from toys,
            for weighted simulation from χ². NaN where no bin is beside the window.
    """

    observed: float
    expected: float
    error: float
    n_bins: int
    p_value: float

    def to_dict(self) -> dict[str, Any]:
        """Every number, ready for JSON."""
        return dataclasses.asdict(self) | {"p_value": None if not self.n_bins else self.p_value}


def compare_background(
    histogram: Histogram, background: Histogram, window: Window, *, is_data: bool, seed: int = 1
) -> Agreement:
    """Compare a spectrum with a given background, in the bins beside a window alone.

    Args:
        histogram: The spectrum, blinded or not.
        background: What is expected, in the same bins.
        window: The signal's [GeV].
        is_data: Whether contents of the spectrum are numbers of events.
        seed: Fixes the toys.
    """
    spectrum, given = Spectrum.from_histogram(histogram), Spectrum.from_histogram(background)
    use = ~overlaps(spectrum.edges, window) & (given.counts > 0) & ~spectrum.hidden
    seen, expected, squares = spectrum.counts[use], given.counts[use], given.sumw2[use]
    spread = squares + (expected if is_data else spectrum.sumw2[use])
    distance = float(np.sum((seen - expected) ** 2 / np.where(spread > 0, spread, np.inf)))
    p_value = float("nan")
    if use.any() and not is_data:
        p_value = float(stats.chi2.sf(distance, use.sum()))
    elif use.any():
        rng = np.random.default_rng(seed)
        means = rng.normal(expected, np.sqrt(squares), (N_TOYS, seen.size))
        toys = rng.poisson(np.maximum(means, 0.0))
        beyond = np.sum((toys - expected) ** 2 / spread, axis=1) >= distance
        p_value = float(toy_p(int(beyond.sum()), N_TOYS))
    error = float(np.sqrt(squares.sum()))
    return Agreement(float(seen.sum()), float(expected.sum()), error, int(use.sum()), p_value)
