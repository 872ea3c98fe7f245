"""The ten features of jets that the small autoencoders read.

References:
    R. Seidita for the CMS Collaboration, Advanced anomaly detection algorithms to search for
    semivisible jets (2023), which prints a network of ten inputs but not their list; CMS,
    arXiv:2510.02168.
"""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import numpy as np

from oddjet.constraints import OneOf, constrained
from oddjet.datasets.jets import Jets
from oddjet.ml.representations.base import NamedColumns
from oddjet.ml.representations.energy_flow import EnergyFlow
from oddjet.ml.representations.substructure import Substructure
from oddjet.typing import Floats

__all__ = ["JetFeatures"]


@dataclasses.dataclass(frozen=True)
class JetFeatures(NamedColumns):
    """Masses, multiplicity, shapes and prongs of jets: ten columns (`names`), float64.

    ==============  ====================================================================
    mass            of the constituents' four-vector sum [GeV]
    msoftdrop       soft-drop mass [GeV]: z_cut = 0.1, β = 0
    n_constituents  n_PF
    girth           w_PF = Σ pt ΔR / Σ pt
    c_02            C_0.2 = Σ_i Σ_j pt_i pt_j ΔR_ij^0.2 / (Σ pt)²
    pt_spread       √(Σ pt²) / Σ pt
    tau21, tau32    ratios of N-subjettiness
    efp1            Σ_i Σ_j z_i z_j ΔR_ij, the first energy flow polynomial
    major_axis      √λ, λ the larger eigenvalue of the pt-weighted covariance of (Δη, Δφ)
    ==============  ====================================================================

    All but `efp1` are `Substructure`'s, under its conventions; `efp1` is `EnergyFlow`'s. They are as
    they are: a detector standardises them by what its training jets are like.

    Attributes:
        recompute: Whether to disregard the jets' own columns of soft-drop mass and N-subjettiness.

    >>> JetFeatures().shape
    (10,)
    """

    version: ClassVar[int] = 1
    names: ClassVar[tuple[str, ...]] = (
        "mass",
        "msoftdrop",
        "n_constituents",
        "girth",
        "c_02",
        "pt_spread",
        "tau21",
        "tau32",
        "efp1",
        "major_axis",
    )
    """Names of the columns."""

    recompute: bool = constrained(False, OneOf(False, True))

    def __call__(self, jets: Jets, *, threads: int = 1) -> Floats:
        """Compute the features of n jets, float64, shape (n, 10), all finite.

        Raises:
            NonFiniteError: If an axis, a constituent or one of the columns used is not finite.
        """
        source = Substructure(recompute=self.recompute)
        names = [name for name in self.names if name != "efp1"]
        columns = source.columns(jets, names, label="JetFeatures", threads=threads)
        efp1 = EnergyFlow().polynomials(jets, threads=threads)[:, 0]
        return np.insert(columns, self.names.index("efp1"), efp1, axis=1)
