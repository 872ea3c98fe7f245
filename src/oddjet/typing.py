"""Names for the arrays that are passed around; shapes stand in docstrings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = ["Bools", "Floats", "Ints", "Singles", "Table"]

Floats: TypeAlias = npt.NDArray[np.float64]
"""Numbers in double precision."""

Singles: TypeAlias = npt.NDArray[np.float32]
"""Numbers in single precision, as networks take them."""

Ints: TypeAlias = npt.NDArray[np.int64]
"""Whole numbers, also places in other arrays."""

Bools: TypeAlias = npt.NDArray[np.bool_]
"""Masks."""

Table: TypeAlias = Mapping[str, npt.NDArray[Any]]
"""Columns of a scores table by name, each of shape (n_jets,)."""
