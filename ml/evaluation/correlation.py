"""How scores go with mass and pt: Pearson's and Spearman's coefficients, with intervals.

References:
    T. Golling et al., The Mass-ive Issue: Anomaly Detection in Jet Physics (2020), section 4.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from oddjet.errors import TooFewJetsError
from oddjet.ml.evaluation.bootstrap import (
    REPLICAS,
    Interval,
    percentile_interval,
    resampled_weights,
)
from oddjet.ml.evaluation.checks import checked_columns
from oddjet.typing import Floats

__all__ = ["Correlation", "correlate"]


@dataclass(frozen=True)
class Correlation:
    """How one score goes with one variable.

    Attributes:
        spearman: Correlation of the ranks: 1 for any rising dependence.
        pearson: Correlation of the values: 1 for a straight line.
    """

    score: str
    variable: str
    spearman: Interval
    pearson: Interval


def correlate(
    scores: Mapping[str, npt.ArrayLike],
    variables: Mapping[str, npt.ArrayLike],
    weights: npt.ArrayLike | None = None,
    *,
    events: npt.ArrayLike | None = None,
    replicas: int = REPLICAS,
    seed: int = 1,
) -> list[Correlation]:
    """Correlate every score with every variable, among jets of one kind.

    Give background only: among signal and background together a good score goes with everything
    that separates them.

    Args:
        scores: Name → shape (n,).
        variables: Name → shape (n,), for instance mass and pt [GeV].
        weights: Not negative, shape (n,); 1 by default.
        events: Jets with the same number are resampled together, shape (n,); without, each alone.
        replicas: Resamplings for the intervals; the same ones for every pair.
        seed: Of the resampling.

    Returns:
        One entry a pair, the variables of the first score first. A coefficient of a score or a
        variable that is the same for all jets is not defined: NaN.

    Raises:
        TooFewJetsError: If fewer than three jets have a weight.
        NonFiniteError: If a number is NaN or infinite.
        InputError: If a weight is negative, or shapes differ.
    """
    if not scores or not variables:
        return []
    names = [f"score {name}" for name in scores] + [f"variable {name}" for name in variables]
    values = [*scores.values(), *variables.values()]
    numbers, w = checked_columns(dict(zip(names, values, strict=True)), weights)
    if np.count_nonzero(w) < 3:
        msg = f"correlation: expected at least 3 jets with a weight. Received: {len(w)} jets."
        raise TooFewJetsError(msg)
    columns = list(numbers.values())
    ties = [np.unique(column, return_inverse=True)[1] for column in columns]
    one_kind = np.zeros(len(w), dtype=bool)
    drawn = resampled_weights(w, one_kind, replicas=replicas, seed=seed, events=events)
    samples = np.array([_coefficients(columns, ties, drawn_w, len(scores)) for drawn_w in drawn])
    all_jets = _coefficients(columns, ties, w, len(scores))  # (2, scores, variables)
    return [
        Correlation(
            score,
            variable,
            spearman=percentile_interval(float(all_jets[0, i, j]), samples[:, 0, i, j]),
            pearson=percentile_interval(float(all_jets[1, i, j]), samples[:, 1, i, j]),
        )
        for i, score in enumerate(scores)
        for j, variable in enumerate(variables)
    ]


def _coefficients(
    columns: list[Floats], ties: list[npt.NDArray[np.int64]], weights: Floats, n_scores: int
) -> Floats:
    """Spearman's and Pearson's coefficients, shape (2, scores, variables)."""
    ranks = [_ranks(tie, weights) for tie in ties]
    return np.array([_pearson(values, weights, n_scores) for values in (ranks, columns)])


def _ranks(tie: npt.NDArray[np.int64], weights: Floats) -> Floats:
    """Weighted ranks, shape (n,): the weight below, and half of that at the same value."""
    at = np.bincount(tie, weights)
    return np.asarray((np.cumsum(at) - 0.5 * at)[tie])


def _pearson(columns: list[Floats], weights: Floats, n_scores: int) -> Floats:
    """Weighted coefficients between the first columns and the rest, shape (scores, variables)."""
    rows = np.stack(columns)  # (columns, n)
    share = weights / weights.sum()
    centred = rows - (rows @ share)[:, np.newaxis]
    norms = np.sqrt((centred**2) @ share)
    # Of a column that is all alike nothing but rounding is left.
    norms[norms <= 1e-12 * np.abs(rows).max(axis=1)] = np.nan
    products = (centred[:n_scores] * share) @ centred[n_scores:].T
    return np.asarray(products / np.outer(norms[:n_scores], norms[n_scores:]))
