"""What the contents of a histogram are: numbers of events, weights, or either divided by a width."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from oddjet.typing import Bools, Floats

__all__ = ["common_factor", "divided_by_width", "whole_numbers"]

WHOLE = 1e-6
"""How far from a whole number a number of events may be."""
MANY_BINS = 3
"""So many contents times a width are not whole numbers by chance."""
SURE = 0.03
"""Largest rounding error of a product that is asked whether it is a whole number."""

SAME_WIDTH = 0.01
"""Widths of bins that differ by less than this part are the same."""
BY_CHANCE = 0.02
"""Part of the squared steps of ln(Σw²/Σw) between bins that may be left where the widths are to explain them."""
BELIEVED = 1e-3
"""Contents that are multiples of one number by less chance than this were multiplied by it."""


def common_factor(contents: Floats) -> int:
    """Number that all of some numbers of events are multiples of, and not by chance; 1 without one.

    Equal contents, such as those of an example, say nothing.

    >>> common_factor(np.array([4.0, 0.0, 6.0, 10.0] * 10)), common_factor(np.array([4.0, 6.0, 10.0]))
    (2, 1)
    """
    filled = np.round(contents[np.isfinite(contents) & (contents > 0)]).astype(np.int64)
    if np.unique(filled).size < 2:
        return 1
    factor = int(np.gcd.reduce(filled))
    return factor if float(factor) ** -filled.size < BELIEVED else 1


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
    goes = np.ptp(widths) > 1e-6 * widths.max() and _go_as_one_over(variances / counts, widths)
    return "Σw²/Σw goes as one over the width of the bin" if goes else ""


def _go_as_one_over(weights: Floats, widths: Floats) -> bool:
    """Whether weights of neighbours differ where their widths do, by as much, and little elsewhere.

    Weights that follow the mass differ between bins of one width as well.
    """
    steps, wider = (
        np.diff(np.log(np.maximum(weights, np.finfo(float).tiny))),
        np.diff(np.log(widths)),
    )
    changes = np.abs(wider) > SAME_WIDTH
    enough = changes.sum() > 1 or (~changes).sum() >= MANY_BINS
    left = float(np.sum((steps + wider) ** 2))
    return bool(left < 1e-9 or (enough and left < BY_CHANCE * np.sum(steps**2)))


def _become_whole(counts: Floats, factor: Floats | int) -> bool:
    """Whether products are whole numbers, as far as rounding lets it be known in enough bins."""
    products = counts * factor
    single = np.array_equal(counts.astype(np.float32), counts)
    error = (3e-7 if single else 1e-12) * products + WHOLE
    known = np.count_nonzero(error < SURE) >= MANY_BINS
    return bool(known and np.all(np.abs(products - np.round(products)) < error))
