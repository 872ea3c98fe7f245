"""Local p-values of all windows of many spectra at once: the same for data and pseudo-experiments."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from scipy import stats

from oddjet.analysis.statistics.background.many import BatchModel
from oddjet.analysis.statistics.bumphunt.pvalues import on_off_p, poisson_p
from oddjet.analysis.statistics.bumphunt.result import WindowTable
from oddjet.analysis.statistics.bumphunt.windows import Windows
from oddjet.typing import Floats

__all__ = ["FittedBeside", "GivenBackground", "SignalFitted", "Statistic"]


class Statistic(Protocol):
    """How the windows of spectra are tested."""

    def local_p(self, spectra: Floats, /) -> Floats:
        """Local p of every window; 1 where there is no excess, NaN where no fit is valid.

        Args:
            spectra: Contents, shape (n, n_spectra, n_bins).

        Returns:
            Array of shape (n, n_spectra, n_windows).
        """

    def tables(self, spectra: Floats, exceeding: Floats, /) -> list[WindowTable]:
        """All that is known of the windows of the data.

        Args:
            spectra: Contents, shape (n_spectra, n_bins).
            exceeding: Local p from pseudo-experiments, shape (n_spectra, n_windows).
        """


@dataclasses.dataclass(frozen=True)
class FittedBeside:
    """Each window against a fit of everything beside it, the choice of the function included.

    Attributes:
        model: The functions.
        windows: The windows.
        starts: Where fits of each spectrum begin, shape (n_spectra, n_functions, 6).
    """

    model: BatchModel
    windows: Windows
    starts: Floats

    def local_p(self, spectra: Floats) -> Floats:
        """See `Statistic.local_p`."""
        n, n_spectra, n_bins = spectra.shape
        flat = spectra.reshape(n * n_spectra, n_bins)
        starts = np.tile(self.starts, (n, 1, 1))
        fits = self.model.fit_windows(flat, starts, self.windows.firsts, self.windows.stops)
        p = on_off_p(self.windows.sums(flat), fits.background, fits.variance)
        return p.reshape(n, n_spectra, -1)

    def tables(self, spectra: Floats, exceeding: Floats) -> list[WindowTable]:
        """See `Statistic.tables`."""
        fits = self.model.fit_windows(spectra, self.starts, self.windows.firsts, self.windows.stops)
        observed = self.windows.sums(spectra)
        known = np.where(np.isnan(fits.background), np.inf, fits.background)
        fixed = np.where(np.isinf(known), np.nan, poisson_p(observed, known))
        names = (*self.model.names, "")
        return _tables(
            self.windows,
            observed,
            (fits.background, np.sqrt(fits.variance)),
            (on_off_p(observed, fits.background, fits.variance), fixed, exceeding),
            [tuple(names[index] for index in chosen) for chosen in fits.chosen],
        )


@dataclasses.dataclass(frozen=True)
class GivenBackground:
    """Each window against a background that is known.

    Attributes:
        windows: The windows.
        background: Expected events of each spectrum, shape (n_spectra, n_bins).
    """

    windows: Windows
    background: Floats

    def local_p(self, spectra: Floats) -> Floats:
        """See `Statistic.local_p`.

        The p of a window depends on a whole number alone, so it is worked out once for each of
        those that occur, and looked up.
        """
        observed = self.windows.sums(spectra)
        expected = self.windows.sums(self.background)
        numbers = np.rint(observed).astype(np.int64)
        lowest, highest = numbers.min(axis=0), numbers.max(axis=0)
        p = np.empty(observed.shape)
        for place in np.ndindex(expected.shape):
            table = poisson_p(np.arange(lowest[place], highest[place] + 1), expected[place])
            p[(slice(None), *place)] = table[numbers[(slice(None), *place)] - lowest[place]]
        return p

    def tables(self, spectra: Floats, exceeding: Floats) -> list[WindowTable]:
        """See `Statistic.tables`."""
        observed, expected = self.windows.sums(spectra), self.windows.sums(self.background)
        p = poisson_p(observed, expected)
        nothing = [("",) * self.windows.n_windows] * len(spectra)
        errors = np.zeros(observed.shape)
        return _tables(self.windows, observed, (expected, errors), (p, p, exceeding), nothing)


@dataclasses.dataclass(frozen=True)
class SignalFitted:
    """A signal of given shape on a background, fitted together at a ladder of masses.

    The local p is that of √(2 Δ ln L), one-sided.

    Attributes:
        model: The functions of the background.
        windows: For each signal the bins that hold its core: for tables and plots.
        templates: Fraction of each signal in each bin, shape (n_signals, n_bins).
        starts: Where fits of each spectrum begin, shape (n_spectra, n_functions, 6).
    """

    model: BatchModel
    windows: Windows
    templates: Floats
    starts: Floats

    def local_p(self, spectra: Floats) -> Floats:
        """See `Statistic.local_p`."""
        n, n_spectra, n_bins = spectra.shape
        flat = spectra.reshape(n * n_spectra, n_bins)
        fits = self.model.fit_signals(flat, np.tile(self.starts, (n, 1, 1)), self.templates)
        return _one_sided(fits.yields, fits.gain).reshape(n, n_spectra, -1)

    def tables(self, spectra: Floats, exceeding: Floats) -> list[WindowTable]:
        """See `Statistic.tables`; expected is what was seen less the fitted signal in the core."""
        fits = self.model.fit_signals(spectra, self.starts, self.templates)
        observed = self.windows.sums(spectra)
        shares = np.array(
            [
                template[first:stop].sum()
                for template, first, stop in zip(
                    self.templates, self.windows.firsts, self.windows.stops, strict=True
                )
            ]
        )
        p = _one_sided(fits.yields, fits.gain)
        expected = observed - fits.yields * shares
        positive = np.where(expected > 0, expected, np.inf)
        fixed = np.where(np.isnan(expected), np.nan, poisson_p(observed, positive))
        names = (*self.model.names, "")
        return _tables(
            self.windows,
            observed,
            (expected, fits.errors * shares),
            (p, fixed, exceeding),
            [tuple(names[index] for index in chosen) for chosen in fits.chosen],
        )


def _one_sided(yields: Floats, gain: Floats) -> Floats:
    p = np.where(yields > 0, stats.norm.sf(np.sqrt(np.maximum(gain, 0.0))), 1.0)
    return np.where(np.isnan(yields), np.nan, p)


def _tables(
    windows: Windows,
    observed: Floats,
    expected: tuple[Floats, Floats],
    p_values: tuple[Floats, Floats, Floats],
    functions: Sequence[tuple[str, ...]],
) -> list[WindowTable]:
    """One table a spectrum; arrays are (n_spectra, n_windows).

    Args:
        windows: The windows.
        observed: Events.
        expected: Background events and their uncertainties.
        p_values: Local p with the uncertainty, without it, and from pseudo-experiments.
        functions: Names of the functions, for each spectrum and window.
    """
    return [
        WindowTable(
            low=windows.low,
            high=windows.high,
            width=windows.widths,
            observed=observed[i],
            expected=expected[0][i],
            expected_error=expected[1][i],
            local_p=p_values[0][i],
            local_p_fixed_background=p_values[1][i],
            local_p_toys=p_values[2][i],
            function=functions[i],
        )
        for i in range(len(observed))
    ]
