"""What pseudo-experiments are drawn from: given the jets of a mass bin, which cuts each of them passes."""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy import special

from oddjet.analysis.statistics.bumphunt.joint import JointTable
from oddjet.analysis.statistics.channels.fitting import fit
from oddjet.analysis.statistics.channels.model import ChannelModel, ChannelTable
from oddjet.analysis.statistics.conditional.model import LOOSE, polynomials
from oddjet.typing import Floats, Ints

__all__ = ["Patterns", "shares_of"]

NEWTON_STEPS = 200
CONVERGED = 1e-6
N_DRAWS = 200
"""Draws of the norms and shifts of peaks."""
LEAST = 1e-9
"""Jets that are expected of what is smooth in any bin, where nothing is left for it."""


@dataclasses.dataclass(frozen=True)
class Patterns:
    """Probabilities of the patterns of cuts that a jet passes, by its pt bin and mass.

    Attributes:
        regions: In which pt bin each pattern is, shape (n_patterns,).
        totals: All jets, shape (n_regions, n_bins).
        shares: Probabilities, shape (n_draws, n_patterns, n_bins), adding up to 1 over the patterns of a region: one
            map and the peaks as they were fitted, or replicas of the map and draws of the fit.
    """

    regions: Ints
    totals: Floats
    shares: Floats

    @classmethod
    def make(
        cls, table: JointTable, order: int, rng: np.random.Generator | None = None
    ) -> Patterns:
        """Fit the patterns of the data: a multinomial regression without peaks, see `shares_of`, `_with_peaks` with them.

        Args:
            table: Jets by mass and pattern.
            order: Order in mass of the logits.
            rng: Where the draws of the peaks' norms and shifts come from.
        """
        inside = table.in_region == np.arange(len(table.regions))[:, None]
        totals = inside @ table.counts
        if table.peaks:
            expected = _with_peaks(table, totals, order, rng or np.random.default_rng(0))
        else:
            expected = np.zeros(table.counts.shape)
            for within, jets in zip(inside, totals, strict=True):
                own = within & table.counts.any(axis=1)
                if not own.any():
                    continue
                expected[own] = shares_of(table.counts[own], polynomials(table.edges, jets, order))
            expected = table.replicated(expected)
        sums = np.einsum("rp,dpb->drb", inside.astype(np.float64), expected)
        alone = 1.0 / inside.sum(axis=1)[table.in_region, None]
        sums = sums[:, table.in_region]
        return cls(
            table.in_region,
            totals,
            np.where(sums > 0, expected / np.where(sums > 0, sums, 1.0), alone),
        )

    def draw(self, n: int, rng: np.random.Generator) -> Floats:
        """Draw `n` pseudo-experiments of the same jets, of shape (n, n_patterns, n_bins).

        Each has a replica of the map, and norms and shifts of peaks, of its own.
        """
        draws = rng.integers(len(self.shares), size=n)
        patterns = np.zeros((n, *self.shares.shape[1:]))
        for region, jets in enumerate(self.totals):
            own = np.flatnonzero(self.regions == region)
            if not own.size:
                continue  # no jet has such a pt
            shares = np.swapaxes(self.shares[draws][:, own], 1, 2)
            drawn = rng.multinomial(jets.astype(np.int64), shares)
            patterns[:, own] = np.swapaxes(drawn, 1, 2)
        return patterns


def _with_peaks(table: JointTable, totals: Floats, order: int, rng: np.random.Generator) -> Floats:
    """Fit all patterns as the score bins of one likelihood, with the peaks: draws of expected jets.

    Norms and shifts are drawn around their fit with its covariance, the contents of the templates from their
    statistical errors, and the map's replicas change what is smooth. The jets that are no peak fill up what the totals
    leave.
    """
    rows, place = np.unique(table.members.T, axis=0, return_inverse=True)
    place = place.reshape(-1)
    cells = np.zeros((len(table.regions), len(rows), table.n_patterns))
    cells[table.in_region, place, np.arange(table.n_patterns)] = 1.0
    counts = cells @ table.counts
    # The pattern with most jets is what the others are compared with.
    first = int(np.argmax(counts.sum(axis=(0, 2))))
    cells = np.roll(cells, -first, axis=1)
    counts = np.roll(counts, -first, axis=1)
    names = tuple(str(i) for i in range(len(rows)))
    at = (table.in_region, (place - first) % len(rows))
    names = tuple(str(i) for i in range(len(rows)))
    channels = ChannelTable(table.edges, table.regions, names, counts)
    powers = np.stack([polynomials(table.edges, jets, order) for jets in totals])
    peaks = tuple(peak.transformed(lambda values: cells @ values) for peak in table.peaks)
    model = ChannelModel.make(channels, powers, None, peaks, loose=LOOSE)
    fitted = fit(model)
    n, norms = model.precision.size, slice(model.precision.size, model.precision.size + len(peaks))
    values = np.tile(fitted.values, (N_DRAWS, 1))
    # The norm of a peak without jets is not known, and changes nothing.
    covariance = np.nan_to_num(fitted.covariance[n:, n:], posinf=0.0)
    values[:, n:] = rng.multivariate_normal(fitted.values[n:], covariance, N_DRAWS, method="eigh")
    values[:, norms] = np.maximum(values[:, norms], 0.0)
    added = np.stack([model.added(own)[at] for own in values])
    variances = np.stack(
        [np.zeros_like(counts) if c.variances is None else c.variances for c in peaks]
    )
    scatter = np.sqrt(np.einsum("dj,jrkb->drkb", values[:, norms] ** 2, variances))
    added = np.maximum(added + scatter[(slice(None), *at)] * rng.standard_normal(added.shape), 0.0)
    smooth = table.replicated((fitted.failing[:, None] * model.ratios(fitted.values))[at] + LEAST)
    smooth = smooth[np.arange(N_DRAWS) % len(smooth)]
    inside = (table.in_region == np.arange(len(table.regions))[:, None]).astype(np.float64)
    left, own = (
        np.einsum("rp,dpb->drb", inside, jets)[:, table.in_region] for jets in (added, smooth)
    )
    wanted = totals[table.in_region]
    return np.asarray(added + smooth * np.maximum(wanted - left, LEAST) / own)


def shares_of(counts: Floats, design: Floats) -> Floats:
    """Fit how jets are shared out among patterns: multinomial, logits linear in the parameters.

    Newton steps with each pattern's own information: those between patterns vanish where shares
    are the same at all masses, and almost so where they follow it slowly.

    Args:
        counts: Jets of each pattern, shape (n_patterns, n_bins); each pattern has some.
        design: Columns of the logits, shape (n_bins, n_columns), the constant first.

    Returns:
        Probabilities, shape (n_patterns, n_bins), in bins without jets too.
    """
    totals = counts.sum(axis=0)
    precision = np.diag([0.0, *[LOOSE**-2] * (design.shape[1] - 1)])
    parameters = np.zeros((len(counts), design.shape[1]))
    parameters[:, 0] = np.log(counts.sum(axis=1) / counts.sum())
    for _ in range(NEWTON_STEPS):
        shares = special.softmax(parameters @ design.T, axis=0)
        pull = (counts - totals * shares) @ design - parameters @ precision
        information = np.einsum("kb,bi,bj->kij", totals * shares, design, design) + precision
        step = np.linalg.solve(information, pull[:, :, None])[:, :, 0]
        # What all patterns have in common changes no share, and is zero at the maximum.
        step -= step.mean(axis=0)
        largest = float(np.abs(step @ design.T).max())
        parameters += step / max(1.0, largest)
        if largest < CONVERGED:
            break
    return np.asarray(special.softmax(parameters @ design.T, axis=0))
