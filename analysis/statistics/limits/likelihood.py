"""The likelihood of one channel, for many data sets at once, with analytic gradients.

It is HistFactory's, as pyhf builds it from the same `Channel`: Poisson counts, unit Gaussian constraints of the
nuisance parameters θ, shapes by a polynomial inside ±1σ and straight lines outside (pyhf's ``code4p``), yields and
log-modes by exp(θ · change), and one Gaussian factor γ a bin for the statistical error of a background, which has a
closed form at every θ. Free factors that bins share are at their maximum at every θ as well (`factors.py`). Data sets
are rows of arrays, so that a thousand toys are one fit.

References:
    K. Cranmer et al., "HistFactory", CERN-OPEN-2012-016.
    R. Barlow and C. Beeston, CPC 77 (1993) 219; J. S. Conway, arXiv:1103.0354 (one γ a bin).
    D. Marquardt, J. SIAM 11 (1963) 431 (damped steps); Y. Dauphin et al., arXiv:1406.2572 (they leave saddles).
"""

from __future__ import annotations

import dataclasses

import numpy as np

from oddjet.analysis.statistics.exchange.model import Channel
from oddjet.analysis.statistics.limits.factors import BinFactors
from oddjet.analysis.statistics.limits.samples import FLOOR, Rates, SampleRates
from oddjet.errors import FitError
from oddjet.typing import Bools, Floats, Ints

__all__ = ["Data", "Fits", "Likelihood", "guarded_fit"]

LEAST_FACTOR = 1e-10
MAX_STEPS = 200
PRECISION, TOYS_PRECISION = 1e-9, 1e-6
"""Distances to the minimum, in units of −ln L, at which a fit of one data set and of many has converged."""
FIRST_DAMPING, LARGEST_DAMPING = 1e-4, 1e10
SADDLE = 1e-3
"""A curvature below minus this is that of no minimum; parameters have a size of one."""
ACCEPTED = 1e-4
"""Distance to the minimum, in units of −ln L, of a fit that may be used: 0.014 σ."""
LARGEST_DEFICIT = 10.0
"""The signal strength is not fitted below minus this many times the size of the limit."""
FEW = 0.01
"""Part of the toys whose fits may be farther from the minimum."""


@dataclasses.dataclass(frozen=True)
class Data:
    """Data sets with their auxiliary measurements.

    Attributes:
        counts: Events a bin, shape (n_sets, n_bins).
        centres: Measured values of the nuisance parameters, shape (n_sets, n_nuisances).
        factors: Measured factors γ of the bins' statistical errors, shape (n_sets, n_bins).
    """

    counts: Floats
    centres: Floats
    factors: Floats

    def of(self, rows: Bools | Ints) -> Data:
        """Take some of the sets."""
        return Data(self.counts[rows], self.centres[rows], self.factors[rows])


@dataclasses.dataclass(frozen=True)
class Fits:
    """Minima, one a data set.

    Attributes:
        parameters: μ and the nuisance parameters, shape (n_sets, 1 + n_nuisances).
        values: −ln L over that of the saturated model, shape (n_sets,).
        distances: Estimated distance to the minimum in −ln L, shape (n_sets,).
        hessians: Second derivatives of −ln L, shape (n_sets, 1 + n_nuisances, 1 + n_nuisances).
    """

    parameters: Floats
    values: Floats
    distances: Floats
    hessians: Floats

    @property
    def mu(self) -> Floats:
        """Signal strengths, shape (n_sets,)."""
        return self.parameters[:, 0]

    @property
    def far(self) -> Bools:
        """Which fits are too far from their minimum, shape (n_sets,); far above 1, −ln L itself is less exact."""
        return ~(self.distances < ACCEPTED * (1.0 + np.abs(self.values) / 1000.0))

    def of(self, rows: Bools) -> Fits:
        """Take those of some data sets."""
        return Fits(*(array[rows] for array in vars(self).values()))

    def replaced(self, rows: Bools, others: Fits) -> Fits:
        """Put other minima in the place of those of some data sets."""
        arrays = [array.copy() for array in vars(self).values()]
        for array, new in zip(arrays, vars(others).values(), strict=True):
            array[rows] = new
        return Fits(*arrays)

    def better_of(self, other: Fits) -> Fits:
        """Take of each data set the lower minimum."""
        first = self.values <= other.values
        arrays = (
            np.where(first.reshape(-1, *([1] * (mine.ndim - 1))), mine, theirs)
            for mine, theirs in zip(vars(self).values(), vars(other).values(), strict=True)
        )
        return Fits(*arrays)


@dataclasses.dataclass(frozen=True)
class _State:
    """What is expected at some parameters: of shape (n_sets, n_bins), `slopes` (n_sets, n_parameters, n_bins).

    `variance` is that of the events from the background's statistical errors, `rates` those of each sample.
    """

    events: Floats
    factors: Floats
    variance: Floats
    slopes: Floats
    rates: list[Rates]


class Likelihood:
    """−ln L of data sets under one channel, and its minima.

    Args:
        channel: The model.
        free: Nuisance parameters that nothing else measures, such as those of a function that is fitted to
            these very bins: their centres do not fluctuate in toys.
    """

    def __init__(self, channel: Channel, *, free: frozenset[str] = frozenset()) -> None:
        self.names = channel.nuisances
        loose = channel.unconstrained
        self.measured = np.array([name not in free | loose for name in self.names], dtype=np.bool_)
        self.precision = np.array([float(name not in loose) for name in self.names])
        self.n_bins, self.n_parameters = channel.n_bins, 1 + len(self.names)
        self.background = channel.background
        self.parts = [SampleRates(sample, self.names) for sample in channel.samples]
        self.with_errors = [sample.stat_errors is not None for sample in channel.samples]
        with_errors = [s for s in channel.samples if s.stat_errors is not None]
        nominal = np.sum([s.expected for s in with_errors], axis=0) + np.zeros(self.n_bins)
        errors = np.sum(
            [s.stat_errors**2 for s in with_errors if s.stat_errors is not None], axis=0
        )
        self.factored = [bool(sample.factors) for sample in channel.samples]
        names = next((sample.factors for sample in channel.samples if sample.factors), None)
        self.bin_factors = None if names is None else BinFactors(names)
        self.relative = np.sqrt(errors + np.zeros(self.n_bins)) / np.where(
            nominal > 0, nominal, 1.0
        )

    def data(self, counts: Floats) -> Data:
        """Data sets of shape (n_sets, n_bins) whose auxiliary measurements are the nominal values."""
        counts = np.atleast_2d(np.asarray(counts, dtype=np.float64))
        return Data(counts, np.zeros((len(counts), len(self.names))), np.ones_like(counts))

    def expected(self, parameters: Floats, data: Data) -> tuple[Floats, Floats]:
        """Events and factors γ, both of shape (n_sets, n_bins), at fitted parameters."""
        state = self.state(parameters, data)
        return state.events, state.factors

    def asimov(self, parameters: Floats, data: Data) -> Data:
        """The data set that a fit expects, auxiliary measurements included."""
        events, factors = self.expected(parameters, data)
        return Data(events, parameters[:, 1:].copy(), factors)

    def draw(self, parameters: Floats, data: Data, n: int, rng: np.random.Generator) -> Data:
        """Draw `n` toys of what one fit, shape (1, 1 + n_nuisances), expects of `data`.

        What was measured elsewhere is measured anew.
        """
        events, factors = self.expected(parameters, data)
        centres = np.where(
            self.measured,
            rng.normal(parameters[0, 1:], 1.0, (n, len(self.names))),
            data.centres[0],
        )
        measured = rng.normal(factors[0], self.relative, (n, self.n_bins))
        return Data(rng.poisson(events[0], (n, self.n_bins)).astype(np.float64), centres, measured)

    def fit(
        self, data: Data, start: Floats, *, mu: float | None = None, lowest: float = 0.0
    ) -> Fits:
        """Minimise −ln L of each data set by damped Newton steps.

        Args:
            data: The sets.
            start: Parameters to begin with, shape (n_sets or 1, 1 + n_nuisances).
            mu: Signal strength that is kept fixed; None fits it.
            lowest: Smallest signal strength allowed.

        Returns:
            The lowest points reached; `Fits.distances` says how far from the minimum they may be.
        """
        n_sets = len(data.counts)
        x = np.broadcast_to(start, (n_sets, self.n_parameters)).copy()
        x[:, 0] = np.maximum(x[:, 0], lowest) if mu is None else mu
        value, gradient, hessian = self._derivatives(x, data)
        damping = np.full(n_sets, FIRST_DAMPING)
        fixed, precision = (mu is not None, lowest), PRECISION if n_sets == 1 else TOYS_PRECISION
        live = np.ones(n_sets, dtype=np.bool_)
        for _ in range(MAX_STEPS):
            sets = np.flatnonzero(live)
            at, lam = x[sets], damping[sets]
            step = _newton(at, gradient[sets], hessian[sets], lam, fixed)
            trial = at - step
            if mu is None:
                trial[:, 0] = np.maximum(trial[:, 0], lowest)
            new = self._derivatives(trial, data.of(sets))
            better = new[0] <= value[sets] + 1e-13 * np.abs(value[sets])
            gain = 0.5 * np.abs(np.sum(gradient[sets] * (at - trial), axis=1))
            damping[sets] = np.where(better, np.maximum(lam / 10.0, 1e-12), 10.0 * lam)
            moved = sets[better]
            x[moved], value[moved] = trial[better], new[0][better]
            gradient[moved], hessian[moved] = new[1][better], new[2][better]
            close = (gain < precision) & (lam < 1e-1)
            # A small step is no sign of a minimum where it led to a saddle, or to a flat direction.
            last = sets[close]
            close[close] = _distances(x[last], gradient[last], hessian[last], fixed) < ACCEPTED
            live[sets] = ~(close | (damping[sets] > LARGEST_DAMPING))
            if not live.any():
                break
        return Fits(x, value, _distances(x, gradient, hessian, fixed), hessian)

    def second_start(self, data: Data) -> Floats:
        """Nominal nuisance parameters, and the signal of the excess over them, one row a data set."""
        start = np.zeros((len(data.counts), self.n_parameters))
        state = self.state(start, data)
        signal = state.slopes[:, 0]
        weight = signal / (state.events + state.variance)
        information = np.maximum(np.sum(weight * signal, axis=1), FLOOR)
        excess = np.sum(weight * (data.counts - state.events), axis=1) / information
        start[:, 0] = np.maximum(excess, 0.0)
        return start

    def state(self, x: Floats, data: Data) -> _State:
        """What is expected at some parameters, with the factors γ that fit best there."""
        rates = [part.rates(x) for part in self.parts]
        if self.bin_factors is not None:
            rates = self._scaled(rates, data.counts, self.bin_factors)
        events, unit = np.zeros((2, len(x), self.n_bins))
        for rate, errors in zip(rates, self.with_errors, strict=True):
            (unit if errors else events)[...] += rate.scale * rate.unit
        factors, variance = data.factors, np.zeros(self.n_bins)
        if any(self.with_errors):
            squares = self.relative**2
            # The positive root of γ² + (u v + s/u − g) γ + (s − n) v − g s/u = 0: d(−ln L)/dγ = 0.
            ratio = events / np.maximum(unit, FLOOR)
            half = 0.5 * (unit * squares + ratio - factors)
            constant = (events - data.counts) * squares - factors * ratio
            root = np.sqrt(np.maximum(half**2 - constant, 0.0))
            factors = np.where(squares > 0, np.maximum(root - half, LEAST_FACTOR), 1.0)
            variance = unit**2 * squares
        slopes = np.zeros((len(x), self.n_parameters, self.n_bins))
        for part, rate, errors in zip(self.parts, rates, self.with_errors, strict=True):
            part.add_slopes(rate, factors if errors else None, slopes)
        return _State(np.maximum(events + factors * unit, FLOOR), factors, variance, slopes, rates)

    def _scaled(self, rates: list[Rates], counts: Floats, factors: BinFactors) -> list[Rates]:
        """Give the sample with free factors of bins those that fit best."""
        at = self.factored.index(True)
        others = [rate.scale * rate.unit for i, rate in enumerate(rates) if i != at]
        added = np.sum(others, axis=0) + np.zeros_like(counts)
        scale = factors.best(counts, rates[at].unit, added)
        return [*rates[:at], dataclasses.replace(rates[at], scale=scale), *rates[at + 1 :]]

    def lowest(self, fits: Fits, data: Data) -> float:
        """Signal strength below which the expectation of a bin would vanish, of the fit of one data set."""
        if self.bin_factors is not None:
            return -LARGEST_DEFICIT  # a factor rises where there is less than no signal
        state = self.state(fits.parameters, data)
        signal = state.slopes[0, 0]
        return -0.9 * float(np.min(state.events[0, signal > 0] / signal[signal > 0]))

    def _derivatives(self, x: Floats, data: Data) -> tuple[Floats, Floats, Floats]:
        """−ln L (n_sets,), its gradient, and its second derivatives."""
        state = self.state(x, data)
        events, factors, slopes, counts = state.events, state.factors, state.slopes, data.counts
        filled = counts > 0
        logs = np.log(np.where(filled, counts, 1.0) / events)
        pulls = x[:, 1:] - data.centres
        value = np.sum(events - counts + np.where(filled, counts * logs, 0.0), axis=1)
        value += 0.5 * np.sum(self.precision * pulls**2, axis=1)
        width = np.where(self.relative > 0, self.relative, 1.0)
        value += 0.5 * np.sum(((factors - data.factors) / width) ** 2 * (self.relative > 0), axis=1)
        first = np.where(events > FLOOR, 1.0 - counts / events, 0.0)
        gradient = np.einsum("bpn,bn->bp", slopes, first)
        gradient[:, 1:] += self.precision * pulls
        weights = counts / (events**2 + counts * state.variance)
        hessian = (slopes * weights[:, None, :]) @ slopes.transpose(0, 2, 1)
        diagonal = np.arange(1, self.n_parameters)
        hessian[:, diagonal, diagonal] += self.precision
        for part, rates, errors in zip(self.parts, state.rates, self.with_errors, strict=True):
            part.add_curvature(rates, first * factors if errors else first, hessian)
        if self.bin_factors is not None:
            at = self.factored.index(True)
            unit, rows = state.rates[at].unit, self.parts[at].rows
            mixed = slopes * (weights * unit)[:, None, :]
            mixed[:, rows] += state.rates[at].slopes * first[:, None, :]
            hessian -= self.bin_factors.absorbed(mixed, weights * unit**2, state.rates[at].scale)
        return np.where(np.isfinite(value), value, np.inf), gradient, hessian


def _pinned(
    x: Floats, gradient: Floats, hessian: Floats, fixed: tuple[bool, float]
) -> tuple[Floats, Floats]:
    """Gradient and Hessian without μ where it is fixed, or at its lower end and would go below."""
    always, lowest = fixed
    pinned = always | ((x[:, 0] <= lowest) & (gradient[:, 0] >= 0))
    gradient, hessian = gradient.copy(), hessian.copy()
    gradient[pinned, 0] = 0.0
    hessian[pinned, 0, :] = 0.0
    hessian[pinned, :, 0] = 0.0
    hessian[pinned, 0, 0] = 1.0
    return gradient, hessian


def _newton(
    x: Floats, gradient: Floats, hessian: Floats, damping: Floats, fixed: tuple[bool, float]
) -> Floats:
    """Damped Newton steps, with curvatures taken as positive: they go downhill and leave saddles."""
    gradient, hessian = _pinned(x, gradient, hessian, fixed)
    finite = np.asarray(np.isfinite(hessian).all(axis=(1, 2)))
    values, vectors = np.linalg.eigh(np.where(finite[:, None, None], hessian, 0.0))
    size = np.abs(values)
    along = np.einsum("bij,bi->bj", vectors, gradient) / (
        size + damping[:, None] * np.maximum(size, 1.0)
    )
    return np.asarray(np.einsum("bij,bj->bi", vectors, along))


def _distances(x: Floats, gradient: Floats, hessian: Floats, fixed: tuple[bool, float]) -> Floats:
    """What a last Newton step would gain; infinite at a saddle, and where numbers are not finite."""
    gradient, hessian = _pinned(x, gradient, hessian, fixed)
    finite = np.isfinite(hessian).all(axis=(1, 2)) & np.isfinite(gradient).all(axis=1)
    distances = np.full(len(x), np.inf)
    values, vectors = np.linalg.eigh(hessian[finite])
    along = np.einsum("bij,bi->bj", vectors, gradient[finite])
    flat = 1e-12 * np.maximum(values.max(axis=1, initial=0.0, keepdims=True), 1.0)
    gains = 0.5 * np.sum(along**2 / np.maximum(values, flat), axis=1)
    distances[finite] = np.where((values < -SADDLE).any(axis=1), np.inf, gains)
    return distances


def guarded_fit(
    likelihood: Likelihood,
    data: Data,
    start: Floats,
    *,
    mu: float | None = None,
    lowest: float = 0.0,
    what: str,
) -> Fits:
    """Fit data sets from two starts, and take the lower minimum of each.

    Every fit of a limit comes through here. The second start has the nuisance parameters at their nominal
    values, and the signal that the excess over them suggests: with few events there may be two minima,
    one with the events of the window as signal and one with them as background.

    Args:
        likelihood: The model.
        data: The sets.
        start: Parameters to begin with, shape (n_sets or 1, 1 + n_nuisances).
        mu: Signal strength that is kept fixed; None fits it.
        lowest: Smallest signal strength allowed.
        what: What is fitted, for messages.

    Raises:
        FitError: Neither start came close to a minimum, for a data set or for more than 1 % of toys.
    """
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        fits = likelihood.fit(data, start, mu=mu, lowest=lowest)
        second = likelihood.second_start(data)
        fits = fits.better_of(likelihood.fit(data, second, mu=mu, lowest=lowest))
        far = fits.far
    if far.sum() <= FEW * far.size:
        return fits
    at = int(np.flatnonzero(far)[0])
    if np.isfinite(fits.values[at]):
        reason = f"ended {fits.distances[at]:.2g} from the minimum of −ln L after {MAX_STEPS} steps"
    else:
        reason = "met no finite likelihood"
    strength = "free" if mu is None else f"{mu:.3g} reference yields"
    number = f"{int(far.sum())} of {far.size} fits" if far.size > 1 else "the fit"
    msg = (
        f"{number} of {what} (signal {strength}, {data.counts[at].sum():g} events in {likelihood.n_bins} bins, "
        f"{likelihood.n_parameters - 1} nuisance parameters) {reason}, from two starts: use wider bins, a "
        "background function with fewer parameters, or smaller uncertainties"
    )
    raise FitError(msg)
