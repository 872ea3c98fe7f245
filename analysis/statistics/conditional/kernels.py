"""The compiled fits of shares: ln(pass/fail) is linear in the parameters, whose priors are Gaussian.

The number that passes in a bin is binomial. A signal adds to the jets that pass: pass and fail are
then two Poisson numbers, and the jets of the bin without signal are at their maximum, bin by bin.
Nothing here checks its arguments.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from oddjet.analysis.statistics.background.cholesky import compiled, factorise, solve
from oddjet.typing import Floats

__all__ = ["MOST_COLUMNS", "Passed", "fit_signals", "fit_windows"]

MOST_COLUMNS = 15
"""Eight modes of a map, five or more terms of a polynomial, a signal."""
NEWTON_STEPS = 60
CONVERGED = 1e-3
"""Twice the distance to the minimum, in units of the log-likelihood, from which one Newton step is the last:
it leaves about a thousandth of that."""


class Passed(NamedTuple):
    """What is fitted.

    The last bin is none of the spectrum: it holds what is known of the share beforehand.

    Attributes:
        counts: Jets that pass, shape (n, n_bins + 1).
        totals: All jets, of the same shape.
        saturated: Log-likelihood of a model that gives each content exactly, of the same shape.
        designs: ln(pass/fail) is this times the parameters, shape (n_spectra, n_bins + 1, n_columns);
            counts follow each other by spectrum. The first column is 1, and a power of mass more is a
            column more.
        precision: Inverse variances of the priors, shape (n_columns,).
        columns: Fewest and most columns that are used.
        gain: How much twice the log-likelihood must gain for a column more.
    """

    counts: Floats
    totals: Floats
    saturated: Floats
    designs: Floats
    precision: Floats
    columns: tuple[int, int]
    gain: float


class _Fit(NamedTuple):
    """One fit: n columns, all bins but those in [first, stop), a signal of shape (0,) for none.

    `extra` columns are differentiated and not fitted: what they would gain is known from one step.
    """

    counts: Floats
    totals: Floats
    design: Floats
    precision: Floats
    n: int
    extra: int
    first: int
    stop: int
    signal: Floats


@compiled
def _fit_of(passed, s, n, extra, window, signal):  # type: ignore[no-untyped-def]
    """The `_Fit` of counts s, with the bins of a window (its first, and one past its last) masked."""
    counts, totals, design = (
        passed.counts[s],
        passed.totals[s],
        passed.designs[s % len(passed.designs)],
    )
    return _Fit(counts, totals, design, passed.precision, n, extra, window[0], window[1], signal)


@compiled
def _share(design, n, q):  # type: ignore[no-untyped-def]
    """ln(pass/fail) in a bin, the logarithm of one plus its exponential, and the share."""
    logit = 0.0
    for j in range(n):
        logit += design[j] * q[j]
    if logit > 0.0:
        odds = np.exp(-logit)
        return logit, logit + np.log1p(odds), 1.0 / (1.0 + odds)
    odds = np.exp(logit)
    return logit, np.log1p(odds), odds / (1.0 + odds)


@compiled
def _without_signal(share, passed, failed, signal):  # type: ignore[no-untyped-def]
    """The likeliest number of jets that are no signal, given an expected signal."""
    own = share * (passed + failed) - signal
    root = np.sqrt(own * own + 4.0 * share * failed * signal)
    if own > 0.0:
        return 0.5 * (own + root) / share
    return 2.0 * failed * signal / (root - own) if failed > 0.0 and signal > 0.0 else 0.0


@compiled
def _with_signal(fit, b, q, slope):  # type: ignore[no-untyped-def]
    """A bin's part of the negative log-likelihood with a signal, and its derivatives.

    Gives the value, infinite where it does not exist; the pull, by which the design goes into the
    gradient; the derivative by the yield; and the weight of `slope` slopeᵀ in the information.
    """
    passed, failed, n = fit.counts[b], fit.totals[b] - fit.counts[b], fit.n
    signal = q[n] * fit.signal[b]
    if signal < 0.0:
        return np.inf, 0.0, 0.0, 0.0
    if passed + failed == 0.0:
        return signal, 0.0, fit.signal[b], 0.0
    share = _share(fit.design[b], n, q)[2]
    fail, jets = 1.0 - share, _without_signal(share, passed, failed, signal)
    mean = share * jets + signal
    if (passed > 0.0 and not mean > 0.0) or (failed > 0.0 and not fail * jets > 0.0):
        return np.inf, 0.0, 0.0, 0.0
    value = jets + signal + (passed + failed) * (np.log(passed + failed) - 1.0)
    pull, own = 0.0, fit.signal[b]
    if passed > 0.0:
        value -= passed * np.log(mean)
        pull += passed * jets * share * fail / mean
        own -= fit.signal[b] * passed / mean
    if failed > 0.0:
        value -= failed * np.log(fail * jets)
        pull -= failed * share
    for j in range(n):
        slope[j] = share * fail * jets * fit.design[b, j]
    slope[n] = fail * fit.signal[b]
    # Pass and fail, but for what the number of jets absorbs.
    variance = mean * fail * fail + fail * jets * share * share
    return value, pull, own, (1.0 / variance if variance > 0.0 else 0.0)


@compiled
def _accumulate(fit, q, gradient, hessian):  # type: ignore[no-untyped-def]
    """Negative log-likelihood without constants, its gradient and Fisher information.

    With a signal its yield is parameter n, after the others.
    """
    n, n_columns, with_signal = fit.n, fit.n + fit.extra, fit.signal.size > 0
    size = n + 1 if with_signal else n_columns
    value, slope = 0.0, np.empty(MOST_COLUMNS)
    for i in range(size):
        gradient[i] = 0.0
        for j in range(i + 1):
            hessian[i, j] = 0.0
    for i in range(n_columns):
        hessian[i, i] = fit.precision[i]
        if i < n:
            value += 0.5 * fit.precision[i] * q[i] ** 2
            gradient[i] = fit.precision[i] * q[i]
    for b in range(fit.counts.size):
        if fit.first <= b < fit.stop:
            continue
        if b < fit.signal.size:
            part, pull, own, weight = _with_signal(fit, b, q, slope)
            if not np.isfinite(part):
                return np.inf
            value += part
            gradient[n] += own
            for i in range(n):
                gradient[i] -= pull * fit.design[b, i]
            for i in range(size):
                for j in range(i + 1):
                    hessian[i, j] += weight * slope[i] * slope[j]
            continue
        total, design = fit.totals[b], fit.design[b]
        if total == 0.0:
            continue
        logit, log, share = _share(design, n, q)
        value += total * log - fit.counts[b] * logit
        pull = fit.counts[b] - total * share
        weight = total * share * (1.0 - share)
        for i in range(n_columns):
            gradient[i] -= pull * design[i]
            weighted = weight * design[i]
            for j in range(i + 1):
                hessian[i, j] += weighted * design[j]
    return value


@compiled
def _minimise(fit, q, factor):  # type: ignore[no-untyped-def]
    """Newton steps, halved until they improve; q ends at the minimum, factor at its Cholesky factor.

    Gives the value, infinite where there is no valid minimum, and twice what an extra column would gain.
    """
    n = fit.n + 1 if fit.signal.size > 0 else fit.n
    size = n + fit.extra if fit.signal.size == 0 else n
    gradient, step, trial = np.empty(MOST_COLUMNS), np.empty(MOST_COLUMNS), np.empty(MOST_COLUMNS)
    value = _accumulate(fit, q, gradient, factor)
    for _ in range(NEWTON_STEPS):
        if not np.isfinite(value) or not factorise(factor, size):
            return np.inf, 0.0
        distance = solve(factor, gradient, n, step)
        if distance < CONVERGED:
            more = solve(factor, gradient, size, trial) - distance if size > n else 0.0
            for i in range(n):
                q[i] -= step[i]
            if fit.signal.size > 0:
                q[fit.n] = max(q[fit.n], 0.0)
            return value - 0.5 * distance, more
        fraction = 1.0
        while True:
            for i in range(n):
                trial[i] = q[i] - fraction * step[i]
            new = _accumulate(fit, trial, gradient, factor)
            if new <= value + 1e-11 * abs(value) + 1e-11:
                break
            fraction *= 0.5
            if fraction < 1e-6:
                return np.inf, 0.0
        value = new
        for i in range(n):
            q[i] = trial[i]
    return np.inf, 0.0


@compiled
def _deviance(fit, value, saturated, q):  # type: ignore[no-untyped-def]
    """−2 ln of the likelihood of the fitted bins over that of the saturated model: without priors."""
    last = fit.counts.size - 1
    logit, log, _ = _share(fit.design[last], fit.n, q)
    value -= fit.totals[last] * log - fit.counts[last] * logit
    for i in range(fit.n):
        value -= 0.5 * fit.precision[i] * q[i] ** 2
    for b in range(last):
        if not fit.first <= b < fit.stop:
            value += saturated[b]
    return max(2.0 * value, 0.0)


@compiled
def _predict(fit, q, factor):  # type: ignore[no-untyped-def]
    """Jets of the window that are expected to pass, and their variance."""
    slope, solution = np.zeros(MOST_COLUMNS), np.empty(MOST_COLUMNS)
    expected = 0.0
    for b in range(fit.first, fit.stop):
        share = _share(fit.design[b], fit.n, q)[2]
        expected += fit.totals[b] * share
        for j in range(fit.n):
            slope[j] += fit.totals[b] * share * (1.0 - share) * fit.design[b, j]
    return expected, solve(factor, slope, fit.n, solution)


@compiled
def _fit_whole(passed, s, near, least, factor):  # type: ignore[no-untyped-def]
    """Fit with each number of columns, all bins; the parameters go to `near`, the values to `least`."""
    last, nothing = passed.counts.shape[1] - 1, np.empty(0)
    share = passed.counts[s, last] / passed.totals[s, last]
    near[:] = 0.0
    for n in range(passed.columns[0], passed.columns[1] + 1):
        near[n, 0] = np.log(share / (1.0 - share))
        least[n] = _minimise(_fit_of(passed, s, n, 0, (0, 0), nothing), near[n], factor)[0]


@compiled
def fit_windows(passed, windows, fits):  # type: ignore[no-untyped-def]
    """Fit beside every window (first bins, and one past the last), the polynomial's order chosen.

    The `WindowFits` are filled: the jets expected to pass, and which order was chosen beyond the lowest.
    """
    firsts, stops = windows
    background, variance, deviance, chosen = fits
    fewest, most = passed.columns
    nothing, factor = np.empty(0), np.empty((MOST_COLUMNS, MOST_COLUMNS))
    near, least = np.empty((most + 1, MOST_COLUMNS)), np.empty(most + 1)
    for s in range(passed.counts.shape[0]):
        _fit_whole(passed, s, near, least, factor)
        for w in range(firsts.size):
            for n in range(fewest, most + 1):
                extra = 1 if n < most else 0
                fit = _fit_of(passed, s, n, extra, (firsts[w], stops[w]), nothing)
                # Where the last window ended is near.
                value, more = _minimise(fit, near[n], factor)
                if not np.isfinite(value):
                    break
                chosen[s, w] = n - fewest
                deviance[s, w] = _deviance(fit, value, passed.saturated[s], near[n])
                background[s, w], variance[s, w] = _predict(fit, near[n], factor)
                if more < passed.gain:
                    break


@compiled
def _fit_signal(fit, q, factor):  # type: ignore[no-untyped-def]
    """Fit a signal to what was fitted without, q; gives the value, the yield and its error."""
    n = fit.n
    gradient, step = np.empty(MOST_COLUMNS), np.empty(MOST_COLUMNS)
    q[n] = 0.0
    value = _accumulate(fit, q, gradient, factor)
    if not np.isfinite(value) or not factorise(factor, n + 1):
        return np.inf, 0.0, 0.0
    if gradient[n] >= 0.0:
        # The most likely yield is not above zero.
        solve(factor, gradient, n + 1, step)
        return value, -step[n], 1.0 / factor[n, n]
    value, _ = _minimise(fit, q, factor)
    return value, q[n], 1.0 / factor[n, n]


@compiled
def fit_signals(passed, templates, fits):  # type: ignore[no-untyped-def]
    """Fit every signal, the order of the polynomial chosen; the `SignalFits` are filled."""
    yields, errors, gain, deviance, chosen = fits
    fewest, most = passed.columns
    factor, q = np.empty((MOST_COLUMNS, MOST_COLUMNS)), np.empty(MOST_COLUMNS)
    near, least = np.empty((most + 1, MOST_COLUMNS)), np.empty(most + 1)
    for s in range(passed.counts.shape[0]):
        _fit_whole(passed, s, near, least, factor)
        for t in range(templates.shape[0]):
            held = np.inf
            for n in range(fewest, most + 1):
                fit = _fit_of(passed, s, n, 0, (0, 0), templates[t])
                for j in range(n):
                    q[j] = near[n, j]
                value, number, error = _fit_signal(fit, q, factor)
                known = np.isfinite(value) and np.isfinite(least[n])
                if not known or (n > fewest and held - 2.0 * value < passed.gain):
                    break
                held = 2.0 * value
                chosen[s, t], yields[s, t], errors[s, t] = n - fewest, number, error
                gain[s, t] = max(2.0 * (least[n] - value), 0.0) if number > 0.0 else 0.0
                deviance[s, t] = _deviance(fit, value, passed.saturated[s], q)
