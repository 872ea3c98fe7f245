"""The compiled loops of `batch`: Newton steps, sideband fits and signal fits of log-linear functions.

Arrays are as in `batch.BatchModel`; nothing here checks its arguments.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

__all__ = ["fit_signals", "fit_whole", "fit_windows"]

SIZE = 7
"""Six parameters of a background, and a signal."""
NEWTON_STEPS = 60
CONVERGED = 1e-6
"""Twice the distance to the minimum, in units of the log-likelihood, from which one Newton step is the last."""

compiled: Any = numba.njit(cache=True, nogil=True)


@compiled
def _factorise(matrix, n):  # type: ignore[no-untyped-def]
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
def _solve(factor, vector, n, solution):  # type: ignore[no-untyped-def]
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


@compiled
def _accumulate(counts, design, n, log_width, first, stop, signal, q, gradient, hessian):  # type: ignore[no-untyped-def]
    """Negative log-likelihood without constants, its gradient and Fisher information.

    With a signal (not empty) its yield is parameter n, after those of the background.
    """
    with_signal = signal.size > 0
    size = n + 1 if with_signal else n
    for i in range(size):
        gradient[i] = 0.0
        for j in range(i + 1):
            hessian[i, j] = 0.0
    value = 0.0
    slope = np.empty(SIZE)
    for b in range(counts.size):
        if first <= b < stop:
            continue
        exponent = log_width[b]
        for j in range(n):
            exponent += design[b, j] * q[j]
        if not exponent < 300.0:
            return np.inf
        background = np.exp(exponent)
        expected = background
        if with_signal:
            expected += q[n] * signal[b]
            # Beside a hundredth of the background the logarithm would end.
            if not expected > 0.01 * background:
                return np.inf
            exponent = np.log(expected)
            slope[n] = signal[b]
        for j in range(n):
            slope[j] = background * design[b, j]
        value += expected - counts[b] * exponent
        pull = 1.0 - counts[b] / expected if expected > 0.0 else 1.0
        weight = 1.0 / expected if expected > 0.0 else 0.0
        for i in range(size):
            gradient[i] += slope[i] * pull
            for j in range(i + 1):
                hessian[i, j] += slope[i] * slope[j] * weight
    return value


@compiled
def _minimise(counts, design, n, log_width, first, stop, signal, q, factor):  # type: ignore[no-untyped-def]
    """Newton steps, halved until they improve; q ends at the minimum, factor at its Cholesky factor.

    Gives the value, infinite where there is no valid minimum.
    """
    size = n + 1 if signal.size > 0 else n
    gradient, step, trial = np.empty(SIZE), np.empty(SIZE), np.empty(SIZE)
    value = _accumulate(counts, design, n, log_width, first, stop, signal, q, gradient, factor)
    for _ in range(NEWTON_STEPS):
        if not np.isfinite(value) or not _factorise(factor, size):
            return np.inf
        distance = _solve(factor, gradient, size, step)
        if distance < CONVERGED:
            for i in range(size):
                q[i] -= step[i]
            return value - 0.5 * distance
        fraction = 1.0
        while True:
            for i in range(size):
                trial[i] = q[i] - fraction * step[i]
            new = _accumulate(
                counts, design, n, log_width, first, stop, signal, trial, gradient, factor
            )
            if new <= value + 1e-11 * abs(value) + 1e-11:
                break
            fraction *= 0.5
            if fraction < 1e-5:
                return np.inf
        value = new
        for i in range(size):
            q[i] = trial[i]
    return np.inf


@compiled
def fit_whole(counts, saturated, designs, n_parameters, log_width, parameters, deviances):  # type: ignore[no-untyped-def]
    """Fit every function to every spectrum; parameters and deviances are changed in place."""
    nothing, factor, q = np.empty(0), np.empty((SIZE, SIZE)), np.empty(SIZE)
    for s in range(counts.shape[0]):
        for f in range(designs.shape[0]):
            n = n_parameters[f]
            q[:n] = parameters[s, f, :n]
            value = _minimise(counts[s], designs[f], n, log_width, 0, 0, nothing, q, factor)
            if np.isfinite(value):
                parameters[s, f, :n] = q[:n]
                deviances[s, f] = 2.0 * (value + saturated[s].sum())


@compiled
def _enough(counts, n, first, stop):  # type: ignore[no-untyped-def]
    """As `fit_function` asks: more bins than parameters, and as many filled ones. Gives the bins."""
    n_bins, n_filled = 0, 0
    for b in range(counts.size):
        if first <= b < stop:
            continue
        n_bins += 1
        if counts[b] > 0:
            n_filled += 1
    return n_bins if min(n_bins - 1, n_filled) >= n else 0


@compiled
def _predict(design, n, log_width, first, stop, q, factor):  # type: ignore[no-untyped-def]
    """Events in the window and their variance."""
    total = 0.0
    slope, solution = np.zeros(SIZE), np.empty(SIZE)
    for b in range(first, stop):
        exponent = log_width[b]
        for j in range(n):
            exponent += design[b, j] * q[j]
        expected = np.exp(min(exponent, 300.0))
        total += expected
        for j in range(n):
            slope[j] += expected * design[b, j]
    return total, _solve(factor, slope, n, solution)


@compiled
def _end_of_family(families, f):  # type: ignore[no-untyped-def]
    end = f
    while end < families.size and families[end] == families[f]:
        end += 1
    return end


@compiled
def _pays(before, deviance, ndf, thresholds):  # type: ignore[no-untyped-def]
    """Whether one parameter more pays by the F-test; see `choice.f_test`."""
    return max(before - deviance, 0.0) / (max(deviance, 1e-12) / ndf) > thresholds[ndf]


@compiled
def fit_windows(  # type: ignore[no-untyped-def]
    counts, saturated, designs, n_parameters, families, thresholds, log_width, parameters,
    firsts, stops, background, variance, chosen,
):  # fmt: skip
    """Fit every spectrum beside every window, the function chosen; the last three are filled."""
    nothing, factor, q = np.empty(0), np.empty((SIZE, SIZE)), np.empty(SIZE)
    for s in range(counts.shape[0]):
        whole = saturated[s].sum()
        # The window before is nearly the same, so its minimum is where to begin.
        near = parameters[s].copy()
        for w in range(firsts.size):
            first, stop = firsts[w], stops[w]
            constant = whole - saturated[s, first:stop].sum()
            smallest, f = np.inf, 0
            while f < families.size:
                end = _end_of_family(families, f)
                held, deviance, predicted, spread = -1, np.inf, 0.0, 0.0
                for g in range(f, end):
                    n = n_parameters[g]
                    n_bins = _enough(counts[s], n, first, stop)
                    if n_bins == 0:
                        break
                    q[:n] = near[g, :n]
                    value = _minimise(
                        counts[s], designs[g], n, log_width, first, stop, nothing, q, factor
                    )
                    if not np.isfinite(value):
                        break
                    near[g, :n] = q[:n]
                    new = 2.0 * (value + constant)
                    if held >= 0 and not _pays(deviance, new, n_bins - n, thresholds):
                        break
                    held, deviance = g, new
                    predicted, spread = _predict(designs[g], n, log_width, first, stop, q, factor)
                if held >= 0 and deviance + 2 * n_parameters[held] < smallest:
                    smallest = deviance + 2 * n_parameters[held]
                    chosen[s, w] = held
                    background[s, w], variance[s, w] = predicted, spread
                f = end


@compiled
def fit_signals(  # type: ignore[no-untyped-def]
    counts, saturated, designs, n_parameters, families, thresholds, log_width, parameters,
    deviances, templates, yields, errors, gain, chosen,
):  # fmt: skip
    """Fit every signal to every spectrum, the function chosen; the last four are filled."""
    factor, q, last, solution = (
        np.empty((SIZE, SIZE)),
        np.empty(SIZE),
        np.empty(SIZE),
        np.empty(SIZE),
    )
    for s in range(counts.shape[0]):
        constant = saturated[s].sum()
        for t in range(templates.shape[0]):
            smallest, f = np.inf, 0
            while f < families.size:
                end = _end_of_family(families, f)
                held, deviance, size, error = -1, np.inf, 0.0, 0.0
                for g in range(f, end):
                    n = n_parameters[g]
                    n_bins = _enough(counts[s], n + 1, 0, 0)
                    if n_bins == 0 or not np.isfinite(deviances[s, g]):
                        break
                    q[:n], q[n] = parameters[s, g, :n], 0.0
                    value = _minimise(
                        counts[s], designs[g], n, log_width, 0, 0, templates[t], q, factor
                    )
                    if not np.isfinite(value):
                        break
                    new = 2.0 * (value + constant)
                    if held >= 0 and not _pays(deviance, new, n_bins - n - 1, thresholds):
                        break
                    held, deviance, size = g, new, q[n]
                    last[:], last[n] = 0.0, 1.0
                    error = np.sqrt(_solve(factor, last, n + 1, solution))
                if held >= 0 and deviance + 2 * n_parameters[held] < smallest:
                    smallest = deviance + 2 * n_parameters[held]
                    chosen[s, t] = held
                    yields[s, t], errors[s, t] = size, error
                    gain[s, t] = max(deviances[s, held] - deviance, 0.0)
                f = end
