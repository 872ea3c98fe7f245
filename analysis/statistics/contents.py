"""What the contents of a histogram are: numbers of events, weights, or either divided by a width."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from oddjet.typing import Bools, Floats

__all__ = ["divided_by_width", "whole_numbers"]

WHOLE = 1e-6
"""How far from a whole number a number of events may be."""
MANY_BINS = 3
"""So many contents times a width are not whole numbers by chance."""
SURE = 0.03
"""Largest rounding error of a product that is asked whether it is a whole number."""


def whole_numbers(contents: npt.ArrayLike) -> Bools:
    """Which contents are whole numbers; NaN is none."""
    contents = np.asarray(contents, dtype=np.float64)
    return np.asarray(np.abs(contents - np.round(contents)) <= WHOLE)


def divided_by_width(counts: Floats, widths: Floats, variances: Floats | None) -> str:
    """Recognise events per GeV, or per another width.

    Events per GeV of simulation in bins of one width cannot be told from weights that are all alike: they
    are the same numbers.

    Args:
        counts: Contents > 0 that are not all whole numbers, shape (n,).
        widths: Widths of their bins [GeV], shape (n,).
        variances: Σw², shape (n,); None if it is unknown.

    Returns:
        What shows it; empty where nothing does.
    """
    if counts.size < MANY_BINS:
        return ""
    if variances is None or np.allclose(variances, counts, rtol=1e-6):
        for unit in np.unique([1.0, *widths]):
            factor = widths / unit
            # One small factor for all bins is a weight, such as a half.
            alike = any(_become_whole(counts, number) for number in range(2, int(factor.min())))
            if _become_whole(counts, factor) and not alike:
                return f"multiplied by the width of the bin in units of {unit:g} GeV they are whole numbers"
        return ""
    weights = variances / counts
    alike = np.ptp(weights * widths) < 1e-6 * (weights * widths).max()
    if alike and np.ptp(widths) > 1e-6 * widths.max():
        return "Σw²/Σw goes as one over the width of the bin"
    return ""


def _become_whole(counts: Floats, factor: Floats | int) -> bool:
    """Whether products are whole numbers, as far as rounding lets it be known in enough bins."""
    products = counts * factor
    single = np.array_equal(counts.astype(np.float32), counts)
    error = (3e-7 if single else 1e-12) * products + WHOLE
    known = np.count_nonzero(error < SURE) >= MANY_BINS
    return bool(known and np.all(np.abs(products - np.round(products)) < error))
