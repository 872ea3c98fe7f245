"""Energy flow polynomials: the eight prime ones up to degree 3.

References:
    P. Komiske, E. Metodiev, J. Thaler, Energy flow polynomials, arXiv:1712.07124, eq. (1.1).
    T. Buss et al., What's Anomalous in LHC Jets?, arXiv:2202.00686, section 2 and eq. (21).
"""

from __future__ import annotations

import dataclasses
import math
from typing import ClassVar, Literal, TypeAlias

import numba
import numpy as np

from oddjet.constraints import Interval, constrained
from oddjet.datasets.jets import Jets
from oddjet.datasets.kinematics.compiled import delta_phi
from oddjet.errors import ConfigError
from oddjet.ml.representations.base import NamedColumns
from oddjet.ml.representations.batches import FlatJets, over_jets
from oddjet.typing import Floats

__all__ = ["EnergyFlow", "Reweight"]


POSITIVE = Interval(float, 0, closed="neither")

Reweight: TypeAlias = float | Literal["log"] | None
"""EFP → EFPⁿ for a number, its logarithm for "log" (or 0), itself for None (or 1)."""


@dataclasses.dataclass(frozen=True)
class EnergyFlow(NamedColumns):
    """The eight prime energy flow polynomials (EFPs) up to degree 3, float64.

    With z_i = pt_i / Σ pt and R_ij² = Δη² + Δφ² (wrapped), z^κ and R^β are written z and R; each sum
    runs over all constituents, independently:

    ======  ==========================  ======  ==============================
    column  polynomial                  column  polynomial
    ======  ==========================  ======  ==============================
    efp1    Σ z z R₁₂                   efp5    Σ z z z R₁₂² R₁₃
    efp2    Σ z z R₁₂²                  efp6    Σ z z z R₁₂ R₂₃ R₁₃
    efp3    Σ z z R₁₂³                  efp7    Σ z z z z R₁₂ R₁₃ R₁₄
    efp4    Σ z z z R₁₂ R₁₃             efp8    Σ z z z z R₁₂ R₂₃ R₃₄
    ======  ==========================  ======  ==============================

    z^κ is not divided by its sum: for κ ≠ 1 the fractions do not add up to 1. R is in η rather than
    rapidity, which is the same for massless constituents. Only distances between constituents enter:
    the jet axis does not matter. A jet without constituents has zeros.

    Reweighted columns (`reweight`) are those of max(EFP, floor), because a logarithm or a power of
    a vanishing polynomial is of no use; `count_floored` says how many jets that changed.

    Attributes:
        kappa: κ, positive.
        beta: β, positive.
        reweight: None, "log", or a number n ≥ 0; see `Reweight`.
        floor: Lower bound of an EFP before it is reweighted, positive.

    References:
        arXiv:2202.00686, section 2; its EFP5 lost an exponent in print.

    >>> EnergyFlow().shape
    (8,)
    """

    version: ClassVar[int] = 1
    names: ClassVar[tuple[str, ...]] = tuple(f"efp{i}" for i in range(1, 9))
    """Names of the columns."""

    kappa: float = constrained(1.0, POSITIVE)
    beta: float = constrained(1.0, POSITIVE)
    reweight: Reweight = None
    floor: float = constrained(1e-12, POSITIVE)

    def __post_init__(self) -> None:
        super().__post_init__()
        _exponent(self.reweight)

    def __call__(self, jets: Jets, *, threads: int = 1) -> Floats:
        """Compute the polynomials of n jets, reweighted as `reweight` says, float64, shape (n, 8).

        Raises:
            NonFiniteError: If an axis or a constituent is not finite.
        """
        return self.reweighted(self.polynomials(jets, threads=threads), self.reweight)

    def polynomials(self, jets: Jets, *, threads: int = 1) -> Floats:
        """Compute the polynomials themselves, whatever `reweight` is, as in a call; none is floored."""
        efps = np.zeros((len(jets), 8))

        def work(part: FlatJets, rows: slice) -> None:
            _polynomials(
                part.pt, part.eta, part.phi, part.offsets, self.kappa, self.beta, efps[rows]
            )

        over_jets(jets, work, label="EnergyFlow", threads=threads)
        return efps

    def reweighted(self, efps: Floats, n: Reweight) -> Floats:
        """Reweight polynomials (n_jets, 8): max(efps, floor)ⁿ, the logarithm for n = 0 or "log".

        None and 1 give `efps` itself.

        Raises:
            ConfigError: If n is none of these.
        """
        exponent = _exponent(n)
        if exponent == 1:
            return efps
        floored = np.maximum(efps, self.floor)
        return np.log(floored) if exponent == 0 else floored**exponent

    def log_jacobian(self, efps: Floats, n: Reweight | Literal["own"] = "own") -> Floats:
        """Log of the determinant |∂ reweighted / ∂ EFP| of (n_jets, 8), floored here: (n_jets,).

        (n − 1) Σ_i log EFP_i + 8 log n, and for the logarithm −Σ_i log EFP_i. With a density q of
        the reweighted columns, log p(EFP) = log q + log_jacobian.

        `n` is as for `reweighted`, by default `reweight`; zeros where nothing is reweighted.

        References:
            arXiv:2202.00686, eq. (21), where the constant 8 log n is left out.

        Raises:
            ConfigError: If n is none of the possible ones.
        """
        exponent = _exponent(self.reweight if n == "own" else n)
        if exponent == 1:
            return np.zeros(len(efps))
        total = np.asarray(np.log(np.maximum(efps, self.floor)).sum(axis=1))
        constant = 8 * math.log(exponent) if exponent > 0 else 0.0
        return (exponent - 1) * total + constant

    def count_floored(self, efps: Floats) -> int:
        """Count the jets of which a polynomial (n_jets, 8) is below `floor`."""
        return int(np.count_nonzero((efps < self.floor).any(axis=1)))


def _exponent(n: Reweight) -> float:
    """Exponent of a reweighting: 1 for none, 0 for the logarithm."""
    if n is None:
        return 1.0
    if n == "log":
        return 0.0
    if isinstance(n, bool) or not isinstance(n, int | float) or not 0 <= n < math.inf:
        msg = f'EnergyFlow: reweight must be None, "log" or a finite number ≥ 0. Received: {n!r}.'
        raise ConfigError(msg)
    return float(n)


@numba.njit(cache=True, nogil=True, fastmath={"reassoc", "contract"})
def _fill_distances(eta, phi, beta, power):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Fill R_ij^β of one jet's constituents."""
    for i in range(eta.size):
        power[i, i] = 0.0
        for j in range(i):
            delta_eta = eta[i] - eta[j]
            distance_phi = delta_phi(phi[i], phi[j])
            power[i, j] = delta_eta * delta_eta + distance_phi * distance_phi
        if beta == 1.0:
            for j in range(i):
                power[i, j] = math.sqrt(power[i, j])
        elif beta == 0.5:
            for j in range(i):
                power[i, j] = math.sqrt(math.sqrt(power[i, j]))
        elif beta != 2.0:
            for j in range(i):
                power[i, j] = power[i, j] ** (0.5 * beta)
        for j in range(i):
            power[j, i] = power[i, j]


@numba.njit(cache=True, nogil=True, fastmath={"reassoc", "contract"})
def _polynomials(  # type: ignore[no-untyped-def]
    pt, eta, phi, offsets, kappa, beta, efps
):  # pragma: no cover - compiled
    """Fill efps (n, 8), which must be zeros."""
    largest = 0
    for jet in range(offsets.size - 1):
        largest = max(largest, offsets[jet + 1] - offsets[jet])
    power = np.empty((largest, largest))  # R_ij^β
    z, first, second = np.empty(largest), np.empty(largest), np.empty(largest)
    for jet in range(offsets.size - 1):
        start = offsets[jet]
        n = offsets[jet + 1] - start
        total = 0.0
        for i in range(n):
            total += pt[start + i]
        if total <= 0.0:
            continue
        for i in range(n):
            z[i] = pt[start + i] / total
            if kappa != 1.0:
                z[i] = z[i] ** kappa
        stop = start + n
        _fill_distances(eta[start:stop], phi[start:stop], beta, power)
        efp1, efp2, efp3, efp4, efp5, efp7, efp8 = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
        for i in range(n):
            # Sums over one neighbour, of R, R² and R³.
            d1, d2, d3 = 0.0, 0.0, 0.0
            for j in range(n):
                r = power[i, j]
                zr = z[j] * r
                d1 += zr
                d2 += zr * r
                d3 += zr * r * r
            first[i], second[i] = d1, d2
            efp1 += z[i] * d1
            efp2 += z[i] * d2
            efp3 += z[i] * d3
            efp4 += z[i] * d1 * d1
            efp5 += z[i] * d2 * d1
            efp7 += z[i] * d1 * d1 * d1
        triangle = 0.0
        for i in range(n):
            chain, corner = 0.0, 0.0
            for j in range(i):
                chain += z[j] * first[j] * power[i, j]
                third = 0.0
                for k in range(j):
                    third += z[k] * power[i, k] * power[j, k]
                corner += z[j] * power[i, j] * third
            efp8 += 2.0 * z[i] * first[i] * chain
            triangle += z[i] * corner
        efps[jet, 0], efps[jet, 1], efps[jet, 2], efps[jet, 3] = efp1, efp2, efp3, efp4
        efps[jet, 4], efps[jet, 5], efps[jet, 6], efps[jet, 7] = efp5, 6.0 * triangle, efp7, efp8
