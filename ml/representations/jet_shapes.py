"""Shapes of jets for density estimates: few numbers that together describe what a jet looks like.

References:
    T. Buss et al., What's Anomalous in LHC Jets?, arXiv:2202.00686, section 2: the observables n_PF,
    w_PF and C_0.2, and why a logarithm brings out jets of less structure than the background.
"""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import numpy as np

from oddjet.constraints import Interval, OneOf, constrained
from oddjet.datasets.jets import Jets
from oddjet.ml.representations.base import NamedColumns
from oddjet.ml.representations.substructure import Substructure
from oddjet.typing import Floats

__all__ = ["JetShapes"]


@dataclasses.dataclass(frozen=True)
class JetShapes(NamedColumns):
    """Multiplicity, mass, widths and N-subjettiness of jets: eleven columns (`names`), float64.

    `n_constituents`, `girth`, `c_02`, `mass` [GeV], `tau1` to `tau5`, `pt_spread` and `major_axis` of
    `Substructure`, under its conventions. No ratios, which follow from the others, and no groomed
    mass, which is 0 for many jets: a density would have to spend components on either.

    With `log` they are the natural logarithms of max(value, `floor`). A density of the values finds
    jets with more structure than the background has; one of the logarithms finds those with less,
    for it stretches what is near 0.

    Attributes:
        log: Whether to take logarithms.
        floor: Least value before the logarithm, positive.

    >>> JetShapes(log=True).shape
    (11,)
    """

    version: ClassVar[int] = 1
    names: ClassVar[tuple[str, ...]] = (
        "n_constituents",
        "girth",
        "c_02",
        "mass",
        "tau1",
        "tau2",
        "tau3",
        "tau4",
        "tau5",
        "pt_spread",
        "major_axis",
    )
    """Names of the columns."""

    log: bool = constrained(False, OneOf(False, True))
    floor: float = constrained(1e-3, Interval(float, 0, closed="neither"))

    def __call__(self, jets: Jets, *, threads: int = 1) -> Floats:
        """Compute the shapes of n jets, float64, shape (n, 11), all finite.

        Raises:
            NonFiniteError: If an axis, a constituent or one of the columns used is not finite.
        """
        rows = Substructure().columns(jets, self.names, label="JetShapes", threads=threads)
        return np.asarray(np.log(np.maximum(rows, self.floor)) if self.log else rows)
