"""Local p-values of all windows of many spectra at once: the same for data and pseudo-experiments."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt
from scipy import special, stats

from oddjet.analysis.statistics.background.many import BatchModel
from oddjet.analysis.statistics.bumphunt.pvalues import on_off_p, poisson_p, weighted_p
from oddjet.analysis.statistics.bumphunt.windows import Windows, WindowTable
from oddjet.typing import Floats, Ints

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = [
    "FittedBeside",
    "GivenBackground",
    "SignalFitted",
    "Statistic",
    "Tested",
    "chi2_tail",
    "make_tables",
]

MOST_REPLICAS = 50
"""Replicas of a calibration whose variance is taken."""


@dataclasses.dataclass(frozen=True)
class Tested:
    """Every window of n times n_spectra spectra; arrays have the shape (n, n_spectra, n_windows).

    Attributes:
        expected: Background events; NaN where no fit is valid.
        error: Their uncertainty.
        local_p: Local p; 1 where there is no excess, NaN where no fit is valid.
        fit_p: Goodness of fit beside the window (of the whole fit, for a signal): tail of the deviance
            under χ²; NaN where no fit is valid or no degree of freedom is left.
        chosen: Which function was used, in `Statistic.functions`.
    """

    observed: Floats
    expected: Floats
    error: Floats
    local_p: Floats
    fit_p: Floats
    chosen: npt.NDArray[np.int8]


class Statistic(Protocol):
    """How the windows of spectra are tested."""

    @property
    def windows(self) -> Windows:
        """The windows."""

    @property
    def functions(self) -> tuple[str, ...]:
        """Names of the functions; the last is empty, for none."""

    @property
    def cheap(self) -> bool:
        """Whether a million pseudo-experiments take less than a minute."""

    def test(self, spectra: Floats, /) -> Tested:
        """Test every window of spectra with contents of shape (n, n_spectra, n_bins)."""

    def test_toys(self, spectra: Floats, rng: np.random.Generator, /) -> Tested:
        """The same for pseudo-experiments: all that was drawn by chance is drawn again."""


def make_tables(
    statistic: Statistic, tested: Tested, exceeding: Floats, as_bad: Floats
) -> list[WindowTable]:
    """All that is known of the windows of the data, one table a spectrum.

    Args:
        statistic: How they were tested.
        tested: The data, n = 1.
        exceeding: Local p from pseudo-experiments, shape (n_spectra, n_windows).
        as_bad: Goodness of fit from pseudo-experiments, of the same shape.
    """
    windows, expected = statistic.windows, tested.expected[0]
    positive = np.where(expected > 0, expected, np.inf)
    fixed = np.where(np.isnan(expected), np.nan, poisson_p(tested.observed[0], positive))
    return [
        WindowTable(
            low=windows.low,
            high=windows.high,
            width=windows.widths,
            observed=tested.observed[0, i],
            expected=expected[i],
            expected_error=tested.error[0, i],
            local_p=tested.local_p[0, i],
            local_p_fixed_background=fixed[i],
            local_p_toys=exceeding[i],
            goodness_of_fit_p=tested.fit_p[0, i],
            goodness_of_fit_p_toys=np.where(np.isnan(tested.fit_p[0, i]), np.nan, as_bad[i]),
            function=tuple(statistic.functions[index] for index in tested.chosen[0, i]),
        )
        for i in range(len(expected))
    ]


def chi2_tail(deviance: Floats, ndf: npt.ArrayLike) -> Floats:
    """Goodness of fit; NaN without a fit or a degree of freedom."""
    ndf = np.broadcast_to(np.asarray(ndf, dtype=np.float64), deviance.shape)
    return np.where(ndf > 0, special.chdtrc(np.maximum(ndf, 1.0), deviance), np.nan)


@dataclasses.dataclass(frozen=True)
class GivenBackground:
    """Each window of one spectrum against a background that is given.

    It is taken as what an auxiliary measurement gave: b/w events of weight w a bin.

    Attributes:
        windows: The windows; each holds expected events, or a weight.
        background: Expected events b, shape (n_bins,); zero where none are known.
        weight: Their weight w = Σw²/Σw, shape (n_bins,); zero where b is known exactly.
        null: What data and background together say is expected without a signal, shape (n_bins,);
            pseudo-experiments draw both around it.
    """

    windows: Windows
    background: Floats
    weight: Floats
    null: Floats
    functions: tuple[str, ...] = ("",)

    @classmethod
    def make(
        cls, windows: Windows, background: Floats, weight: Floats, counts: Floats
    ) -> GivenBackground:
        """Take the null from counts (n_bins,): the likeliest mean of n and of b/w events together."""
        null = (counts * weight + background) / (1.0 + weight)
        return cls(windows, background, weight, null)

    @property
    def cheap(self) -> bool:
        """See `Statistic.cheap`."""
        return not self.weight.any()

    def test(self, spectra: Floats) -> Tested:
        """See `Statistic.test`."""
        return self._test(spectra, np.broadcast_to(self.background, spectra.shape))

    def test_toys(self, spectra: Floats, rng: np.random.Generator) -> Tested:
        """See `Statistic.test_toys`."""
        if self.cheap:
            return self.test(spectra)
        weight = np.where(self.weight > 0, self.weight, 1.0)
        drawn = rng.poisson(self.null / weight, size=spectra.shape) * weight
        return self._test(spectra, np.where(self.weight > 0, drawn, self.background))

    def _test(self, spectra: Floats, background: Floats) -> Tested:
        observed, expected = self.windows.sums(spectra), self.windows.sums(background)
        if self.cheap:
            p, variance = self._poisson_p(observed, expected), np.zeros(expected.shape)
        else:
            variance = self.windows.sums(background * self.weight)
            typical = self.windows.sums(self.weight) / self.windows.widths
            weight = np.divide(
                variance,
                expected,
                out=np.broadcast_to(typical, expected.shape).copy(),
                where=expected > 0,
            )
            p = weighted_p(observed, expected, weight)
        fit_p = self._fit_p(spectra, background)
        chosen = np.zeros(p.shape, dtype=np.int8)
        return Tested(observed, expected, np.sqrt(variance), p, fit_p, chosen)

    def _poisson_p(self, observed: Floats, expected: Floats) -> Floats:
        """Work p out once for each whole number that occurs in a window, and look it up."""
        numbers = np.rint(observed).astype(np.int64)
        lowest, highest = numbers.min(axis=0), numbers.max(axis=0)
        p = np.empty(observed.shape)
        for place in np.ndindex(lowest.shape):
            mean = expected[(0, *place)]
            table = poisson_p(np.arange(lowest[place], highest[place] + 1), mean)
            p[(slice(None), *place)] = table[numbers[(slice(None), *place)] - lowest[place]]
        return p

    def _fit_p(self, spectra: Floats, background: Floats) -> Floats:
        """How well the background describes what is beside each window; bins without any left out."""
        usable = (self.background > 0) | (self.weight > 0)
        w = self.weight
        null = (spectra * w + background) / (1.0 + w)
        known = np.where(null > 0, null, 1.0)
        own = np.divide(
            special.xlogy(background, background / known),
            w,
            out=np.zeros(background.shape),
            where=w > 0,
        )
        # n and b/w Poisson numbers of one mean, or n alone where b is known.
        exact = np.where(w > 0, 0.0, background - spectra)
        deviances = 2.0 * (exact + special.xlogy(spectra, spectra / known) + own)
        deviances = np.where(usable, deviances, 0.0)
        beside = deviances.sum(axis=-1, keepdims=True) - self.windows.sums(deviances)
        ndf = usable.sum() - self.windows.sums(usable)
        return chi2_tail(np.maximum(beside, 0.0), ndf)


@dataclasses.dataclass(frozen=True)
class Refitted(ABC):
    """Windows that are tested by fits, the choice of the function included.

    Attributes:
        model: The functions of the background.
        starts: Where fits of each spectrum begin, shape (n_spectra, n_functions, 6).
        calibration: Variance of observed less expected events that comes of the calibration of cuts, in each
            window, shape (n_spectra, n_windows): what fits beside it do not follow.
    """

    model: BatchModel
    windows: Windows
    starts: Floats
    calibration: Floats | float = 0.0

    def with_calibration(self, expected: Floats) -> Self:
        """Take the variance from spectra that are expected after replicas of the calibration.

        Args:
            expected: Shape (n_replicas, n_spectra, n_bins); with one replica nothing was calibrated.
        """
        if len(expected) < 2:
            return self
        tested = self.test(expected[:MOST_REPLICAS])
        excess = tested.observed - tested.expected
        known = np.isfinite(excess)
        n = np.maximum(known.sum(axis=0), 1)
        mean = np.where(known, excess, 0.0).sum(axis=0) / n
        squares = np.where(known, excess - mean, 0.0) ** 2
        return dataclasses.replace(self, calibration=squares.sum(axis=0) / n)

    @property
    def functions(self) -> tuple[str, ...]:
        """See `Statistic.functions`."""
        return (*self.model.names, "")

    cheap = False

    def test_toys(self, spectra: Floats, rng: np.random.Generator) -> Tested:
        """See `Statistic.test_toys`: spectra are all that is drawn."""
        del rng
        return self.test(spectra)

    def test(self, spectra: Floats) -> Tested:
        """See `Statistic.test`."""
        flat = spectra.reshape(-1, spectra.shape[-1])
        tested = self._fit(flat, np.tile(self.starts, (len(spectra), 1, 1)))
        shape = (*spectra.shape[:2], -1)
        columns = {name: column.reshape(shape) for name, column in vars(tested).items()}
        return self._finished(Tested(**columns))

    def _goodness(
        self, deviance: Floats, chosen: npt.NDArray[np.int8], n_bins: Ints | int
    ) -> Floats:
        """Goodness of fits of some bins with the functions that were chosen."""
        return chi2_tail(deviance, n_bins - self.model.functions.n_parameters[chosen])

    @abstractmethod
    def _fit(self, spectra: Floats, starts: Floats) -> Tested:
        """Test spectra of shape (n, n_bins) in arrays of shape (n, n_windows)."""

    @abstractmethod
    def _finished(self, tested: Tested) -> Tested:
        """Add the error of the calibration, and give the local p."""


@dataclasses.dataclass(frozen=True)
class FittedBeside(Refitted):
    """Each window against a fit of everything beside it."""

    def _fit(self, spectra: Floats, starts: Floats) -> Tested:
        fits = self.model.fit_windows(spectra, starts, self.windows.firsts, self.windows.stops)
        observed = self.windows.sums(spectra)
        beside = spectra.shape[-1] - self.windows.widths
        fit_p = self._goodness(fits.deviance, fits.chosen, beside)
        error = np.sqrt(fits.variance)
        return Tested(observed, fits.background, error, observed, fit_p, fits.chosen)

    def _finished(self, tested: Tested) -> Tested:
        error = np.sqrt(tested.error**2 + self.calibration)
        p = on_off_p(tested.observed, tested.expected, error**2)
        return dataclasses.replace(tested, error=error, local_p=p)


@dataclasses.dataclass(frozen=True)
class SignalFitted(Refitted):
    """A signal of given shape on a background, fitted together at a ladder of masses.

    The local p is that of √(2 Δ ln L), one-sided, less what the error of the calibration takes from it. Expected is what was seen less the fitted signal in
    the core, which is the window.

    Attributes:
        templates: Fraction of each signal in each bin, shape (n_signals, n_bins).
    """

    _: dataclasses.KW_ONLY
    templates: Floats

    def _fit(self, spectra: Floats, starts: Floats) -> Tested:
        fits = self.model.fit_signals(spectra, starts, self.templates)
        cores = zip(self.templates, self.windows.firsts, self.windows.stops, strict=True)
        shares = np.array([template[first:stop].sum() for template, first, stop in cores])
        root = np.where(fits.yields > 0, np.sqrt(np.maximum(fits.gain, 0.0)), -np.inf)
        root = np.where(np.isnan(fits.yields), np.nan, root)
        observed = self.windows.sums(spectra)
        expected = observed - fits.yields * shares
        # The signal is a parameter more.
        fit_p = self._goodness(fits.deviance, fits.chosen, spectra.shape[-1] - 1)
        return Tested(observed, expected, fits.errors * shares, root, fit_p, fits.chosen)

    def _finished(self, tested: Tested) -> Tested:
        error = np.sqrt(tested.error**2 + self.calibration)
        share = np.divide(tested.error, error, out=np.ones(error.shape), where=error > tested.error)
        return dataclasses.replace(
            tested, error=error, local_p=stats.norm.sf(tested.local_p * share)
        )
