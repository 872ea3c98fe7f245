"""What pseudo-experiments are drawn from: given the jets of a mass bin, which cuts each of them passes."""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy import special

from oddjet.analysis.statistics.bumphunt.joint import JointTable
from oddjet.analysis.statistics.conditional.model import LOOSE
from oddjet.typing import Bools, Floats, Ints

__all__ = ["Patterns", "shares_of"]

NEWTON_STEPS = 200
CONVERGED = 1e-6


@dataclasses.dataclass(frozen=True)
class Patterns:
    """Probabilities of the patterns of cuts that a jet passes, by its mass.

    Attributes:
        members: Which cut (row) the jets of which pattern (column) pass, shape (n_cuts, n_patterns).
        totals: All jets, shape (n_bins,).
        shares: Probabilities, shape (n_maps, n_bins, n_patterns): one map, or its replicas.
    """

    members: Bools
    totals: Floats
    shares: Floats

    @classmethod
    def make(cls, table: JointTable, cuts: Ints, design: Floats) -> Patterns:
        """Fit the patterns of the data; see `shares_of`.

        Args:
            table: Jets by mass and pattern, with a spectrum of all jets.
            cuts: Places of the spectra after cuts, shape (n_cuts,).
            design: Columns of the logits, shape (n_bins, n_columns), the constant first.
        """
        seen = table.counts.sum(axis=1) > 0
        table = table.keep(seen)
        shares = table.replicated(shares_of(table.counts, design))
        shares /= shares.sum(axis=1, keepdims=True)
        shares = np.ascontiguousarray(np.swapaxes(shares, 1, 2))
        return cls(table.members[cuts], table.counts.sum(axis=0), shares)

    def draw(self, n: int, rng: np.random.Generator) -> Floats:
        """Draw `n` pseudo-experiments of the same jets, of shape (n, n_cuts, n_bins).

        Each has a replica of the map of its own.
        """
        maps = rng.integers(len(self.shares), size=n)
        patterns = rng.multinomial(self.totals.astype(np.int64), self.shares[maps])
        return np.asarray(
            np.einsum("sp,nbp->nsb", self.members.astype(np.float64), patterns.astype(np.float64))
        )


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
