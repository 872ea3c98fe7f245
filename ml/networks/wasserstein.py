"""The earth mover's distance between two samples of points.

References:
    The transport problem is solved by POT: R. Flamary et al., JMLR 22 (2021) 78.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.spatial.distance import cdist

from oddjet.errors import InputError, NonFiniteError
from oddjet.ml.evaluation.transport import import_pot

__all__ = ["earth_movers_distance"]

MOST_ITERATIONS = 10_000_000
"""Of the network simplex; 1000 points a side need some ten thousand."""


def earth_movers_distance(a: npt.ArrayLike, b: npt.ArrayLike) -> float:
    """Wasserstein-1 distance of points (n, d) and (m, d), n, m ≥ 1: inf E‖x − y‖ over couplings.

    Every point of a sample weighs the same. Exact, in time and memory that grow with the number of
    points squared or worse: 0.15 s for 1000 points a side. Two finite samples of one distribution
    are not at distance 0; in many dimensions they are far apart.

    Raises:
        InputError: If the shapes do not fit.
        NonFiniteError: If there is a NaN or an infinity.

    >>> round(earth_movers_distance([[0.0], [1.0]], [[0.5], [1.5]]), 12)
    0.5
    """
    first, second = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if first.ndim != 2 or second.ndim != 2 or first.shape[1] != second.shape[1]:
        msg = (
            f"earth_movers_distance: expected points of shape (n, d) and (m, d). Received: "
            f"{first.shape} and {second.shape}."
        )
        raise InputError(msg)
    if not len(first) or not len(second):
        msg = "earth_movers_distance: a sample has no points."
        raise InputError(msg)
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        msg = "earth_movers_distance: a point has a NaN or an infinity. Drop it first."
        raise NonFiniteError(msg)
    costs = cdist(first, second)
    return float(import_pot().emd2([], [], costs, numItermax=MOST_ITERATIONS, center_dual=False))
