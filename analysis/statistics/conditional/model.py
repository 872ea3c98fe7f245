"""How the share of jets that pass a cut follows the mass: ln(pass/fail) is a polynomial, and what a map adds.

The polynomial is free: it holds what a decorrelation leaves over and what no calibration knows, such as a
difference between data and simulation. Of the map's own fluctuations, those that the polynomial
cannot follow are added as modes with Gaussian priors, of the size that replicas of the map have.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy import special, stats

from oddjet.analysis.statistics.background.nested import ALPHA
from oddjet.analysis.statistics.background.quadrature import mean_masses
from oddjet.analysis.statistics.bumphunt.pvalues import on_off_p
from oddjet.analysis.statistics.conditional.kernels import Passed
from oddjet.typing import Floats

__all__ = ["LOOSE", "ShareModel", "main_modes", "passed_p", "polynomials"]

LOOSE = 1.0
"""Standard deviation of the prior on each coefficient but the constant: a factor e in pass/fail from the
middle to an end of the range. It decides only where a handful of jets would leave a coefficient open."""
KNOWN_JETS = 0.5
"""Jets that pass which the prior on the share itself is worth: without it, none would mean never."""
FEWEST_FAILING = 1e-6
"""Where a share rounds to one, this many jets of a window are expected to fail."""
MOST_MODES = 8
SMALLEST_MODE = 0.02
"""Modes of a map whose variance is below this part of that of the data are left out."""


def polynomials(edges: Floats, totals: Floats, order: int) -> Floats:
    """Legendre polynomials at the mean mass of the jets in each bin, shape (n_bins, order + 1)."""
    masses = mean_masses(edges, np.maximum(totals, 0.5))
    x = 2.0 * (masses - edges[0]) / (edges[-1] - edges[0]) - 1.0
    return np.asarray(np.polynomial.legendre.legvander(x, order))


def passed_p(observed: Floats, jets: Floats, expected: Floats, variance: Floats) -> Floats:
    """Probability of at least as many jets that pass, all jets of the window given.

    A binomial number of the share ε has the variance (1 − ε) of a Poisson number of its mean: divided by
    1 − ε, it fluctuates as a Poisson number does, and p is that of the on/off experiment
    `pvalues.on_off_p`. For small ε that is exact.

    Args:
        observed: Jets that pass, shape (..., n_windows).
        jets: All jets, shape (n_windows,).
        expected: How many are expected to pass, of the shape of `observed`; NaN without a fit.
        variance: Their variance from the fit, of the same shape.
    """
    failing = np.maximum(jets - expected, FEWEST_FAILING)
    fail = np.divide(failing, jets, out=np.ones(expected.shape), where=jets > 0)
    return on_off_p(observed / fail, expected / fail, variance / fail**2)


@dataclasses.dataclass(frozen=True)
class ShareModel:
    """The shares of several cuts, ready to be fitted many times.

    Attributes:
        totals: All jets, shape (n_bins,).
        designs: Columns of ln(pass/fail), shape (n_cuts, n_bins, n_columns): the constant, the modes of
            the map, powers of mass.
        precision: Inverse variances of their priors, shape (n_columns,).
        orders: Lowest and highest order of the polynomial.
    """

    totals: Floats
    designs: Floats
    precision: Floats
    orders: tuple[int, int]

    @classmethod
    def make(
        cls,
        edges: Floats,
        totals: Floats,
        orders: tuple[int, int],
        shares: Floats,
        changes: Floats | None = None,
    ) -> ShareModel:
        """Bind polynomials to bins, and add the modes of a map.

        Args:
            edges: Mass bin edges, n_bins + 1 of them [GeV].
            totals: All jets, shape (n_bins,).
            orders: Lowest and highest order of the polynomial.
            shares: Roughly the share that passes, shape (n_cuts, n_bins).
            changes: Relative changes of the passing jets in replicas of the map, shape (n_replicas,
                n_cuts, n_bins); none without a map.
        """
        powers = polynomials(edges, totals, orders[1])
        modes = [
            _modes(
                np.zeros((0, totals.size)) if changes is None else changes[:, i] / (1.0 - share),
                powers[:, : orders[0] + 1],
                totals * share * (1.0 - share),
            )
            for i, share in enumerate(shares)
        ]
        n_modes = max(mode.shape[1] for mode in modes)
        columns = [np.pad(mode, ((0, 0), (0, n_modes - mode.shape[1]))) for mode in modes]
        designs = [np.hstack([powers[:, :1], column, powers[:, 1:]]) for column in columns]
        precision = [0.0, *[1.0] * n_modes, *[LOOSE**-2] * orders[1]]
        return cls(totals, np.stack(designs), np.array(precision), orders)

    @property
    def n_modes(self) -> int:
        """How many modes of the map there are."""
        return self.precision.size - 1 - self.orders[1]

    @property
    def names(self) -> tuple[str, ...]:
        """What the fits of each order are called, as those of `background.transfer`; then none."""
        return (*(f"transfer{n}" for n in range(self.orders[0], self.orders[1] + 1)), "")

    def passed(self, spectra: Floats) -> Passed:
        """Give fits the jets that pass, contents of the shape (n, n_cuts, n_bins)."""
        counts = spectra.reshape(-1, spectra.shape[-1])
        n_jets = self.totals.sum()
        share = np.clip(counts.sum(axis=1), KNOWN_JETS, n_jets - KNOWN_JETS) / n_jets
        known = np.stack([np.full(share.size, KNOWN_JETS), KNOWN_JETS / share], axis=1)
        totals = np.broadcast_to(self.totals, counts.shape)
        alone = np.zeros((len(self.designs), 1, self.designs.shape[2]))
        alone[:, :, 0] = 1.0
        fewest = 1 + self.n_modes + self.orders[0]
        arrays = (
            np.hstack([counts, known[:, :1]]),
            np.hstack([totals, known[:, 1:]]),
            _saturated(counts, totals),
            np.concatenate([self.designs, alone], axis=1),
        )
        passed, jets, saturated, designs = (np.ascontiguousarray(array) for array in arrays)
        columns = (fewest, fewest + self.orders[1] - self.orders[0])
        gain = float(stats.chi2.isf(ALPHA, 1))
        return Passed(passed, jets, saturated, designs, self.precision, columns, gain)


def _saturated(counts: Floats, totals: Floats) -> Floats:
    """Binomial log-likelihood of a share that gives each content exactly, without constants."""
    failed = totals - counts
    return np.asarray(
        special.xlogy(counts, counts)
        + special.xlogy(failed, failed)
        - special.xlogy(totals, totals)
    )


def _modes(logits: Floats, powers: Floats, weight: Floats) -> Floats:
    """The main ways in which a map's replicas differ, but for what polynomials follow.

    Args:
        logits: Changes of ln(pass/fail), shape (n_replicas, n_bins).
        powers: Polynomials, shape (n_bins, order + 1).
        weight: What data know of ln(pass/fail), shape (n_bins,): inverse variances.

    Returns:
        Modes for parameters of unit variance, shape (n_bins, n_modes).
    """
    return main_modes(logits, powers, weight).T


def main_modes(logits: Floats, powers: Floats, weight: Floats) -> Floats:
    """The same for any number of spectra together, in the rows between: give modes (n_modes, …, n_bins).

    Args:
        logits: Changes, shape (n_replicas, …, n_bins).
        powers: Polynomials, shape (…, n_bins, order + 1).
        weight: Inverse variances, shape (…, n_bins).
    """
    root = np.sqrt(weight)
    left = np.empty(logits.shape)
    for place in np.ndindex(weight.shape[:-1]):
        own, design = logits[(slice(None), *place)], powers[place]
        followed = np.linalg.lstsq(
            design * root[place][:, None], (own * root[place]).T, rcond=None
        )[0]
        left[(slice(None), *place)] = own - (design @ followed).T
    left /= max(len(logits), 1) ** 0.5
    replicas, sizes, _ = np.linalg.svd(
        (left * root).reshape(len(left), root.size), full_matrices=False
    )
    kept = np.flatnonzero(sizes**2 > SMALLEST_MODE)[:MOST_MODES]
    return np.asarray(np.tensordot(replicas[:, kept], left, axes=(0, 0)))
