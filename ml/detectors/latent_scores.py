"""Anomaly scores of encoded jets: distances to the nearest training codes, and a one-class boundary.

References:
    F. Pedregosa et al., Scikit-learn, JMLR 12 (2011) 2825; B. Schölkopf et al., Estimating the
    Support of a High-Dimensional Distribution, Neural Computation 13 (2001) 1443.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.spatial import KDTree

from oddjet.constraints import Interval, check_fields, constrained
from oddjet.errors import ConfigError, TooFewJetsError
from oddjet.ml.detectors.sklearn_fits import import_sklearn
from oddjet.typing import Floats

__all__ = ["NearestCodes", "OneClassBoundary"]


KERNELS_AT_ONCE = 2**22
"""Kernel values held at once, 32 MB."""


@dataclass(frozen=True, eq=False)
class NearestCodes:
    """The codes of training jets, and how many of them a jet is compared with.

    Attributes:
        codes: Shape (m, d).
        k: Number of neighbours, at most m.

    Raises:
        ConfigError: If k is not positive.
        TooFewJetsError: If there are fewer than k codes.
    """

    codes: Floats
    k: int = constrained(constraint=Interval(int, 1))

    def __post_init__(self) -> None:
        check_fields(self, label="nearest codes")
        if len(self.codes) < self.k:
            msg = (
                f"nearest codes: {self.k} neighbours need as many jets. Received: "
                f"{len(self.codes)}. Lower k, or keep more jets."
            )
            raise TooFewJetsError(msg)

    def sum_of_distances(self, codes: npt.NDArray[np.floating[Any]]) -> Floats:
        """Add up the Euclidean distances of codes (n, d) to the k nearest stored ones: shape (n,).

        A code that is itself stored is its own nearest one.
        """
        distances, _ = self._tree.query(codes, k=np.arange(1, self.k + 1))  # (n, k)
        return np.asarray(distances.sum(axis=1))

    @cached_property
    def _tree(self) -> Any:
        return KDTree(self.codes)


@dataclass(frozen=True, eq=False)
class OneClassBoundary:
    """A one-class support vector machine with a Gaussian kernel.

    f(x) = Σ_i c_i exp(−γ |x − s_i|²) + b; jets outside the boundary have f < 0.

    Attributes:
        support: s_i, shape (m, d).
        coefficients: c_i, shape (m,).
        intercept: b.
        gamma: γ.
    """

    support: Floats
    coefficients: Floats
    intercept: float
    gamma: float

    @classmethod
    def fit(cls, codes: npt.NDArray[np.floating[Any]], *, nu: float) -> OneClassBoundary:
        """Find the boundary of codes (n, d); γ = 1 / (d · variance), scikit-learn's "scale".

        ν bounds from above the part of these codes that is outside, and from below that of support
        vectors.

        Raises:
            ConfigError: If `nu` is not in (0, 1).
        """
        if not 0 < nu < 1:
            msg = f"one-class boundary: nu must be in (0, 1). Received: {nu}."
            raise ConfigError(msg)
        rows = np.asarray(codes, dtype=np.float64)
        variance = float(rows.var())
        gamma = 1.0 / (rows.shape[1] * variance) if variance > 0 else 1.0
        machine = import_sklearn("svm").OneClassSVM(nu=nu, gamma=gamma).fit(rows)
        return cls(
            machine.support_vectors_, machine.dual_coef_[0], float(machine.intercept_[0]), gamma
        )

    def decision(self, codes: npt.NDArray[np.floating[Any]]) -> Floats:
        """Compute f for codes of shape (n, d): shape (n,)."""
        rows = np.asarray(codes, dtype=np.float64)
        values = np.empty(len(rows))
        at_once = max(1, KERNELS_AT_ONCE // len(self.support))
        # |x|² + |s|² − 2 x·s, for a matrix product is several times as fast as differences.
        squares = np.sum(self.support**2, axis=1)
        for start in range(0, len(rows), at_once):
            part = rows[start : start + at_once]
            kernels = part @ (-2 * self.support.T)  # (at once, m)
            kernels += squares
            kernels += np.sum(part**2, axis=1)[:, np.newaxis]
            np.maximum(kernels, 0.0, out=kernels)
            kernels *= -self.gamma
            np.exp(kernels, out=kernels)
            values[start : start + at_once] = kernels @ self.coefficients
        return values + self.intercept

    def to_arrays(self) -> dict[str, npt.NDArray[np.float64]]:
        """Give everything as arrays, for an `.npz` file."""
        return {name: np.asarray(value) for name, value in vars(self).items()}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[np.float64]]) -> OneClassBoundary:
        """Read what `to_arrays` gave."""
        return cls(
            arrays["support"],
            arrays["coefficients"],
            float(arrays["intercept"]),
            float(arrays["gamma"]),
        )
