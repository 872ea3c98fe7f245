"""Fits of `model.ChannelModel`: one table with all that is known of it, or many counts at once."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np

from oddjet.analysis.statistics.channels import kernels
from oddjet.analysis.statistics.channels.model import ChannelModel
from oddjet.errors import FitError
from oddjet.typing import Bools, Floats

__all__ = ["ChannelFit", "fit", "fit_many", "problem_of"]

EXACT = 1e-10
"""Twice the distance to the minimum in units of the log-likelihood, where a single fit ends."""
QUICK = 1e-4
"""And where one of many does."""
DERIVATIVE = 1e-4
"""Part of a parameter's error over which the gradient's derivative is taken."""
START = 0.5
"""Jets that an empty score bin is given to begin with."""


@dataclasses.dataclass(frozen=True, eq=False)
class ChannelFit:
    """The maximum of the likelihood.

    Attributes:
        model: What was fitted.
        values: Of all parameters, in the order of `model.names`; norms as factors.
        covariance: Theirs, shape (n_parameters, n_parameters): the inverse of the second derivatives; rows of fixed
            parameters are 0. That of a norm at 0 is of the derivatives above it. The variance of a parameter that
            changes nothing, such as the norm of a component without jets, is infinite.
        failing: F, jets of the smooth background that fail, shape (n_regions, n_bins).
        deviance: −2 ln of the likelihood of the counts over that of the saturated model.
        penalty: −2 ln of the priors over that at their middle.
        expected: Means, of the shape of the counts.
    """

    model: ChannelModel
    values: Floats
    covariance: Floats
    failing: Floats
    deviance: float
    penalty: float
    expected: Floats

    @property
    def twice_nll(self) -> float:
        """−2 ln L: `deviance` and `penalty`. Differences between fits are those of any other implementation."""
        return self.deviance + self.penalty

    def value(self, name: str) -> float:
        """A parameter by its name: the norm of a component, or a shift in standard deviations."""
        return float(self.values[self.model.place(name)])

    def error(self, name: str) -> float:
        """Its standard deviation."""
        place = self.model.place(name)
        return float(np.sqrt(self.covariance[place, place]))


def fit(
    model: ChannelModel,
    counts: Floats | None = None,
    *,
    fixed: Mapping[str, float] | None = None,
    start: Floats | None = None,
    window: tuple[int, int] = (0, 0),
) -> ChannelFit:
    """Maximise the likelihood of one table.

    Args:
        model: The model.
        counts: Jets, shape (n_regions, n_scores, n_bins), numbers that are not whole allowed (Asimov); those of
            the model's table if None.
        fixed: Parameters that are not fitted, with their values.
        start: Values to begin with, of all parameters.
        window: First mass bin that is left out, and one past the last; none by default.

    Raises:
        FitError: A name is unknown, a count is below zero or not finite, or there is no valid maximum.
    """
    counts = _checked(model, model.table.counts if counts is None else counts)
    values = (start_values(model, counts) if start is None else start).copy()
    held = _hold(model, fixed or {}, values)
    theta, problem = _internal(model, values), problem_of(model)
    work = (np.empty(theta.size), np.empty((theta.size, theta.size)), np.empty((theta.size,) * 2))
    likelihood, value = kernels.minimise(
        problem, counts, np.zeros(theta.size), theta, held, window, EXACT, work
    )
    if not np.isfinite(value):
        msg = (
            f"channels: no valid maximum of the likelihood of {counts.sum():g} jets in "
            f"{' × '.join(map(str, counts.shape))} regions, score bins and mass bins with "
            f"{', '.join(c.name for c in model.components) or 'no components'}: "
            "loosen the cuts, or use fewer of them and fewer bins of pt"
        )
        raise FitError(msg)
    values = _external(model, theta)
    failing = _failing(model, counts, values)
    return ChannelFit(
        model,
        values,
        _covariance(problem, counts, theta, held, window) * _jacobian(model, values),
        failing,
        2.0 * likelihood,
        2.0 * (value - likelihood),
        model.expected(values, failing),
    )


def fit_many(
    model: ChannelModel,
    counts: Floats,
    *,
    fixed: Mapping[str, float] | None = None,
    window: tuple[int, int] = (0, 0),
) -> tuple[Floats, Floats]:
    """Maximise the likelihood of many tables of the same model.

    Args:
        model: The model.
        counts: Jets, shape (n, n_regions, n_scores, n_bins).
        fixed: Parameters that are not fitted, with their values.
        window: First mass bin that is left out, and one past the last.

    Returns:
        Values of all parameters, shape (n, n_parameters), and `ChannelFit.twice_nll`, shape (n,), infinite where
        there is no valid maximum.

    Raises:
        FitError: A name is unknown, or a count is below zero or not finite.
    """
    counts = _checked(model, counts)
    starts = np.stack([start_values(model, own) for own in counts])
    held = _hold(model, fixed or {}, starts.T)
    starts = np.stack([_internal(model, values) for values in starts])
    values = np.empty((len(counts), 2))
    kernels.minimise_many(problem_of(model), counts, starts, held, window, QUICK, values)
    return np.stack([_external(model, theta) for theta in starts]), 2.0 * values[:, 1]


def start_values(model: ChannelModel, counts: Floats) -> Floats:
    """Where fits begin: shares as over all masses, no signal, all else as expected."""
    values = np.zeros(len(model.names))
    jets = np.maximum(counts.sum(axis=2), START)
    for p in np.flatnonzero(model.precision == 0):
        regions, scores = np.nonzero(model.design[:, :, :, p].any(axis=2))
        values[p] = np.mean(np.log(jets[regions, scores] / jets[regions, 0]))
    for i, component in enumerate(model.components, model.precision.size):
        values[i] = 0.0 if component.is_signal else 1.0
    return values


def problem_of(model: ChannelModel) -> kernels.Problem:
    """The arrays of a model, for the compiled fits."""
    used = model.used
    design = np.zeros((*model.table.shape, used.shape[2]))
    for r, k, i in np.argwhere(used >= 0):
        design[r, k, :, i] = model.design[r, k, :, used[r, k, i]]
    places = {name: h for h, name in enumerate(model.shifts)}
    effects, down, up, nominal, widths = [], [], [], [], []
    for j, component in enumerate(model.components):
        nominal.append(component.contents)
        widths.append(component.constraint or 0.0)
        for name, (low, high) in component.shifts.items():
            effects.append((j, places[name]))
            down.append(low - component.contents)
            up.append(high - component.contents)

    def stacked(arrays: list[Floats]) -> Floats:
        """Stack what has the shape (R, K, B) as (n, R, B, K)."""
        return np.ascontiguousarray(
            np.swapaxes(np.reshape(arrays, (len(arrays), *model.table.shape)), 2, 3).astype(
                np.float64
            )
        )

    widths_given = model.prior_widths[model.precision.size :]
    unit = np.where(np.isinf(widths_given), 0.0, 1.0)
    return kernels.Problem(
        used,
        design,
        np.r_[model.precision, unit],
        stacked(nominal),
        np.array(widths, dtype=np.float64),
        np.array(effects, dtype=np.int64).reshape(-1, 2),
        stacked(down),
        stacked(up),
        model.is_free_norm,
        len(model.shifts),
    )


def _checked(model: ChannelModel, counts: Floats) -> Floats:
    counts = np.ascontiguousarray(counts, dtype=np.float64)
    if counts.shape[-3:] != model.table.shape or not np.all(np.isfinite(counts) & (counts >= 0)):
        msg = (
            f"channels: expected numbers of jets of the shape {model.table.shape}, finite and not below zero, received "
            f"the shape {counts.shape} and a smallest of {np.min(counts, initial=np.inf):g}: give counts, not densities"
        )
        raise FitError(msg)
    return counts


def _hold(model: ChannelModel, fixed: Mapping[str, float], values: Floats) -> Bools:
    """Write fixed parameters into the values (the first axis), and say which they are."""
    held = np.zeros(len(model.names), np.bool_)
    for name, value in fixed.items():
        place = model.place(name)
        norm = place - model.precision.size
        constrained = (
            0 <= norm < len(model.components) and model.components[norm].constraint is not None
        )
        if constrained and not value > 0:
            msg = (
                f"channels: '{name}' has a prior on ln(norm): expected a norm above 0, received {value:g}: leave the "
                "component out of the model instead"
            )
            raise FitError(msg)
        held[place] = True
        values[place] = value
    return held


def _internal(model: ChannelModel, values: Floats) -> Floats:
    """Parameters as the compiled fits know them: ln(norm) over its prior's width where it has one."""
    theta = np.array(values, dtype=np.float64)
    for i, component in enumerate(model.components, model.precision.size):
        if component.constraint is not None:
            theta[i] = np.log(theta[i]) / component.constraint
    return theta


def _external(model: ChannelModel, theta: Floats) -> Floats:
    values = theta.copy()
    for i, component in enumerate(model.components, model.precision.size):
        if component.constraint is not None:
            values[i] = np.exp(component.constraint * theta[i])
    return values


def _failing(model: ChannelModel, counts: Floats, values: Floats) -> Floats:
    ratios, added = model.ratios(values), model.added(values)
    n_regions, _, n_bins = model.table.shape
    return np.array(
        [
            [
                kernels.failing(
                    *(np.ascontiguousarray(a[r, :, b]) for a in (counts, ratios, added))
                )
                for b in range(n_bins)
            ]
            for r in range(n_regions)
        ]
    )


def _covariance(
    problem: kernels.Problem,
    counts: Floats,
    theta: Floats,
    held: Bools,
    window: tuple[int, int],
) -> Floats:
    """Inverse of the second derivatives, of which the jets that fail are profiled; of the information if it has none."""
    size = theta.size
    gradient, information = np.empty(size), np.empty((size, size))

    def slopes(at: Floats) -> Floats:
        value = kernels.evaluate(
            problem, counts, np.zeros(size), at, window, gradient, information
        )[1]
        return gradient.copy() if np.isfinite(value) else np.full(size, np.nan)

    middle = slopes(theta)
    fisher = np.tril(information) + np.tril(information, -1).T
    known = np.diag(fisher) > 0
    free = np.flatnonzero(~held & known)
    steps = DERIVATIVE / np.sqrt(np.maximum(np.diag(fisher), 1e-30))
    hessian = np.zeros((size, size))
    for p in free:
        step = np.zeros(size)
        step[p] = min(steps[p], 1.0)
        at_bound = problem.bounded[p] and theta[p] < step[p]
        low, distance = (middle, step[p]) if at_bound else (slopes(theta - step), 2.0 * step[p])
        hessian[p] = (slopes(theta + step) - low) / distance
    covariance = np.diag(np.where(~held & ~known, np.inf, 0.0))
    for matrix in (0.5 * (hessian + hessian.T), fisher):
        part = matrix[np.ix_(free, free)]
        if np.isfinite(part).all() and np.all(np.linalg.eigvalsh(part) > 0):
            covariance[np.ix_(free, free)] = np.linalg.inv(part)
            break
    else:
        covariance[np.ix_(free, free)] = np.linalg.pinv(fisher[np.ix_(free, free)], hermitian=True)
    return covariance


def _jacobian(model: ChannelModel, values: Floats) -> Floats:
    """Derivatives of parameters by what the compiled fits know them as, of pairs."""
    factor = np.ones(values.size)
    for i, component in enumerate(model.components, model.precision.size):
        if component.constraint is not None:
            factor[i] = component.constraint * values[i]
    return np.outer(factor, factor)
