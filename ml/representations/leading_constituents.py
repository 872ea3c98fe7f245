"""The hardest constituents of jets as four-momenta, in the jet's own frame, and back.

References:
    Golling et al., The Mass-ive Issue: Anomaly Detection in Jet Physics, arXiv:2303.14134, section
    2. Centring and rotation: J. Pearkes et al., arXiv:1704.02124, section 3.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, ClassVar

import numba
import numpy as np
import numpy.typing as npt

from oddjet.constraints import Interval, OneOf, constrained
from oddjet.datasets.jets import Jets, require_columns
from oddjet.datasets.kinematics.geometry import mass_of
from oddjet.errors import InputError, NonFiniteError
from oddjet.ml.representations.base import Representation
from oddjet.ml.representations.batches import FlatJets, over_jets
from oddjet.ml.representations.orient import CENTRES, Centre, orient
from oddjet.typing import Floats

__all__ = ["ConstituentScaling", "LeadingConstituents"]


@dataclasses.dataclass(frozen=True, eq=False)
class ConstituentScaling:
    """A linear scaling of each input: (x − median) / interquartile range.

    Attributes:
        median: Of each column in the training set, shape (4n,).
        iqr: Distance of its quartiles, shape (4n,); a column whose quartiles coincide, for instance
            one of padding, is divided by 1.
    """

    median: Floats
    iqr: Floats

    @classmethod
    def fit(cls, rows: npt.NDArray[np.floating[Any]]) -> ConstituentScaling:
        """Find median and quartiles of the training set's rows (n_jets, 4n).

        Raises:
            InputError: If there are no rows.
        """
        if len(rows) == 0:
            msg = "ConstituentScaling: there are no jets to find a median of."
            raise InputError(msg)
        lower, median, upper = np.quantile(rows.astype(np.float64), (0.25, 0.5, 0.75), axis=0)
        return cls(median, upper - lower)

    def apply(self, rows: npt.NDArray[np.floating[Any]]) -> Floats:
        """Scale rows of shape (n_jets, 4n)."""
        return np.asarray((rows - self.median) / self._divisor)

    def invert(self, rows: npt.NDArray[np.floating[Any]]) -> Floats:
        """Undo `apply`."""
        return np.asarray(rows * self._divisor + self.median)

    @property
    def _divisor(self) -> Floats:
        return np.where(self.iqr > 0, self.iqr, 1.0)

    def to_dict(self) -> dict[str, list[float]]:
        """Give the numbers in JSON types, exactly."""
        return {"median": self.median.tolist(), "iqr": self.iqr.tolist()}

    @classmethod
    def from_dict(cls, numbers: Mapping[str, list[float]]) -> ConstituentScaling:
        """Read what `to_dict` gave."""
        return cls(np.asarray(numbers["median"], float), np.asarray(numbers["iqr"], float))


@dataclasses.dataclass(frozen=True)
class LeadingConstituents(Representation):
    """The leading n constituents, (px, py, pz, E) each, in the jet's own frame, float64.

    The steps, in this order:

    1. The n hardest constituents (of equal ones, those that come first), taken as massless.
    2. Centred: boosted along the beam and turned around it so that `centre` is at η = φ = 0. The x
       axis points along the jet.
    3. Turned around the x axis, so that the principal axis of Σ p_⊥ p_⊥ᵀ / |p|, p_⊥ = (py, pz), is
       along +y ("upright", the direction of φ), with at least as much |p| above as below. For a
       narrow jet this is the principal axis of the pt-weighted (Δη, Δφ).
    4. Divided by `jets.pt` if `scale`.

    2 and 3 are Lorentz transformations: masses are as they were, which a rotation in (Δη, Δφ) would
    not give. A jet of fewer constituents is filled up with zeros.

    Attributes:
        n: Constituents kept.
        scale: Whether to divide by the jet's pt.
        centre: "axis" (`jets.eta`, `jets.phi`) or "centroid" (the pt-weighted mean of Δη and Δφ over
            all constituents).

    References:
        arXiv:2303.14134, section 2: 20 constituents, centred, rotated, over jet pt.

    >>> LeadingConstituents().shape
    (80,)
    """

    version: ClassVar[int] = 1

    n: int = constrained(20, Interval(int, 1, 1000, closed="both"))
    scale: bool = constrained(True, OneOf(False, True))
    centre: Centre = constrained("axis", OneOf(*CENTRES))

    @property
    def shape(self) -> tuple[int]:
        """Shape of one jet's row: (4n,)."""
        return (4 * self.n,)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns: px1, py1, pz1, e1, px2, …."""
        return tuple(f"{p}{i}" for i in range(1, self.n + 1) for p in ("px", "py", "pz", "e"))

    def __call__(self, jets: Jets, *, threads: int = 1) -> Floats:
        """Give the four-momenta, (n_jets, 4n), over the jet's `pt`, or in GeV without `scale`.

        Raises:
            InputError: If a jet's pt is not positive, with `scale`.
            NonFiniteError: If an axis, a constituent or a jet's pt has a NaN or an infinity.
        """
        rows = np.zeros((len(jets), self.n, 4))
        unit = self._unit(jets)

        def work(part: FlatJets, where: slice) -> None:
            right, up = orient(part, centre=self.centre)
            _four_momenta(part.pt, right, up, part.offsets, rows[where])
            mine = unit[where]
            if bad := int(np.count_nonzero((mine <= 0) & (part.counts > 0))):
                msg = (
                    f"LeadingConstituents: {bad} of {len(part)} jets have constituents but a pt that "
                    f"is not positive. Drop them, or use scale=False."
                )
                raise InputError(msg)
            rows[where] /= np.where(mine > 0, mine, 1.0)[:, np.newaxis, np.newaxis]

        over_jets(jets, work, label="LeadingConstituents", threads=threads)
        return rows.reshape(len(jets), 4 * self.n)  # (n_jets, n, 4) -> (n_jets, 4n)

    def inverse(self, rows: npt.NDArray[np.floating[Any]], pt: npt.ArrayLike) -> Floats:
        """Turn unscaled rows (n_jets, 4n), for instance a network's, back into constituents.

        These are (px, py, pz, E) [GeV], shape (n_jets, n, 4), in the jet's own frame; the jets' pt
        (n_jets,) [GeV] is not used without `scale`.

        Raises:
            InputError: If the shapes do not fit.
        """
        flat = np.array(rows, dtype=np.float64)
        unit = np.asarray(pt, dtype=np.float64)
        if flat.ndim != 2 or flat.shape[1] != 4 * self.n or unit.shape != flat.shape[:1]:
            msg = (
                f"LeadingConstituents: expected rows of shape (n_jets, {4 * self.n}) and pt of shape "
                f"(n_jets,). Received: {flat.shape} and {unit.shape}."
            )
            raise InputError(msg)
        if self.scale:
            flat *= unit[:, np.newaxis]
        return flat.reshape(len(flat), self.n, 4)  # (n_jets, 4n) -> (n_jets, n, 4)

    def mass(
        self, rows: npt.NDArray[np.floating[Any]], pt: npt.ArrayLike, *, massless: bool = True
    ) -> Floats:
        """Mass (n_jets,) [GeV] of the jets that rows describe; takes what `inverse` does.

        With `massless`, each energy is |p|, so that every row has a mass. Otherwise the E of the
        rows is used as it is, and a negative squared mass becomes 0.

        Raises:
            InputError: If the shapes do not fit.
        """
        momenta = self.inverse(rows, pt)
        if massless:
            momenta[..., 3] = np.linalg.norm(momenta[..., :3], axis=-1)
        px, py, pz, energy = momenta.sum(axis=1).T
        return mass_of(py, pz, px, energy)  # the frame's x axis points along the jet

    def _unit(self, jets: Jets) -> Floats:
        """What the rows of each jet are divided by."""
        if not self.scale:
            return np.ones(len(jets))
        require_columns(jets, ("pt",), where="LeadingConstituents")
        pt = np.asarray(jets["pt"], dtype=np.float64)
        if bad := int(np.count_nonzero(~np.isfinite(pt))):
            msg = (
                f"LeadingConstituents: {bad} of {len(jets)} jets have a NaN or infinity as pt. "
                f"Drop them first."
            )
            raise NonFiniteError(msg)
        return pt


@numba.njit(cache=True, nogil=True)
def _four_momenta(pt, right, up, offsets, rows):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Fill rows (n_jets, n, 4), which must be zeros."""
    n = rows.shape[1]
    for jet in range(offsets.size - 1):
        start, stop = offsets[jet], offsets[jet + 1]
        order = start + np.argsort(-pt[start:stop], kind="mergesort")
        kept = min(n, stop - start)
        yy, zz, yz = 0.0, 0.0, 0.0
        for i in range(kept):
            k = order[i]
            px, py = pt[k] * math.cos(up[k]), pt[k] * math.sin(up[k])
            pz, e = pt[k] * math.sinh(right[k]), pt[k] * math.cosh(right[k])
            rows[jet, i, 0], rows[jet, i, 1], rows[jet, i, 2], rows[jet, i, 3] = px, py, pz, e
            if e > 0.0:
                yy += py * py / e
                zz += pz * pz / e
                yz += py * pz / e
        if yy == zz and yz == 0.0:
            continue
        angle = 0.5 * math.atan2(2.0 * yz, yy - zz)  # of the principal axis, from y
        sine, cosine = math.sin(angle), math.cos(angle)
        balance = 0.0
        for i in range(kept):
            py, pz = rows[jet, i, 1], rows[jet, i, 2]
            rows[jet, i, 1] = py * cosine + pz * sine
            rows[jet, i, 2] = pz * cosine - py * sine
            if rows[jet, i, 1] > 0.0:
                balance += rows[jet, i, 3]
            elif rows[jet, i, 1] < 0.0:
                balance -= rows[jet, i, 3]
        if balance < 0.0:
            for i in range(kept):
                rows[jet, i, 1] = -rows[jet, i, 1]
                rows[jet, i, 2] = -rows[jet, i, 2]
