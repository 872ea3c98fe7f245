"""Small systems of linear equations inside compiled loops, in arrays that are there already."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

__all__ = ["compiled", "factorise", "solve"]

compiled: Any = numba.njit(cache=True, nogil=True)


@compiled
def factorise(matrix, n):  # type: ignore[no-untyped-def]
    """Cholesky factor in place, in the lower triangle; False if there is none."""
    for i in range(n):
        for j in range(i + 1):
            total = matrix[i, j]
            for k in range(j):
                total -= matrix[i, k] * matrix[j, k]
            if i == j:
                if not total > 1e-12 * abs(matrix[i, i]) or not np.isfinite(total):
                    return False
                matrix[i, i] = np.sqrt(total)
            else:
                matrix[i, j] = total / matrix[j, j]
    return True


@compiled
def solve(factor, vector, n, solution):  # type: ignore[no-untyped-def]
    """Solve with the factor; give vector · solution, the squared length of L⁻¹ vector."""
    length = 0.0
    for i in range(n):
        total = vector[i]
        for k in range(i):
            total -= factor[i, k] * solution[k]
        solution[i] = total / factor[i, i]
        length += solution[i] ** 2
    for i in range(n - 1, -1, -1):
        total = solution[i]
        for k in range(i + 1, n):
            total -= factor[k, i] * solution[k]
        solution[i] = total / factor[i, i]
    return length
