"""The compiled loops of `many`: Newton steps, sideband fits and signal fits of log-linear functions.

Nothing here checks its arguments.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from oddjet.analysis.statistics.background.cholesky import compiled, factorise, solve
from oddjet.analysis.statistics.background.nested import PENALTY
from oddjet.typing import Floats, Ints

__all__ = [
    "Functions",
    "SignalFits",
    "Spectra",
    "WindowFits",
    "fit_signals",
    "fit_whole",
    "fit_windows",
]

SIZE = 7
"""Six parameters of a background, and a signal."""
NEWTON_STEPS = 60
CONVERGED = 1e-6
"""Twice the distance to the minimum, in units of the log-likelihood, from which one Newton step is the last."""


class Functions(NamedTuple):
    """Functions bound to bins.

    Attributes:
        designs: ln f at the nodes of the quadrature is this times the parameters,
            (n_functions, n_nodes, 6); columns beyond a function's parameters are not used.
        n_parameters: Parameters of each function, (n_functions,).
        log_weights: Logarithms of the nodes' weights, (n_nodes,); those of a bin add up to its width.
        begins: Where the nodes of each bin begin, and the end, (n_bins + 1,).
    """

    designs: Floats
    n_parameters: Ints
    log_weights: Floats
    begins: Ints


class Spectra(NamedTuple):
    """What is fitted, and where fits begin.

    Attributes:
        counts: Contents, shape (n_spectra, n_bins).
        saturated: Log-likelihood of a model that gives each content exactly, of the same shape.
        parameters: Parameters of fits of the whole spectra, shape (n_spectra, n_functions, 6).
        deviances: Their deviances, shape (n_spectra, n_functions); infinite where there is no fit.
        given: What is expected on top of the function, shape (n, n_bins): of n spectra that follow each other.
    """

    counts: Floats
    saturated: Floats
    parameters: Floats
    deviances: Floats
    given: Floats


class WindowFits(NamedTuple):
    """Sideband fits with each window masked; arrays are (n_spectra, n_windows).

    Attributes:
        background: Events predicted in the window; NaN where no fit is valid.
        variance: Their variance from the covariance of the parameters.
        deviance: −2 ln of the likelihood beside the window over that of the saturated model.
        chosen: Which function was used, −1 where no fit is valid.
    """

    background: Floats
    variance: Floats
    deviance: Floats
    chosen: npt.NDArray[np.int8]


class SignalFits(NamedTuple):
    """Signal-plus-background fits, one for each signal; arrays are (n_spectra, n_templates).

    Attributes:
        yields: Signal events; NaN where no fit is valid.
        errors: Their uncertainties.
        gain: Penalised deviance without signal minus that with it, ≥ 0, the function chosen in each.
        deviance: The one with it.
        chosen: Which function was used, −1 where no fit is valid.
    """

    yields: Floats
    errors: Floats
    gain: Floats
    deviance: Floats
    chosen: npt.NDArray[np.int8]


class _Fit(NamedTuple):
    """One fit: n parameters, all bins but those in [first, stop), a signal of shape (0,) for none."""

    counts: Floats
    given: Floats
    design: Floats
    log_weights: Floats
    begins: Ints
    n: int
    first: int
    stop: int
    signal: Floats


@compiled
def _fit_of(contents, functions, f, window, signal):  # type: ignore[no-untyped-def]
    """The `_Fit` of function f to contents (seen, and given beside the function), bins of a window masked."""
    first, stop = window
    design, n = functions.designs[f], functions.n_parameters[f]
    nodes = (functions.log_weights, functions.begins)
    return _Fit(contents[0], contents[1], design, nodes[0], nodes[1], n, first, stop, signal)


@compiled
def _contents(spectra, s):  # type: ignore[no-untyped-def]
    """What was seen in spectrum s, and what is given beside the function."""
    return spectra.counts[s], spectra.given[s % len(spectra.given)]


@compiled
def _copy(values, n, target):  # type: ignore[no-untyped-def]
    """Copy the first n values. The same by slices takes the compiler a second and a half each time."""
    for i in range(n):
        target[i] = values[i]


@compiled
def _integrate(design, log_weights, nodes, n, q, slope):  # type: ignore[no-untyped-def]
    """Integral of the function over the nodes of a bin, infinite where it overflows, and its slope."""
    total = 0.0
    for j in range(n):
        slope[j] = 0.0
    for k in range(nodes[0], nodes[1]):
        exponent = log_weights[k]
        for j in range(n):
            exponent += design[k, j] * q[j]
        if not exponent < 300.0:
            return np.inf
        part = np.exp(exponent)
        total += part
        for j in range(n):
            slope[j] += part * design[k, j]
    return total


@compiled
def _accumulate(fit, q, gradient, hessian):  # type: ignore[no-untyped-def]
    """Negative log-likelihood without constants, its gradient and Fisher information.

    With a signal its yield is parameter n, after those of the background.
    """
    counts, given, design, log_weights, begins, n, first, stop, signal = fit
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
        background = _integrate(design, log_weights, (begins[b], begins[b + 1]), n, q, slope)
        if not np.isfinite(background):
            return np.inf
        expected = background + given[b]
        if with_signal:
            expected += q[n] * signal[b]
            # Beside a hundredth of the background the logarithm would end.
            if not expected > 0.01 * background:
                return np.inf
            slope[n] = signal[b]
        value += expected
        if counts[b] > 0.0:
            if not expected > 0.0:
                return np.inf
            value -= counts[b] * np.log(expected)
        pull = 1.0 - counts[b] / expected if expected > 0.0 else 1.0
        weight = 1.0 / expected if expected > 0.0 else 0.0
        for i in range(size):
            gradient[i] += slope[i] * pull
            for j in range(i + 1):
                hessian[i, j] += slope[i] * slope[j] * weight
    return value


@compiled
def _minimise(fit, q, factor):  # type: ignore[no-untyped-def]
    """Newton steps, halved until they improve; q ends at the minimum, factor at its Cholesky factor.

    Gives the value, infinite where there is no valid minimum.
    """
    size = fit.n + 1 if fit.signal.size > 0 else fit.n
    gradient, step, trial = np.empty(SIZE), np.empty(SIZE), np.empty(SIZE)
    value = _accumulate(fit, q, gradient, factor)
    for _ in range(NEWTON_STEPS):
        if not np.isfinite(value) or not factorise(factor, size):
            return np.inf
        distance = solve(factor, gradient, size, step)
        if distance < CONVERGED:
            for i in range(size):
                q[i] -= step[i]
            return value - 0.5 * distance
        fraction = 1.0
        while True:
            for i in range(size):
                trial[i] = q[i] - fraction * step[i]
            new = _accumulate(fit, trial, gradient, factor)
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
def fit_whole(spectra, functions):  # type: ignore[no-untyped-def]
    """Fit every function to every spectrum; parameters and deviances are changed in place."""
    nothing, factor, q = np.empty(0), np.empty((SIZE, SIZE)), np.empty(SIZE)
    for s in range(spectra.counts.shape[0]):
        for f in range(functions.designs.shape[0]):
            n = functions.n_parameters[f]
            _copy(spectra.parameters[s, f], n, q)
            fit = _fit_of(_contents(spectra, s), functions, f, (0, 0), nothing)
            value = _minimise(fit, q, factor)
            if np.isfinite(value):
                _copy(q, n, spectra.parameters[s, f])
                spectra.deviances[s, f] = 2.0 * (value + spectra.saturated[s].sum())


@compiled
def _enough(fit, n):  # type: ignore[no-untyped-def]
    """As `fit_function` asks: more bins than parameters, and as many filled ones. Gives the bins."""
    counts, first, stop = fit.counts, fit.first, fit.stop
    n_bins, n_filled = 0, 0
    for b in range(counts.size):
        if first <= b < stop:
            continue
        n_bins += 1
        if counts[b] > 0:
            n_filled += 1
    return n_bins if min(n_bins - 1, n_filled) >= n else 0


@compiled
def _predict(fit, q, factor):  # type: ignore[no-untyped-def]
    """Events in the window and their variance; or the yield of the signal and its variance."""
    slope, part, solution = np.zeros(SIZE), np.empty(SIZE), np.empty(SIZE)
    design, log_weights, begins, n = fit.design, fit.log_weights, fit.begins, fit.n
    if fit.signal.size > 0:
        slope[n] = 1.0
        return q[n], solve(factor, slope, n + 1, solution)
    total = 0.0
    for b in range(fit.first, fit.stop):
        total += _integrate(design, log_weights, (begins[b], begins[b + 1]), n, q, part)
        total += fit.given[b]
        for j in range(n):
            slope[j] += part[j]
    return total, solve(factor, slope, n, solution)


@compiled
def _fit_all(functions, fit, constant, starts, whole, results):  # type: ignore[no-untyped-def]
    """Fit every function; the smallest deviance, with a penalty for each parameter, is chosen.

    `fit` has the bins and the signal, `constant` is the log-likelihood of their saturated model, fits
    begin at `starts`, and functions without a finite deviance in `whole` are left out. Without a
    signal, starts move to the minima: the next window is nearly the same. The rows of `results` are
    filled: penalised deviance, infinite without a valid fit, and what `_predict` gives. Gives the
    function, −1 if no fit is valid.
    """
    factor, q = np.empty((SIZE, SIZE)), np.empty(SIZE)
    n_signal = 1 if fit.signal.size > 0 else 0
    best = -1
    for f in range(functions.n_parameters.size):
        results[f, 0] = np.inf
        n = functions.n_parameters[f]
        contents = (fit.counts, fit.given)
        one = _fit_of(contents, functions, f, (fit.first, fit.stop), fit.signal)
        if _enough(one, n + n_signal) == 0 or not np.isfinite(whole[f]):
            continue
        _copy(starts[f], n, q)
        q[n] = 0.0
        value = _minimise(one, q, factor)
        if not np.isfinite(value):
            continue
        if n_signal == 0:
            _copy(q, n, starts[f])
        results[f, 0] = 2.0 * (value + constant) + PENALTY * n
        results[f, 1], results[f, 2] = _predict(one, q, factor)
        if best < 0 or results[f, 0] < results[best, 0]:
            best = f
    return best


@compiled
def _envelope(results, best):  # type: ignore[no-untyped-def]
    """Variance by the profile over all functions: where the smallest penalised deviance has risen by 1."""
    reach = np.sqrt(results[best, 2])
    for f in range(results.shape[0]):
        behind = results[f, 0] - results[best, 0]
        if f != best and behind < 1.0:
            distance = abs(results[f, 1] - results[best, 1])
            reach = max(reach, distance + np.sqrt((1.0 - behind) * results[f, 2]))
    return reach**2


@compiled
def fit_windows(spectra, functions, windows, fits):  # type: ignore[no-untyped-def]
    """Fit `Spectra` beside every window (first bins, and one past the last), the function chosen.

    The `WindowFits` are filled.
    """
    firsts, stops = windows
    background, variance, deviance, chosen = fits
    n_functions = functions.n_parameters.size
    nothing, everything = np.empty(0), np.zeros(n_functions)
    results = np.empty((n_functions, 3))
    for s in range(spectra.counts.shape[0]):
        saturated = spectra.saturated[s]
        total, near = saturated.sum(), spectra.parameters[s].copy()
        for w in range(firsts.size):
            first, stop = firsts[w], stops[w]
            fit = _fit_of(_contents(spectra, s), functions, 0, (first, stop), nothing)
            constant = total - saturated[first:stop].sum()
            best = _fit_all(functions, fit, constant, near, everything, results)
            if best >= 0:
                chosen[s, w] = best
                deviance[s, w] = results[best, 0] - PENALTY * functions.n_parameters[best]
                background[s, w], variance[s, w] = results[best, 1], _envelope(results, best)


@compiled
def fit_signals(spectra, functions, templates, fits):  # type: ignore[no-untyped-def]
    """Fit every signal to `Spectra` that were fitted without one; the `SignalFits` are filled.

    The function is chosen with the signal and without: discrete profiling, where there are several.
    """
    yields, errors, gain, deviance, chosen = fits
    n_functions = functions.n_parameters.size
    results = np.empty((n_functions, 3))
    for s in range(spectra.counts.shape[0]):
        whole, starts = spectra.deviances[s], spectra.parameters[s]
        constant = spectra.saturated[s].sum()
        for t in range(templates.shape[0]):
            fit = _fit_of(_contents(spectra, s), functions, 0, (0, 0), templates[t])
            best = _fit_all(functions, fit, constant, starts, whole, results)
            if best >= 0:
                without = np.inf
                for f in range(n_functions):
                    if np.isfinite(results[f, 0]):
                        without = min(without, whole[f] + PENALTY * functions.n_parameters[f])
                least = results[best, 0]
                chosen[s, t], yields[s, t] = best, results[best, 1]
                errors[s, t] = np.sqrt(_envelope(results, best))
                gain[s, t] = max(without - least, 0.0)
                deviance[s, t] = least - PENALTY * functions.n_parameters[best]
