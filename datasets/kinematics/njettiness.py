"""N-subjettiness, by FastJet contrib.

References:
    J. Thaler, K. Van Tilburg, arXiv:1011.2268, eq. (2.1), minimised as in arXiv:1108.2701.
"""

from __future__ import annotations

from collections.abc import Sequence

import awkward as ak
import fastjet
import numpy as np
from fastjet import _swig

from oddjet.typing import Floats, Ints

__all__ = ["n_subjettiness"]

# The banner would go to standard output, where the command line writes its results.
_swig.ClusterSequence.set_fastjet_banner_stream(None)


def n_subjettiness(
    momenta: Sequence[Floats], counts: Ints, orders: Sequence[int], *, radius: float = 0.8
) -> Floats:
    """Compute τ_N as CMS does: β = 1, one-pass minimisation from exclusive kt axes.

    Args:
        momenta: px, py, pz and E [GeV] of the constituents, jet after jet, shape
            (n_constituents,) each.
        counts: Constituents of each jet, shape (n,).
        orders: The N wanted.
        radius: R0 of the normalisation, τ_N = Σ pt min ΔR / (R0 Σ pt).

    Returns:
        Array of shape (n, len(orders)). τ_N of a jet of N constituents or fewer is 0: there the
        axes are the constituents.
    """
    taus = np.zeros((len(counts), len(orders)))
    splittable = counts > min(orders, default=0)
    if not orders or not splittable.any():
        return taus
    # to_packed: fastjet reads an array's content and ignores a pending slice (fastjet issue 400).
    particles = ak.zip(dict(zip(("px", "py", "pz", "E"), momenta, strict=True)))
    particles = ak.to_packed(ak.unflatten(particles, counts)[splittable])
    # Reclustered so wide that everything is one jet again.
    whole = fastjet.JetDefinition(fastjet.cambridge_algorithm, 100.0)
    taus[splittable] = ak.to_numpy(
        fastjet.ClusterSequence(particles, whole).njettiness(
            measure_definition="NormalizedMeasure",
            axes_definition="OnePass_KT_Axes",
            njets=list(orders),
            beta=1.0,
            R0=radius,
        )
    )
    return np.where(counts[:, None] > np.asarray(orders), taus, 0.0)
