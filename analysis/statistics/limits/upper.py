"""The CLs upper limit of one model, through pyhf.

References:
    A. L. Read, "Presentation of search results: the CLs technique", J. Phys. G 28 (2002) 2693.
    G. Cowan et al., "Asymptotic formulae for likelihood-based tests of new physics",
    arXiv:1007.1727, equations 62-65 (q̃μ), 88-89 (bands) and 12 (q0).
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias, TypeVar

import numpy as np
import pyhf
from pyhf.infer import hypotest
from pyhf.infer.calculators import ToyCalculator
from pyhf.infer.intervals.upper_limits import toms748_scan
from scipy import stats

from oddjet.analysis.statistics.exchange.model import Channel
from oddjet.analysis.statistics.exchange.workspace import pyhf_model
from oddjet.analysis.statistics.limits.inputs import LimitInputs, LimitSettings, build_channel
from oddjet.errors import FitError
from oddjet.typing import Floats

__all__ = ["BANDS", "Limit", "upper_limit"]

Expected: TypeAlias = tuple[float, float, float, float, float]
R = TypeVar("R")

BANDS = (-2, -1, 0, 1, 2)
"""The expected limits are for backgrounds that fluctuated by so many σ."""

FIRST_MU_MAX = 20.0
LARGEST_MU_MAX = 1e5
ROOT_RTOL = 1e-7
TOY_POINTS = 11
"""Signal strengths at which toys are thrown."""
MINUIT_CALLS = 20_000
"""Evaluations after which a minimum that was not found will not be."""


@dataclasses.dataclass(frozen=True)
class Limit:
    """An upper limit on the yield of a signal.

    Attributes:
        inputs: What it was computed from.
        settings: How.
        expected: Limits on μ at −2, −1, 0, +1, +2 σ of the background. While blinded they come
            from the background estimate alone; else from the nuisance parameters fitted to data.
        observed: Limit on μ; None while blinded.
        mu_hat: Best signal strength, may be negative; None while blinded.
        mu_error: Its uncertainty.
        p0: Local p of background alone against q0; None while blinded.
    """

    inputs: LimitInputs
    settings: LimitSettings
    expected: Expected
    observed: float | None = None
    mu_hat: float | None = None
    mu_error: float | None = None
    p0: float | None = None

    @property
    def mass(self) -> float:
        """Mass of the signal [GeV]."""
        return self.inputs.mass

    @property
    def significance(self) -> float | None:
        """Local significance of p0 [σ]; None while blinded."""
        return None if self.p0 is None else float(stats.norm.isf(self.p0))

    def in_events(self, mu: float) -> float:
        """Signal events in the whole spectrum at a signal strength."""
        return mu * self.inputs.signal_yield

    def in_pb(self, mu: float) -> float | None:
        """Cross section at a signal strength [pb]: N / (ε L); None without luminosity."""
        efficiency, lumi_ifb = self.settings.efficiency, self.settings.lumi_ifb
        return None if lumi_ifb is None else self.in_events(mu) / (efficiency * lumi_ifb * 1000.0)

    def to_dict(self) -> dict[str, Any]:
        """Every number, ready for JSON."""

        def shown(mu: float | None) -> dict[str, float | None] | None:
            if mu is None:
                return None
            return {"mu": mu, "events": self.in_events(mu), "cross_section_pb": self.in_pb(mu)}

        n_toys = self.settings.n_toys
        names = ("minus_2_sigma", "minus_1_sigma", "median", "plus_1_sigma", "plus_2_sigma")
        bands = zip(names, self.expected, strict=True)
        return {
            "mass": self.mass,
            "cl": self.settings.cl,
            "method": f"CLs, {n_toys} toys a point" if n_toys else "CLs, asymptotic",
            "blinded": self.observed is None,
            "observed": shown(self.observed),
            "expected": {name: shown(mu) for name, mu in bands},
            "best_fit": shown(self.mu_hat),
            "best_fit_error": shown(self.mu_error),
            "p0": self.p0,
            "local_significance": self.significance,
            "lumi_ifb": self.settings.lumi_ifb,
            "efficiency": self.settings.efficiency,
            "inputs": self.inputs.to_dict(),
        }


def upper_limit(inputs: LimitInputs, settings: LimitSettings | None = None) -> Limit:
    """Compute the CLs upper limit on a signal, with q̃μ as test statistic.

    The asymptotic formulae hold from some ten events under the signal; below that, use toys.
    Toys are costly: 2 · n_toys · 11 of them at 2 ms without nuisance parameters, at 19 ms with
    seven in 8 bins, so 7 minutes there for 1000 toys. Limits from toys are interpolated between
    the 11 signal strengths.

    Args:
        inputs: Spectrum, signal, background and systematics.
        settings: Confidence level, toys, luminosity.

    Raises:
        FitError: A fit failed, or no signal strength is excluded.
    """
    chosen = settings or LimitSettings()
    channel = build_channel(inputs)
    observed, expected = _scan(channel, chosen)
    if inputs.observed is None:
        return Limit(inputs, chosen, expected)
    best = _discovery(channel, 2.0 * max(FIRST_MU_MAX, observed))
    return Limit(inputs, chosen, expected, observed, *best)


@contextmanager
def _pyhf(optimizer: Any) -> Iterator[None]:
    """Set pyhf's backend, and put back whatever the caller had.

    A fit that fails is tried in another way, or ends in an error that says so; pyhf's own pages about it
    are not shown.
    """
    before = pyhf.get_backend()
    pyhf.set_backend("numpy", optimizer)
    logger = logging.getLogger("pyhf")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)
        pyhf.set_backend(*before)


def _scan(channel: Channel, settings: LimitSettings) -> tuple[float, Expected]:
    """Observed and expected limits on μ."""
    level, n_toys = 1.0 - settings.cl, settings.n_toys
    observed, expected = _converged(lambda: _roots(channel, level), channel)
    if not n_toys:
        return observed, expected
    top = 1.5 * max(expected[4], observed)

    def with_toys() -> tuple[float, Expected]:
        with _seeded(settings.seed):
            return _toy_limits(channel, level, top, n_toys)

    return _converged(with_toys, channel)


def _converged(compute: Callable[[], R], channel: Channel) -> R:
    """Compute with the optimiser that finds more digits, or else with the more patient one."""
    failure: Exception | None = None
    for optimizer in ("scipy", "minuit"):
        try:
            with _pyhf(optimizer):
                return compute()
        except pyhf.exceptions.FailedMinimization as error:
            failure = error
    msg = f"a fit of signal and background in channel {channel.name} did not converge: {failure}"
    raise FitError(msg) from failure


def _roots(channel: Channel, level: float) -> tuple[float, Expected]:
    """Where CLs crosses the level; the range of μ grows until all crossings are inside."""
    mu_max = FIRST_MU_MAX
    while mu_max <= LARGEST_MU_MAX:
        model, data = pyhf_model(channel, mu_max=mu_max)
        top, band = hypotest(mu_max, data, model, return_expected_set=True)
        if max(float(top), *map(float, band)) < level:
            limit, expected = toms748_scan(data, model, 0.01, mu_max, level=level, rtol=ROOT_RTOL)
            return float(limit), _five(expected)
        mu_max *= 10.0
    msg = (
        f"channel {channel.name}: no signal strength up to {LARGEST_MU_MAX:g} is excluded; raise "
        "the signal yield at μ = 1"
    )
    raise FitError(msg)


def _five(values: Iterable[float]) -> Expected:
    first, second, third, fourth, fifth = (float(value) for value in values)
    return first, second, third, fourth, fifth


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Fix numpy's global generator, which pyhf's toys use, and put its state back."""
    before = np.random.get_state()  # noqa: NPY002
    np.random.seed(seed)  # noqa: NPY002
    try:
        yield
    finally:
        np.random.set_state(before)  # noqa: NPY002


def _toy_limits(channel: Channel, level: float, top: float, n_toys: int) -> tuple[float, Expected]:
    """Limits from CLs at `TOY_POINTS` signal strengths, interpolated in between."""
    model, data = pyhf_model(channel, mu_max=max(FIRST_MU_MAX, 2.0 * top))
    calculator = ToyCalculator(data, model, ntoys=n_toys, track_progress=False)
    points = np.linspace(top / TOY_POINTS, top, TOY_POINTS)
    table = np.empty((TOY_POINTS, 6))
    for row, mu in zip(table, points, strict=True):
        with_signal, without = (np.asarray(d.samples) for d in calculator.distributions(mu))
        # The bands are quantiles of the CLs of toys without signal.
        row[0] = _cls(np.array([calculator.teststatistic(mu)]), with_signal, without)[0]
        row[1:] = np.quantile(_cls(without, with_signal, without), stats.norm.cdf(BANDS))
    limits = [_crossing(points, column, level, n_toys, channel) for column in table.T]
    return limits[0], _five(limits[1:])


def _cls(values: Floats, with_signal: Floats, without: Floats) -> Floats:
    """CLs of values of the test statistic: shares of toys at or beyond, with over without."""

    def beyond(toys: Floats) -> Floats:
        # Toys of equal counts are equal but for the last digits of the fit.
        return np.asarray(np.mean(toys[None, :] >= values[:, None] - 1e-6, axis=1))

    return np.asarray(beyond(with_signal) / np.maximum(beyond(without), 1.0 / without.size))


def _crossing(points: Floats, values: Floats, level: float, n_toys: int, channel: Channel) -> float:
    """Where CLs from toys crosses the level; ln CLs is taken as linear between points.

    CLs falls with the strength, its estimates fluctuate: the mean of the largest falling curve
    below them and the smallest one above them is taken.
    """
    at = np.concatenate([[0.0], points])
    # No toy at or beyond is no more than few.
    logs = np.log(np.maximum(np.concatenate([[1.0], values]), 0.5 / n_toys))
    below, above = np.minimum.accumulate(logs), np.maximum.accumulate(logs[::-1])[::-1]
    logs = 0.5 * (below + above)
    beyond = np.flatnonzero(logs < np.log(level))
    if beyond.size == 0:
        msg = (
            f"channel {channel.name}: {n_toys} toys exclude no signal strength up to "
            f"{points[-1]:.3g}; throw more"
        )
        raise FitError(msg)
    i = int(beyond[0])
    fraction = (logs[i - 1] - np.log(level)) / (logs[i - 1] - logs[i])
    return float(at[i - 1] + fraction * (at[i] - at[i - 1]))


def _discovery(channel: Channel, mu_max: float) -> tuple[float, float, float]:
    """Best signal strength, its error, and the p-value of background alone.

    The best strength may be negative down to where the total expectation would vanish; where no
    minimum is found there, as happens far below zero, it is kept at zero or above.
    """
    model, data = pyhf_model(channel, mu_max=mu_max)
    with _pyhf("scipy"):
        p0 = float(hypotest(0.0, data, model, test_stat="q0"))
    signal = channel.signal.expected
    lowest = -0.9 * float(np.min(channel.background[signal > 0] / signal[signal > 0]))
    failure: Exception | None = None
    for low in (max(lowest, -mu_max), 0.0):
        bounds = list(model.config.suggested_bounds())
        bounds[model.config.poi_index] = (low, mu_max)
        try:
            with _pyhf(pyhf.optimize.minuit_optimizer(maxiter=MINUIT_CALLS)):
                best = pyhf.infer.mle.fit(data, model, par_bounds=bounds, return_uncertainties=True)
        except pyhf.exceptions.FailedMinimization as error:
            failure = error
            continue
        mu_hat, mu_error = np.asarray(best)[model.config.poi_index]
        return float(mu_hat), float(mu_error), p0
    msg = f"the fit of signal plus background in channel {channel.name} failed: {failure}"
    raise FitError(msg) from failure
