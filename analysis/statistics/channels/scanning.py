"""The compiled scans of `model.ChannelModel`: beside every window, and with every signal, the order chosen.

Parameters have levels: a fit of level n leaves those above n at 0. A level more is taken where twice the log-likelihood
gains enough. Nothing here checks its arguments.

numba keeps what it compiled beside this file and looks at no other: after a change of `kernels.py` its old code stays in
use until this file changes or `__pycache__` is emptied.
"""

from __future__ import annotations

import numpy as np

from oddjet.analysis.statistics.background.cholesky import compiled, factorise, solve
from oddjet.analysis.statistics.channels.kernels import (
    Problem,
    add_components,
    fill_ratios,
    minimise,
    reduce,
)

__all__ = ["scan_signals", "scan_windows"]

ENOUGH = 1e-3
"""Twice the distance to the minimum, in units of the log-likelihood, from which one step is the last."""


@compiled
def _fixed(levels, level, fixed):  # type: ignore[no-untyped-def]
    for p in range(levels.size):
        fixed[p] = levels[p] > level


@compiled
def _fit_levels(problem, counts, start, levels, near, values, work):  # type: ignore[no-untyped-def]
    """Fit with each level; the parameters go to `near`, twice the values to `values`."""
    fixed = np.empty(levels.size, np.bool_)
    for level in range(len(near)):
        near[level] = start if level == 0 else near[level - 1]
        _fixed(levels, level, fixed)
        values[level] = (
            2.0 * minimise(problem, counts, start, near[level], fixed, (0, 0), ENOUGH, work)[1]
        )
        if not np.isfinite(values[level]):
            near[level] = start


@compiled
def _gain(work, levels, level, theta, bounded):  # type: ignore[no-untyped-def]
    """Twice what a level more would gain, from one step."""
    gradient, information, reduced = work
    places, held = np.empty(levels.size, np.int64), np.empty(levels.size, np.bool_)
    vector, solution = np.empty(levels.size), np.empty(levels.size)
    lengths = np.zeros(2)
    for more in range(2):
        for p in range(levels.size):
            held[p] = levels[p] > level + more or (bounded[p] and theta[p] <= 0.0)
        n = reduce(information, held, places, reduced)
        for i in range(n):
            vector[i] = gradient[places[i]]
        if not factorise(reduced, n):
            return 0.0
        lengths[more] = solve(reduced, vector, n, solution)
    return lengths[1] - lengths[0]


@compiled
def _predict(problem, counts, theta, window, fixed, work, results):  # type: ignore[no-untyped-def]
    """Jets of a window, all regions, that are expected in each score bin given their totals; variances of sums from the top.

    The information of the fit is in `work`.
    """
    n_regions, n_scores, _, most = problem.design.shape
    expected, variance = results
    size, n_extra = theta.size, problem.widths.size + problem.n_shifts
    _, information, reduced = work
    places, vector, solution = np.empty(size, np.int64), np.empty(size), np.empty(size)
    e, t, smooth = np.empty(n_scores), np.zeros(n_scores), np.empty(n_scores)
    slopes = np.zeros((n_scores, n_extra))
    jacobian, mean = np.zeros((n_scores, size)), np.empty(size)
    expected[:] = 0.0
    for r in range(n_regions):
        for b in range(window[0], window[1]):
            fill_ratios(problem, theta, r, b, e)
            total, ratios, added = counts[r, :, b].sum(), e.sum(), 0.0
            touched = n_extra > 0 and add_components(problem, theta, r, b, t, slopes)
            if touched:
                for k in range(n_scores):
                    added += t[k]
            if touched and added > total:
                # Nothing smooth is left: the components share out the jets.
                for k in range(n_scores):
                    expected[k] += t[k] * total / added
                    for i in range(n_extra):
                        change = slopes[k, i] - t[k] / added * slopes[:, i].sum()
                        jacobian[k, size - n_extra + i] += change * total / added
                continue
            f = (total - added) / ratios
            mean[:] = 0.0
            for k in range(n_scores):
                smooth[k] = f * e[k]
                expected[k] += smooth[k] + (t[k] if touched else 0.0)
                for i in range(most):
                    p = problem.used[r, k, i]
                    if p < 0:
                        break
                    own = smooth[k] * problem.design[r, k, b, i]
                    jacobian[k, p] += own
                    mean[p] += own / ratios
                if touched:
                    for i in range(n_extra):
                        jacobian[k, size - n_extra + i] += slopes[k, i]
                        mean[size - n_extra + i] += slopes[k, i] / ratios
            for k in range(n_scores):
                for p in range(size):
                    jacobian[k, p] -= e[k] * mean[p]
    n = reduce(information, fixed, places, reduced)
    known = factorise(reduced, n)
    for k in range(n_scores - 1, -1, -1):
        if k + 1 < n_scores:
            jacobian[k] += jacobian[k + 1]
        for i in range(n):
            vector[i] = jacobian[k, places[i]]
        variance[k] = solve(reduced, vector, n, solution) if known else np.nan


@compiled
def scan_windows(problem, counts, starts, levels, gain, windows, results):  # type: ignore[no-untyped-def]
    """Fit beside every window.

    Args:
        problem: The model, without signals.
        counts: Shape (n, R, K, B).
        starts: Where fits begin, which are the middles of the priors, shape (n, n_parameters).
        levels: Of the parameters, from 0.
        gain: How much twice the log-likelihood must gain for a level more.
        windows: First bins of the windows, and one past their last.
        results: Expected jets of the windows by score bin, and variances of their sums from a score bin on, shape (n, n_windows, K) twice; −2 ln L
            over the saturated one beside them; the level, −1 without a valid fit.
    """
    expected, variance, deviance, chosen = results
    firsts, stops = windows
    size, n_levels = levels.size, levels.max() + 1
    work = (np.empty(size), np.empty((size, size)), np.empty((size, size)))
    near, values = np.empty((n_levels, size)), np.empty(n_levels)
    fixed = np.empty(size, np.bool_)
    for s in range(len(counts)):
        _fit_levels(problem, counts[s], starts[s], levels, near, values, work)
        for w in range(firsts.size):
            window = (firsts[w], stops[w])
            for level in range(n_levels):
                _fixed(levels, level, fixed)
                theta = near[level]
                likelihood, value = minimise(
                    problem, counts[s], starts[s], theta, fixed, window, ENOUGH, work
                )
                if not np.isfinite(value):
                    theta[:] = starts[s]
                    break
                more = (
                    _gain(work, levels, level, theta, problem.bounded)
                    if level + 1 < n_levels
                    else 0.0
                )
                chosen[s, w], deviance[s, w] = level, max(2.0 * likelihood, 0.0)
                _predict(
                    problem, counts[s], theta, window, fixed, work, (expected[s, w], variance[s, w])
                )  # fmt: skip
                if more < gain:
                    break


@compiled
def _spread(work, theta, signals, fixed):  # type: ignore[no-untyped-def]
    """Variance of the sum of signals above 0; of the first one where none is."""
    _, information, reduced = work
    first, n_signals = signals
    size, none = theta.size, True
    for p in range(first, first + n_signals):
        none = none and theta[p] <= 0.0
    places, held = np.empty(size, np.int64), fixed.copy()
    vector, solution = np.zeros(size), np.empty(size)
    for p in range(first, first + n_signals):
        held[p] = not (theta[p] > 0.0 or (p == first and none))
    n = reduce(information, held, places, reduced)
    for i in range(n):
        vector[i] = 1.0 if first <= places[i] < first + n_signals else 0.0
    return solve(reduced, vector, n, solution) if factorise(reduced, n) else np.nan


@compiled
def scan_signals(problem, counts, starts, levels, gain, templates, results):  # type: ignore[no-untyped-def]
    """Fit every signal, which is a sum of parts with norms ≥ 0.

    Args:
        problem: The model; its last components are the parts of signals, of any contents.
        counts: Shape (n, R, K, B).
        starts: As of `scan_windows`; norms of the parts are 0.
        levels: As of `scan_windows`.
        gain: As of `scan_windows`.
        templates: Contents of the parts, shape (n_signals, n_parts, R, B, K).
        results: Sum of the norms, its error, what twice the log-likelihood gains by the signal, −2 ln L over the
            saturated one; the level, −1 without a valid fit. Shape (n, n_signals).
    """
    yields, errors, gains, deviance, chosen = results
    size, n_levels, n_parts = levels.size, levels.max() + 1, templates.shape[1]
    n_before = problem.widths.size - n_parts
    first = size - problem.n_shifts - n_parts
    work = (np.empty(size), np.empty((size, size)), np.empty((size, size)))
    near, values = np.empty((n_levels, size)), np.empty(n_levels)
    theta, fixed = np.empty(size), np.empty(size, np.bool_)
    closed = levels.copy()
    closed[first : first + n_parts] = n_levels
    contents = problem.nominal.copy()
    own = Problem(
        problem.used, problem.design, problem.precision, contents, problem.widths, problem.effects,
        problem.down, problem.up, problem.bounded, problem.n_shifts,
    )  # fmt: skip
    for s in range(len(counts)):
        contents[n_before:] = 0.0
        _fit_levels(own, counts[s], starts[s], closed, near, values, work)
        for w in range(len(templates)):
            contents[n_before:] = templates[w]
            held = np.inf
            for level in range(n_levels):
                theta[:] = near[level]
                _fixed(levels, level, fixed)
                likelihood, value = minimise(
                    own, counts[s], starts[s], theta, fixed, (0, 0), ENOUGH, work
                )
                value *= 2.0
                known = np.isfinite(value) and np.isfinite(values[level])
                if not known or (level > 0 and held - value < gain):
                    break
                held = value
                chosen[s, w], deviance[s, w] = level, max(2.0 * likelihood, 0.0)
                yields[s, w] = theta[first : first + n_parts].sum()
                errors[s, w] = np.sqrt(_spread(work, theta, (first, n_parts), fixed))
                gains[s, w] = max(values[level] - value, 0.0) if yields[s, w] > 0.0 else 0.0
