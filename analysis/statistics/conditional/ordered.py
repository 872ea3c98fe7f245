"""Excesses that rise with the score: likelihood ratios of ordered alternatives, and their distribution.

A signal that a score finds has a share of the jets which rises with the score; how fast is not known. So the excess over
the background is asked to rise from one score bin to the next, and nothing else. The likeliest such excess is an
isotonic regression, and twice the log-likelihood ratio is distributed as χ̄²: χ² of l degrees of freedom with the
probability that l + 1 levels are left of the bins, for l = 0 to one less than their number.

References:
    R. Dykstra, S. Kochar and T. Robertson, J. Am. Stat. Assoc. 90 (1995) 1034 (two samples whose likelihood ratio is
    ordered); T. Robertson, F. T. Wright and R. L. Dykstra, "Order Restricted Statistical Inference", 1988, ch. 2.
"""

from __future__ import annotations

import numpy as np
from scipy import special

from oddjet.analysis.statistics.background.cholesky import compiled
from oddjet.typing import Floats, Ints

__all__ = ["chi_bar_tail", "level_probabilities", "ordered_excess"]

N_DRAWS = 40_000
"""Of which the probabilities of levels are counted: they are known to a quarter of a percent."""


def ordered_excess(observed: Floats, expected: Floats, tau: Floats) -> tuple[Floats, Ints]:
    """Test whether the ratio of observed to expected jets rises with the score.

    Expected jets are taken as those of an auxiliary measurement that is τ times as large and scattered as Poisson
    numbers are: the ratios' likeliest ordered values are an isotonic regression of n/(n + τ b), weighted with n + τ b.

    Args:
        observed: Jets, shape (n, K), score bins from low to high.
        expected: Expected jets, of the same shape; NaN where they are not known.
        tau: How much larger, shape (n,).

    Returns:
        Twice the log-likelihood ratio, NaN where nothing is known, and the first of the score bins at the top whose ratio
        is the highest, both of shape (n,).
    """
    ratio, top = np.full(len(observed), np.nan), np.zeros(len(observed), np.int64)
    _fill_excess(
        np.ascontiguousarray(observed),
        np.ascontiguousarray(expected),
        np.broadcast_to(tau, ratio.shape).copy(),
        ratio,
        top,
    )
    return ratio, top


@compiled
def _fill_excess(observed, expected, tau, ratio, top):  # type: ignore[no-untyped-def]
    n_scores = observed.shape[1]
    ons, alls, starts = np.empty(n_scores), np.empty(n_scores), np.empty(n_scores, np.int64)
    for s in range(len(observed)):
        n, known, total_on, total = 0, tau[s] > 0.0, 0.0, 0.0
        for k in range(n_scores):
            on, off = observed[s, k], tau[s] * expected[s, k]
            if not np.isfinite(off) or off < 0.0:
                known = False
                break
            total_on += on
            total += on + off
            if on + off == 0.0:
                continue
            ons[n], alls[n], starts[n] = on, on + off, k
            n += 1
            # Pool adjacent violators.
            while n > 1 and ons[n - 2] * alls[n - 1] >= ons[n - 1] * alls[n - 2]:
                ons[n - 2] += ons[n - 1]
                alls[n - 2] += alls[n - 1]
                n -= 1
        if not known:
            continue
        value = 0.0
        for i in range(n):
            off, on = alls[i] - ons[i], ons[i]
            if on > 0.0:
                value += on * np.log((on / alls[i]) / (total_on / total))
            if off > 0.0:
                value += off * np.log((off / alls[i]) / ((total - total_on) / total))
        ratio[s] = max(2.0 * value, 0.0) if n > 1 else 0.0
        top[s] = starts[n - 1] if n > 0 else n_scores - 1


def level_probabilities(weights: Floats) -> Floats:
    """Probability that an isotonic regression of independent noise leaves l + 1 levels, shape (K,), l from 0.

    Args:
        weights: Inverse variances of the noise, shape (K,).
    """
    n = weights.size
    noise = np.random.default_rng(1).standard_normal((N_DRAWS, n)) / np.sqrt(weights)
    sums = np.concatenate([np.zeros((N_DRAWS, 1)), np.cumsum(noise * weights, axis=1)], axis=1)
    at = np.concatenate([[0.0], np.cumsum(weights)])
    levels, last = np.zeros(N_DRAWS, np.int64), np.full(N_DRAWS, np.inf)
    for i in range(n):
        # The regression at i is the largest, over where a block begins, of the least mean from there.
        means = [
            np.min(
                [(sums[:, b] - sums[:, a]) / (at[b] - at[a]) for b in range(i + 1, n + 1)], axis=0
            )
            for a in range(i + 1)
        ]
        value = np.max(means, axis=0)
        levels += value > last + 1e-12
        last = value
    return np.bincount(levels, minlength=n) / N_DRAWS


def chi_bar_tail(ratio: Floats, levels: Floats) -> Floats:
    """Probability of at least such a ratio; 1 at 0, NaN where it is not known.

    Args:
        ratio: Twice log-likelihood ratios.
        levels: See `level_probabilities`.
    """
    freedom = np.arange(1, levels.size)
    p = np.sum(levels[1:] * special.chdtrc(freedom, np.maximum(ratio, 0.0)[..., None]), axis=-1)
    return np.where(ratio > 0, p, np.where(np.isnan(ratio), np.nan, 1.0))
