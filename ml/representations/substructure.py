"""High-level observables of jets.

References:
    D. Khanal, Anomalous Jet Detection using Unsupervised Learning (2023); T. Buss et al., What's
    Anomalous in LHC Jets?, arXiv:2202.00686, section 2 (n_PF, w_PF, C_0.2). N-subjettiness:
    J. Thaler, K. Van Tilburg, arXiv:1011.2268, eq. (2.1), minimised as in arXiv:1108.2701.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, ClassVar

import numba
import numpy as np
import numpy.typing as npt

from oddjet.constraints import OneOf, constrained
from oddjet.datasets.jets import Jets
from oddjet.datasets.kinematics.cambridge import cluster_trees, soft_drop
from oddjet.datasets.kinematics.compiled import delta_phi
from oddjet.datasets.kinematics.geometry import cartesian, mass_of, sum_momenta
from oddjet.errors import NonFiniteError
from oddjet.ml.representations.base import NamedColumns
from oddjet.ml.representations.batches import FlatJets, over_jets
from oddjet.ml.representations.orient import orient
from oddjet.typing import Floats

__all__ = ["Substructure", "groomed_mass"]


_FROM_SOURCE = ("msoftdrop", "tau1", "tau2", "tau3", "tau4")


@dataclasses.dataclass(frozen=True)
class Substructure(NamedColumns):
    """Multiplicity, shapes, masses and N-subjettiness of jets, one column each (`names`), float64.

    ==============  ====================================================================
    n_constituents  number of constituents
    girth           w_PF = Σ pt ΔR / Σ pt, ΔR to the jet axis
    c_02            C_0.2 = Σ_i Σ_j pt_i pt_j ΔR_ij^0.2 / (Σ pt)², each pair twice
    mass            of the constituents' four-vector sum [GeV]
    msoftdrop       soft-drop mass [GeV]: z_cut = 0.1, β = 0
    tau1 … tau5     N-subjettiness: β = 1, R0 = 0.8, one-pass minimisation from kt axes
    tau21, tau32    τ2 / τ1 and τ3 / τ2
    pt_spread       √(Σ pt²) / Σ pt
    major_axis      √λ, λ the larger eigenvalue of the pt-weighted covariance of (Δη, Δφ)
    ==============  ====================================================================

    ΔR² = Δη² + Δφ². `msoftdrop` and `tau1` to `tau4` are the jets' own columns where there are such
    (in NanoAOD they are made of PUPPI-weighted particles and corrected); with `recompute`, or where
    a column is missing, they come from the constituents. A negative soft-drop mass in a column,
    which says that grooming found no subjets, becomes 0.

    All is finite: a ratio with a vanishing denominator is 0, τ_N of a jet of N constituents or fewer
    is 0, and a jet without constituents has zeros in what is made of them.

    Attributes:
        recompute: Whether to disregard the jets' own columns.

    >>> Substructure().shape
    (14,)
    """

    version: ClassVar[int] = 1
    names: ClassVar[tuple[str, ...]] = (
        "n_constituents",
        "girth",
        "c_02",
        "mass",
        "msoftdrop",
        "tau1",
        "tau2",
        "tau3",
        "tau4",
        "tau5",
        "tau21",
        "tau32",
        "pt_spread",
        "major_axis",
    )
    """Names of the columns."""

    recompute: bool = constrained(False, OneOf(False, True))

    def __call__(self, jets: Jets, *, threads: int = 1) -> Floats:
        """Compute the observables of n jets, float64, shape (n, 14).

        `msoftdrop` [GeV] and `tau1` to `tau4` are used where the jets have them.

        Raises:
            NonFiniteError: If an axis, a constituent or one of the columns used is not finite.
        """
        # FastJet, which it imports, takes its time.
        from oddjet.datasets.kinematics.njettiness import n_subjettiness  # noqa: PLC0415

        rows = np.zeros((len(jets), len(self.names)))
        place = {name: number for number, name in enumerate(self.names)}
        given = [name for name in _FROM_SOURCE if name in jets.fields and not self.recompute]
        orders = [n for n in range(1, 6) if f"tau{n}" not in given]

        def work(part: FlatJets, where: slice) -> None:
            mine = rows[where]
            mine[:, place["n_constituents"]] = part.counts
            right, up = orient(part)
            columns = [place[name] for name in ("girth", "c_02", "pt_spread", "major_axis")]
            mine[:, columns] = _shapes(part.pt, right, up, part.offsets)
            momenta = cartesian(part.pt, part.eta, part.phi, part.mass)
            mine[:, place["mass"]] = mass_of(*sum_momenta(momenta, part.counts))
            if "msoftdrop" not in given:
                mine[:, place["msoftdrop"]] = groomed_mass(part)
            if orders:
                taus = [place[f"tau{n}"] for n in orders]
                mine[:, taus] = n_subjettiness(momenta, part.counts, orders)

        over_jets(jets, work, label="Substructure", threads=threads, masses=True)
        for name in given:
            rows[:, place[name]] = _column(jets, name)
        for upper, lower in ((2, 1), (3, 2)):
            numerator, denominator = rows[:, place[f"tau{upper}"]], rows[:, place[f"tau{lower}"]]
            rows[:, place[f"tau{upper}{lower}"]] = np.divide(
                numerator, denominator, out=np.zeros(len(jets)), where=denominator > 0
            )
        return rows

    def columns(self, jets: Jets, names: Sequence[str], *, label: str, threads: int = 1) -> Floats:
        """Compute observables for another representation, `label`: (n, len(names)), in this order.

        Raises:
            NonFiniteError: As for a call.
        """
        try:
            rows = self(jets, threads=threads)
        except NonFiniteError as error:
            raise NonFiniteError(str(error).replace("Substructure", label)) from error
        # Row by row in memory, as others are: sums over jets depend on it in their last digits.
        return np.ascontiguousarray(rows[:, [self.names.index(name) for name in names]])


def groomed_mass(jets: FlatJets) -> Floats:
    """Soft-drop mass with z_cut = 0.1 and β = 0 [GeV], shape (n,).

    A jet in which nothing passes has its last constituent's mass, an empty one 0.
    """
    momenta = jets.momenta
    trees = cluster_trees(momenta, jets.offsets)
    groomed = soft_drop(momenta, jets.offsets, trees, z_cut=0.1, beta=0.0)
    masses = np.where(groomed.has_prongs, mass_of(*groomed.momenta.T), 0.0)
    is_one = groomed.constituent >= 0
    masses[is_one] = jets.mass[(jets.offsets[:-1] + groomed.constituent)[is_one]]
    return masses


def _column(jets: Jets, name: str) -> npt.NDArray[Any]:
    values = np.asarray(jets[name], dtype=np.float64)
    if bad := int(np.count_nonzero(~np.isfinite(values))):
        msg = (
            f"Substructure: {bad} of {len(jets)} jets have a NaN or infinity in their column {name}. "
            f"Drop them, or use Substructure(recompute=True)."
        )
        raise NonFiniteError(msg)
    return np.maximum(values, 0.0)


@numba.njit(cache=True, nogil=True, fastmath={"reassoc", "contract"})
def _shapes(pt, right, up, offsets):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """Girth, C_0.2, pt spread and major axis, shape (n, 4)."""
    shapes = np.zeros((offsets.size - 1, 4))
    for jet in range(offsets.size - 1):
        start, stop = offsets[jet], offsets[jet + 1]
        total, squares, girth, mean_right, mean_up = 0.0, 0.0, 0.0, 0.0, 0.0
        for k in range(start, stop):
            total += pt[k]
            squares += pt[k] * pt[k]
            girth += pt[k] * np.sqrt(right[k] * right[k] + up[k] * up[k])
            mean_right += pt[k] * right[k]
            mean_up += pt[k] * up[k]
        if total <= 0.0:
            continue
        mean_right /= total
        mean_up /= total
        aa, bb, ab, pairs = 0.0, 0.0, 0.0, 0.0
        for k in range(start, stop):
            a, b = right[k] - mean_right, up[k] - mean_up
            aa += pt[k] * a * a
            bb += pt[k] * b * b
            ab += pt[k] * a * b
            for j in range(start, k):
                distance2 = (right[k] - right[j]) ** 2 + delta_phi(up[k], up[j]) ** 2
                pairs += pt[k] * pt[j] * distance2**0.1
        shapes[jet, 0] = girth / total
        shapes[jet, 1] = 2.0 * pairs / (total * total)
        shapes[jet, 2] = np.sqrt(squares) / total
        shapes[jet, 3] = np.sqrt((0.5 * (aa + bb) + np.hypot(0.5 * (aa - bb), ab)) / total)
    return shapes
