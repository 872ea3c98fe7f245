"""The compiled fits of `model.ChannelModel`: Fisher scoring, the jets that fail at their maximum bin by bin.

Parameters are the columns of ln e, then the norms of components (themselves where free, ln(norm) over the
prior's width else), then the shifts. Nothing here checks its arguments.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from oddjet.analysis.statistics.background.cholesky import compiled, factorise, solve
from oddjet.analysis.statistics.components import SOFT
from oddjet.typing import Bools, Floats, Ints

__all__ = [
    "Problem",
    "add_components",
    "evaluate",
    "failing",
    "fill_ratios",
    "minimise",
    "minimise_many",
    "reduce",
]

NEWTON_STEPS = 200
MOST = 300.0
"""Largest logarithm of a ratio: far beyond what a fit reaches, and short of an overflow."""
RIDGE = 1e-6
"""Information that steps add to columns: of a score bin without jets nothing is known of the constant."""
STALLED = 1e-2
"""Where no step improves, twice the distance to a minimum in units of the log-likelihood that is believed to be none."""
SLACK = 1e-9
"""A mean below zero by this part of the smooth background is rounding."""


class Problem(NamedTuple):
    """The arrays of a model, for R regions, K score bins, B mass bins.

    Attributes:
        used: Columns of a region and score bin, −1 for none, rising, shape (R, K, most).
        design: The columns, shape (R, K, B, most).
        precision: Inverse variances of the priors of all parameters.
        nominal: Contents of the components, shape (J, R, B, K).
        widths: Width of the prior of ln(norm), 0 for a free norm, shape (J,).
        effects: Component and shift (a row each) of the pairs that belong together, shape (S, 2).
        down: Contents at −1 less the nominal ones, shape (S, R, B, K).
        up: Contents at +1 less the nominal ones, of the same shape.
        bounded: Which parameters are ≥ 0.
        n_shifts: Number of shifts, H.
    """

    used: Ints
    design: Floats
    precision: Floats
    nominal: Floats
    widths: Floats
    effects: Ints
    down: Floats
    up: Floats
    bounded: Bools
    n_shifts: int


@compiled
def failing(counts, e, t):  # type: ignore[no-untyped-def]
    """The likeliest number of jets that fail, F ≥ 0, of one bin: K counts, ratios and additions."""
    total, ratios, low, plain = 0.0, 0.0, 0.0, True
    for k in range(e.size):
        total += counts[k]
        ratios += e[k]
        if t[k] != 0.0:
            plain = False
        if -t[k] > low * e[k]:
            low = -t[k] / e[k]
    if plain:
        return total / ratios
    # The slope falls with F: it is above zero at `low` unless F = low, and below zero at `high`.
    slope, finite = -ratios, True
    for k in range(e.size):
        if counts[k] > 0.0:
            mean = low * e[k] + t[k]
            if mean <= 1e-12 * e[k]:
                finite = False
                break
            slope += counts[k] * e[k] / mean
    if finite and slope <= 0.0:
        return low
    high = low + total / ratios
    rest = total
    for k in range(e.size):
        rest -= t[k]
    f = min(max(rest / ratios, low + 1e-9 * (high - low)), high)
    for _ in range(100):
        slope, curve = -ratios, 0.0
        for k in range(e.size):
            if counts[k] > 0.0:
                part = e[k] / (f * e[k] + t[k])
                slope += counts[k] * part
                curve += counts[k] * part * part
        if slope > 0.0:
            low = f
        else:
            high = f
        new = f + slope / curve if curve > 0.0 else low
        if not low <= new <= high:
            new = 0.5 * (low + high)
        if abs(new - f) <= 1e-11 * new:
            return new
        f = new
    return f


@compiled
def _interpolated(size, down, up):  # type: ignore[no-untyped-def]
    """What a shift adds, and its derivative: see `model.shifted`."""
    if size >= 1.0:
        return size * up, up
    if size <= -1.0:
        return -size * down, -down
    odd, even, square = 0.5 * (up - down), (up + down) / 16.0, size * size
    value = size * (odd + size * even * (15.0 + square * (3.0 * square - 10.0)))
    slope = odd + size * even * (30.0 + square * (18.0 * square - 40.0))
    return value, slope


@compiled
def fill_ratios(problem, theta, r, b, e):  # type: ignore[no-untyped-def]
    """Fill the K ratios of a bin to the jets that fail."""
    for k in range(e.size):
        logarithm = 0.0
        for i in range(problem.used.shape[2]):
            if problem.used[r, k, i] < 0:
                break
            logarithm += problem.design[r, k, b, i] * theta[problem.used[r, k, i]]
        e[k] = np.exp(min(logarithm, MOST))


@compiled
def add_components(problem, theta, r, b, t, slopes):  # type: ignore[no-untyped-def]
    """Fill what components add to the K contents of a bin, and the derivatives (K, J + H); whether there is any."""
    n_components = problem.widths.size
    first = theta.size - slopes.shape[1]
    t[:] = 0.0
    slopes[:] = 0.0
    touched = False
    for j in range(n_components):
        own, width = theta[first + j], problem.widths[j]
        norm = own if width == 0.0 else np.exp(width * own)
        for k in range(t.size):
            nominal = problem.nominal[j, r, b, k]
            content, spread = nominal, nominal
            for s in range(len(problem.effects)):
                if problem.effects[s, 0] == j:
                    h = n_components + problem.effects[s, 1]
                    down, up = problem.down[s, r, b, k], problem.up[s, r, b, k]
                    value, slope = _interpolated(theta[first + h], down, up)
                    content += value
                    spread += abs(down) + abs(up)
                    slopes[k, h] += norm * slope
                    touched = touched or slope != 0.0
            if nominal >= 0.0 and content < SOFT * spread:
                # See `components.positive`.
                content = SOFT * spread * np.exp(content / (SOFT * spread) - 1.0)
                for s in range(len(problem.effects)):
                    if problem.effects[s, 0] == j:
                        h = n_components + problem.effects[s, 1]
                        down, up = problem.down[s, r, b, k], problem.up[s, r, b, k]
                        slope = _interpolated(theta[first + h], down, up)[1]
                        slopes[k, h] += norm * slope * (content / (SOFT * spread) - 1.0)
            t[k] += norm * content
            slopes[k, j] = content if width == 0.0 else width * norm * content
            touched = touched or content != 0.0
    return touched


@compiled
def _add_bin(problem, place, cell, slopes, touched, sums):  # type: ignore[no-untyped-def]
    """Add a bin (region and mass bin, F, ratios, additions, counts) to the gradient and the information.

    What the jets that fail absorb of it is subtracted.
    """
    r, b = place
    f, e, t, counts = cell
    gradient, information, row, whole = sums
    first, n_extra = gradient.size - slopes.shape[1], slopes.shape[1] if touched else 0
    row[:] = 0.0
    absorbed = 0.0
    for k in range(e.size):
        smooth = f * e[k]
        mean = smooth + t[k]
        if not mean > 0.0:
            # Nothing is seen here, and what is added costs its mean.
            for i in range(n_extra):
                gradient[first + i] += slopes[k, i]
            continue
        pull, weight = 1.0 - counts[k] / mean, 1.0 / mean
        absorbed += e[k] * e[k] * weight
        for i in range(problem.used.shape[2]):
            p = problem.used[r, k, i]
            if p < 0:
                break
            own = smooth * problem.design[r, k, b, i]
            gradient[p] += pull * own
            row[p] += weight * own * e[k]
            for j in range(i + 1):
                information[p, problem.used[r, k, j]] += (
                    weight * own * smooth * problem.design[r, k, b, j]
                )
            for j in range(n_extra):
                information[first + j, p] += weight * own * slopes[k, j]
        for i in range(n_extra):
            gradient[first + i] += pull * slopes[k, i]
            row[first + i] += weight * slopes[k, i] * e[k]
            for j in range(i + 1):
                information[first + i, first + j] += weight * slopes[k, i] * slopes[k, j]
    if f > 0.0 and absorbed > 0.0:
        n = 0
        for p in range(row.size):
            if row[p] != 0.0:
                whole[n] = p
                n += 1
        for i in range(n):
            part = row[whole[i]] / absorbed
            for j in range(i + 1):
                information[whole[i], whole[j]] -= part * row[whole[j]]


@compiled
def evaluate(problem, counts, centre, theta, window, gradient, information):  # type: ignore[no-untyped-def]
    """Negative log-likelihood over that of the saturated model: without the priors around `centre`, and with them.

    The gradient and the lower triangle of the information are filled. Infinite where the likelihood does not
    exist. Mass bins in [window[0], window[1]) are left out.
    """
    n_regions, n_scores, n_bins, _ = problem.design.shape
    n_extra = problem.widths.size + problem.n_shifts
    e, t, slopes = np.empty(n_scores), np.zeros(n_scores), np.zeros((n_scores, n_extra))
    sums = (gradient, information, np.empty(theta.size), np.empty(theta.size, np.int64))
    value, priors = 0.0, 0.0
    gradient[:] = 0.0
    information[:] = 0.0
    for p in range(theta.size):
        distance = theta[p] - centre[p]
        priors += 0.5 * problem.precision[p] * distance**2
        gradient[p] = problem.precision[p] * distance
        information[p, p] = problem.precision[p]
    for r in range(n_regions):
        for b in range(n_bins):
            if window[0] <= b < window[1]:
                continue
            fill_ratios(problem, theta, r, b, e)
            touched = n_extra > 0 and add_components(problem, theta, r, b, t, slopes)
            own = counts[r, :, b]
            f = failing(own, e, t)
            for k in range(n_scores):
                mean = f * e[k] + t[k]
                if own[k] > 0.0:
                    if not mean > 0.0:
                        return np.inf, np.inf
                    value += mean - own[k] - own[k] * np.log(mean / own[k])
                else:
                    if mean < -SLACK * f * e[k]:
                        return np.inf, np.inf
                    value += mean
            _add_bin(problem, (r, b), (f, e, t, own), slopes, touched, sums)
    return value, value + priors


@compiled
def _hold(problem, theta, gradient, fixed, held):  # type: ignore[no-untyped-def]
    """Which parameters stay: those that are fixed, and those at their bound that would cross it."""
    for p in range(theta.size):
        held[p] = fixed[p] or (problem.bounded[p] and theta[p] <= 0.0 and gradient[p] >= 0.0)


@compiled
def reduce(information, held, places, reduced):  # type: ignore[no-untyped-def]
    """Copy the information of the parameters that are not held, whose places are filled; gives their number.

    Those that nothing is known of are left where they are.
    """
    n = 0
    for p in range(held.size):
        if not held[p] and information[p, p] > 0.0:
            places[n] = p
            for i in range(n + 1):
                reduced[n, i] = information[p, places[i]]
            n += 1
    return n


@compiled
def _step(information, gradient, n_columns, held, reduced, step):  # type: ignore[no-untyped-def]
    """The Newton step of the parameters that are not held; gives its length, negative where there is none."""
    places = np.empty(held.size, np.int64)
    n = reduce(information, held, places, reduced)
    vector, solution = np.empty(n), np.empty(n)
    for i in range(n):
        vector[i] = gradient[places[i]]
        if places[i] < n_columns:
            reduced[i, i] += RIDGE
    step[:] = 0.0
    if not factorise(reduced, n):
        return -1.0
    length = solve(reduced, vector, n, solution)
    for i in range(n):
        step[places[i]] = solution[i]
    return length


@compiled
def minimise(problem, counts, centre, theta, fixed, window, tolerance, work):  # type: ignore[no-untyped-def]
    """Fisher scoring with halved steps, projected on the bounds; theta ends at the minimum.

    Gives the values of `evaluate` there, infinite where there is no valid minimum. `work` ends with the gradient and the
    information a last step, which is done, before.
    """
    size = theta.size
    n_columns = size - problem.widths.size - problem.n_shifts
    gradient, information, reduced = work
    step, trial = np.empty(size), np.empty(size)
    held = np.empty(size, np.bool_)
    likelihood, value = evaluate(problem, counts, centre, theta, window, gradient, information)
    for _ in range(NEWTON_STEPS):
        if not np.isfinite(value):
            break
        _hold(problem, theta, gradient, fixed, held)
        length = _step(information, gradient, n_columns, held, reduced, step)
        if length < 0.0:
            break
        if length < tolerance:
            for p in range(size):
                theta[p] -= step[p]
                if problem.bounded[p] and theta[p] < 0.0:
                    theta[p] = 0.0
            return likelihood - 0.5 * length, value - 0.5 * length
        fraction = 1.0
        while True:
            for p in range(size):
                trial[p] = theta[p] - fraction * step[p]
                if problem.bounded[p] and trial[p] < 0.0:
                    trial[p] = 0.0
            likelihood, new = evaluate(
                problem, counts, centre, trial, window, gradient, information
            )
            if new <= value + 1e-12 * abs(value) + 1e-12:
                break
            fraction *= 0.5
            if fraction < 1e-7:
                if length < STALLED:
                    return evaluate(problem, counts, centre, theta, window, gradient, information)
                return np.inf, np.inf
        value = new
        theta[:] = trial
    return np.inf, np.inf


@compiled
def minimise_many(problem, counts, starts, fixed, window, tolerance, values):  # type: ignore[no-untyped-def]
    """Fit counts of the shape (n, R, K, B) from `starts` (n, n_parameters), where the minima are put.

    `values` (n, 2) is filled with what `minimise` gives.
    """
    size = starts.shape[1]
    centre = np.zeros(size)
    work = (np.empty(size), np.empty((size, size)), np.empty((size, size)))
    for s in range(len(counts)):
        values[s] = minimise(problem, counts[s], centre, starts[s], fixed, window, tolerance, work)
