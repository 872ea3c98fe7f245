"""Numbers of jets and their weights, as arrays that everything after can rely on."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from oddjet.errors import InputError, NonFiniteError
from oddjet.typing import Floats

__all__ = ["checked_columns", "effective_number"]


def checked_columns(
    columns: Mapping[str, npt.ArrayLike],
    weights: npt.ArrayLike | None = None,
    *,
    where: str = "evaluation",
) -> tuple[dict[str, Floats], Floats]:
    """Take columns, name → (n,), and weights (n,), by default 1, as float64, or refuse them.

    Raises:
        NonFiniteError: If a number is NaN or infinite.
        InputError: If a weight is negative, or shapes differ; the message begins with `where`.
    """
    numbers = {name: np.asarray(values, dtype=np.float64) for name, values in columns.items()}
    first = next(iter(numbers.values()))
    w = np.ones(first.shape) if weights is None else np.asarray(weights, dtype=np.float64)
    for what, values in {**numbers, "weights": w}.items():
        if values.ndim != 1 or values.shape != first.shape:
            msg = (
                f"{where}: expected {', '.join(numbers)} and weights of one shape (n,). "
                f"Received: {', '.join(str(array.shape) for array in (*numbers.values(), w))}."
            )
            raise InputError(msg)
        if n_bad := int(np.count_nonzero(~np.isfinite(values))):
            msg = (
                f"{where}: {n_bad} of {len(values)} {what} are NaN or infinite. Leave these jets out, "
                f"or mend what they come from."
            )
            raise NonFiniteError(msg)
    if n_negative := int(np.count_nonzero(w < 0)):
        msg = (
            f"{where}: {n_negative} of {len(w)} weights are negative: efficiencies would not rise "
            f"with looser cuts. Take data, or a sample without negative weights, such as one of leading order."
        )
        raise InputError(msg)
    return numbers, w


def effective_number(weights: Floats) -> float:
    """(Σw)²/Σw² of weights of shape (n,); 0 without jets."""
    return float(weights.sum() ** 2 / np.sum(weights**2)) if len(weights) else 0.0
