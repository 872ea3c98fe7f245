"""Single cuts, jets that pass against jets that fail: beside each window, or with a signal among those that pass."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import stats

from oddjet.analysis.statistics.background.kernels import SignalFits, WindowFits
from oddjet.analysis.statistics.bumphunt.joint import JointTable
from oddjet.analysis.statistics.bumphunt.statistic import Tested, chi2_tail
from oddjet.analysis.statistics.bumphunt.windows import Windows
from oddjet.analysis.statistics.conditional import kernels
from oddjet.analysis.statistics.conditional.model import ShareModel, passed_p, polynomials
from oddjet.analysis.statistics.conditional.patterns import shares_of
from oddjet.analysis.statistics.conditional.score_bins import binomial_p
from oddjet.typing import Floats, Ints

__all__ = ["Cuts", "PassedBeside", "SignalPassed"]

Fits: TypeAlias = WindowFits | SignalFits


@dataclasses.dataclass(frozen=True, eq=False)
class Cuts:
    """Single cuts in one region, nothing known to peak.

    Attributes:
        members: Which cut (row) keeps the jets of which pattern (column), as numbers.
        shares: Share that passes, fitted over the whole range, shape (n_cuts, n_bins).
    """

    statistic: PassedBeside | SignalPassed
    members: Floats
    shares: Floats

    @classmethod
    def make(
        cls,
        table: JointTable,
        cuts: Ints,
        orders: tuple[int, int],
        windows: Windows,
        shapes: Floats | None,
    ) -> Cuts:
        """Bind cuts; shapes are of signals, None for windows."""
        imprint = None if table.imprint is None else table.imprint.select(cuts.tolist())
        changes = None if imprint is None or imprint.trivial else imprint.changes
        totals = table.counts.sum(axis=0)
        shares = _shares(table.edges, totals, table.spectra[cuts], orders[0])
        model = ShareModel.make(table.edges, totals, orders, shares, changes)
        statistic = (
            PassedBeside(model, windows) if shapes is None else SignalPassed(model, windows, shapes)
        )
        return cls(statistic, table.members[cuts].astype(np.float64), shares)

    @property
    def n_rows(self) -> int:
        """Number of tests."""
        return len(self.members)

    def test(self, patterns: Floats) -> Tested:
        """See `scan.Test.test`."""
        return self.statistic.test(np.einsum("sp,npb->nsb", self.members, patterns))

    def known_p(self, patterns: Floats, tested: Tested) -> Floats:
        """See `scan.Test.known_p`: of the binomial number that passes."""
        del patterns
        windows, totals = self.statistic.windows, self.statistic.model.totals
        expected = tested.expected
        if isinstance(self.statistic, SignalPassed):
            # Fitted with a signal, the share depends on how many of the jets are signal.
            expected = windows.sums(totals * self.shares)[None]
        return binomial_p(tested.observed, windows.sums(totals), expected)


@dataclasses.dataclass(frozen=True)
class _Given(ABC):
    """Tests of jets that pass, all jets given.

    Attributes:
        model: How shares follow the mass.
        windows: The windows, or the cores of the signals.
    """

    model: ShareModel
    windows: Windows

    cheap = False

    @property
    def functions(self) -> tuple[str, ...]:
        """See `Statistic.functions`."""
        return self.model.names

    def test_toys(self, spectra: Floats, rng: np.random.Generator) -> Tested:
        """See `Statistic.test_toys`: the jets that pass are all that is drawn."""
        del rng
        return self.test(spectra)

    @abstractmethod
    def test(self, spectra: Floats) -> Tested:
        """See `Statistic.test`."""

    def _tested(
        self, spectra: Floats, expected: Floats, error: Floats, p: Floats, fits: Fits
    ) -> Tested:
        """Put results (n · n_cuts, n_windows) together; a signal is a parameter more."""
        filled = self.model.totals > 0
        masked = self.windows.sums(filled) if isinstance(fits, WindowFits) else 1.0
        n_parameters = 1 + self.model.orders[0] + fits.chosen
        fit_p = chi2_tail(fits.deviance, filled.sum() - masked - n_parameters)
        columns = (self.windows.sums(spectra), expected, error, p, fit_p, fits.chosen)
        shape = (*spectra.shape[:2], -1)
        return Tested(*(column.reshape(shape) for column in columns))


@dataclasses.dataclass(frozen=True)
class PassedBeside(_Given):
    """Each window against the share that passes beside it."""

    def fits(self, spectra: Floats) -> WindowFits:
        """Fit beside every window; contents of the shape (..., n_bins), arrays (n · n_cuts, n_windows)."""
        passed = self.model.passed(spectra)
        fits = WindowFits(*_nothing(3, len(passed.counts), self.windows.n_windows))
        kernels.fit_windows(passed, (self.windows.firsts, self.windows.stops), fits)
        return fits

    def test(self, spectra: Floats) -> Tested:
        """See `Statistic.test`."""
        fits = self.fits(spectra)
        observed = self.windows.sums(spectra).reshape(fits.background.shape)
        p = passed_p(observed, self.windows.sums(self.model.totals), fits.background, fits.variance)
        return self._tested(spectra, fits.background, np.sqrt(fits.variance), p, fits)


@dataclasses.dataclass(frozen=True)
class SignalPassed(_Given):
    """A signal of given shape among the jets that pass, fitted together with their share.

    The local p is that of √(2 Δ ln L), one-sided. Expected is what was seen less the fitted signal in
    the core, which is the window.

    Attributes:
        templates: Fraction of each signal in each bin, shape (n_signals, n_bins).
    """

    templates: Floats

    def test(self, spectra: Floats) -> Tested:
        """See `Statistic.test`."""
        passed = self.model.passed(spectra)
        fits = SignalFits(*_nothing(4, len(passed.counts), len(self.templates)))
        kernels.fit_signals(passed, np.ascontiguousarray(self.templates), fits)
        p = np.where(fits.yields > 0, stats.norm.sf(np.sqrt(fits.gain)), 1.0)
        p = np.where(np.isnan(fits.yields), np.nan, p)
        cores = zip(self.templates, self.windows.firsts, self.windows.stops, strict=True)
        shares = np.array([template[first:stop].sum() for template, first, stop in cores])
        observed = self.windows.sums(spectra).reshape(p.shape)
        expected = observed - fits.yields * shares
        return self._tested(spectra, expected, fits.errors * shares, p, fits)


def _nothing(n_numbers: int, *shape: int) -> list[npt.NDArray[Any]]:
    """Results without a valid fit, to be filled: numbers, and which order was chosen."""
    return [*np.full((n_numbers, *shape), np.nan), np.full(shape, -1, dtype=np.int8)]


def _shares(edges: Floats, totals: Floats, passing: Floats, order: int) -> Floats:
    """Fit the share of each cut over the whole range, shape (n_cuts, n_bins)."""
    powers = polynomials(edges, totals, order)
    return np.stack([shares_of(np.stack([row, totals - row]), powers)[0] for row in passing])
