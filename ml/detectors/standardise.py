"""Standardised columns: what small dense networks read."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from oddjet.datasets.disk.arrays import read_arrays
from oddjet.errors import DetectorError
from oddjet.typing import Floats, Singles

__all__ = ["Standardiser"]


LEAST_SPREAD = 1e-9
"""Columns whose standard deviation is below this part of their size are only shifted."""


@dataclasses.dataclass(frozen=True, eq=False)
class Standardiser:
    """Mean 0 and standard deviation 1 in each column, on the rows it was fitted on.

    With `scale`, columns are first compressed to arsinh(x / scale): linear up to about the scale, a
    logarithm beyond, finite everywhere and of the sign of x. So jets in a long tail, of mass for
    instance, neither make the standard deviation nor sit far out.

    Attributes:
        mean: Of the columns, compressed or not, shape (d,).
        std: Their standard deviation, 1 where they do not vary, shape (d,).
        low: Least standardised number of each column on the rows it was fitted on, shape (d,).
        high: The greatest, shape (d,).
        scale: Median absolute value, 1 where that is 0, shape (d,); None for no compression.
    """

    mean: Floats
    std: Floats
    low: Floats
    high: Floats
    scale: Floats | None

    @classmethod
    def fit(cls, rows: npt.NDArray[np.floating[Any]], *, compress: bool) -> Standardiser:
        """Learn the columns of rows (n, d), n ≥ 1, compressed or not."""
        values = np.asarray(rows, dtype=np.float64)
        scale = None
        if compress:
            median = np.median(np.abs(values), axis=0)
            scale = np.where(median > 0, median, 1.0)
            values = np.arcsinh(values / scale)
        mean, std = values.mean(axis=0), values.std(axis=0)
        std = np.where(std > LEAST_SPREAD * np.abs(values).max(axis=0), std, 1.0)
        standard = (values - mean) / std
        return cls(mean, std, standard.min(axis=0), standard.max(axis=0), scale)

    def __call__(self, rows: npt.NDArray[np.floating[Any]]) -> Singles:
        """Standardise rows (n, d): same shape, float32."""
        values = np.asarray(rows, dtype=np.float64)
        if self.scale is not None:
            values = np.arcsinh(values / self.scale)
        return ((values - self.mean) / self.std).astype(np.float32)

    def inverse(self, standard: npt.NDArray[np.floating[Any]]) -> Floats:
        """Undo a call: shape (n, d), float64."""
        values = np.asarray(standard, dtype=np.float64) * self.std + self.mean
        return values if self.scale is None else np.sinh(values) * self.scale

    def save(self, path: Path) -> None:
        """Write an `.npz` file."""
        arrays = {name: value for name, value in vars(self).items() if value is not None}
        np.savez(path, **arrays)

    @classmethod
    def load(cls, path: Path, *, columns: int) -> Standardiser:
        """Read what `save` wrote of so many columns.

        Raises:
            DetectorError: If the file cannot be read, or is of other columns.
        """
        names = [field.name for field in dataclasses.fields(cls)]
        shapes = {name + "?" * (name == "scale"): "float d" for name in names}
        data = read_arrays(path, shapes, error=DetectorError, d=columns)
        given: dict[str, Any] = {name: data.get(name) for name in names}
        return cls(**given)
