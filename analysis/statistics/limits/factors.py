"""Free factors that several bins share, at their maximum for all else given.

Jets that fail a cut and jets that pass it in one bin of mass share the number of jets F ≥ 0 that there are: bin k of
a group expects F · e_k + s_k. The maximum of the Poisson likelihood in F has Σ n_k e_k / (F e_k + s_k) = Σ e_k, whose
left side falls and is convex, so that Newton steps from below come to it without fail.
"""

from __future__ import annotations

import numpy as np

from oddjet.typing import Floats

__all__ = ["BinFactors"]

STEPS = 60
CONVERGED = 1e-13


class BinFactors:
    """The factors of a sample's bins.

    Args:
        names: The factor of each bin; bins of one name share it.
    """

    def __init__(self, names: tuple[str, ...]) -> None:
        _, self.groups = np.unique(np.array(names), return_inverse=True)
        self.order = np.argsort(self.groups, kind="stable")
        self.starts = np.searchsorted(self.groups[self.order], np.arange(self.groups.max() + 1))

    def _sum(self, values: Floats) -> Floats:
        """Sum the last axis over the bins of each factor."""
        return np.asarray(np.add.reduceat(values[..., self.order], self.starts, axis=-1))

    def best(self, counts: Floats, unit: Floats, added: Floats) -> Floats:
        """Give the likeliest factors.

        Args:
            counts: Events, shape (n_sets, n_bins).
            unit: What the sample expects at factors of 1, of the same shape.
            added: What all others expect, of the same shape; it may be negative.

        Returns:
            The factor of each bin, of the same shape.
        """
        total = self._sum(unit)
        positive = unit > 0
        ratio = np.divide(added, unit, out=np.zeros_like(unit), where=positive)
        # Each bin alone would have the factor at this or above it.
        alone = np.where(positive, counts / total[:, self.groups] - ratio, 0.0)
        lowest = np.maximum.reduceat(alone[:, self.order], self.starts, axis=1)
        factors = np.maximum(lowest, 0.0)
        for _ in range(STEPS):
            events = factors[:, self.groups] * unit + added
            filled = (counts > 0) & positive & (events > 0)
            share = np.divide(unit, events, out=np.zeros_like(unit), where=filled)
            excess = self._sum(counts * share) - total
            bend = self._sum(counts * share**2)
            step = np.divide(excess, bend, out=np.zeros_like(bend), where=bend > 0)
            step = np.maximum(step, 0.0)
            factors += step
            if np.all(step <= CONVERGED * factors):
                break
        return np.asarray(factors[:, self.groups])

    def absorbed(self, mixed: Floats, own: Floats, scale: Floats) -> Floats:
        """Give what the second derivatives lose because factors follow the parameters.

        Args:
            mixed: Second derivatives of −ln L by parameters and by the factor, a bin's part of them each, shape (n_sets,
                n_parameters, n_bins).
            own: The same by the factor twice, shape (n_sets, n_bins).
            scale: The factors, shape (n_sets, n_bins); those at zero stay there.
        """
        together, bend = self._sum(mixed), self._sum(own)
        held = scale[:, self.order][:, self.starts] <= 0
        weight = np.divide(1.0, bend, out=np.zeros_like(bend), where=(bend > 0) & ~held)
        return np.asarray((together * weight[:, None, :]) @ together.transpose(0, 2, 1))
