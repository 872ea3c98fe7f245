"""The conditional hunt: every window of every cut, and how often jets without a signal do as well.

Given the jets of each mass bin, those that pass a cut are binomial numbers. The share that passes is a
polynomial of mass in ln(pass/fail), with the map's fluctuations as constrained modes, fitted beside
each window anew; its order is chosen by likelihood ratio. More passing jets in the window than
that share of all its jets are an excess. Pseudo-experiments keep all jets and draw which cuts they
pass, so that no function of the mass spectrum is needed anywhere. The spectrum without a cut, of
which no jet fails, is not tested.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import special, stats

from oddjet.analysis.statistics.background.kernels import SignalFits, WindowFits
from oddjet.analysis.statistics.bumphunt.joint import JointTable
from oddjet.analysis.statistics.bumphunt.result import CONDITIONAL, BumpHunt, ChannelScan
from oddjet.analysis.statistics.bumphunt.scan import signal_ladder
from oddjet.analysis.statistics.bumphunt.settings import ScanSettings
from oddjet.analysis.statistics.bumphunt.statistic import Tested, chi2_tail
from oddjet.analysis.statistics.bumphunt.toys import compare
from oddjet.analysis.statistics.bumphunt.windows import Windows, make_windows
from oddjet.analysis.statistics.conditional import kernels
from oddjet.analysis.statistics.conditional.model import ShareModel, passed_p, polynomials
from oddjet.analysis.statistics.conditional.patterns import Patterns, shares_of
from oddjet.errors import FitError
from oddjet.typing import Floats, Ints

__all__ = ["PassedBeside", "SignalPassed", "passed_p", "scan_conditionally"]

Fits: TypeAlias = WindowFits | SignalFits


def scan_conditionally(table: JointTable, settings: ScanSettings, *, workers: int = 1) -> BumpHunt:
    """Scan the spectra after cuts, given all jets.

    Args:
        table: Jets by mass and by which spectra they are in: one spectrum holds all of them.
        settings: Windows, or the width of a signal; orders of the polynomial; pseudo-experiments.
        workers: Threads; the result does not depend on them.

    Raises:
        FitError: No window fits into the range, or there is no cut that some jets pass and some fail.
        ConfigError: The widths or the number of toys are invalid.
    """
    cuts = _cuts(table.require_known())
    passing = dataclasses.replace(
        table,
        labels=tuple(table.labels[cut] for cut in cuts),
        members=table.members[cuts],
        imprint=None,
    )
    imprint = None if table.imprint is None else table.imprint.select(cuts.tolist())
    changes = None if imprint is None or imprint.trivial else imprint.changes
    totals = table.counts.sum(axis=0)
    shares = _shares(table.edges, totals, passing.spectra, settings.orders[0])
    model = ShareModel.make(table.edges, totals, settings.orders, shares, changes)
    statistic: PassedBeside | SignalPassed
    if settings.signal_width is None:
        windows = make_windows(table.edges, settings.widths, sidebands=True, only=settings.windows)
        statistic = PassedBeside(model, windows)
    else:
        windows, shapes = signal_ladder(table.edges, settings)
        statistic = SignalPassed(model, windows, shapes)
        spans = (int(windows.widths.min()), int(windows.widths.max()))
        settings = settings.model_copy(update={"widths": spans})
    design = polynomials(table.edges, totals, _order_beside(statistic, passing.spectra))
    patterns = Patterns.make(table, cuts, design)
    settings = settings.model_copy(update={"function": ""})
    background = CONDITIONAL[settings.signal_width is not None]
    result = compare(
        passing, statistic, patterns.draw, settings, background=background, workers=workers
    )
    return dataclasses.replace(
        result,
        channels=tuple(
            _with_binomial_p(
                channel,
                windows.sums(totals),
                # Fitted with a signal, the share depends on how many of the jets are signal.
                None if settings.signal_width is None else windows.sums(totals * row),
            )
            for channel, row in zip(result.channels, shares, strict=True)
        ),
        not_tested=tuple(label for label in table.labels if label not in passing.labels),
    )


def _cuts(table: JointTable) -> Ints:
    """Places of the spectra that some jets pass and some fail."""
    passed, total = table.spectra.sum(axis=1), table.counts.sum()
    cuts = np.flatnonzero((passed > 0) & (passed < total))
    if not table.members.all(axis=1).any():
        msg = (
            f"expected a spectrum of all jets beside those after cuts, received {', '.join(table.labels)}: "
            "jets that pass are compared with jets that fail"
        )
        raise FitError(msg)
    if not cuts.size:
        msg = (
            f"no cut that some of the {total:g} jets pass and some fail: loosen the cut, or calibrate on more jets: a cut "
            "rarer than one in those that it is learned on keeps none, however many are hunted in"
        )
        raise FitError(msg)
    return cuts


def _shares(edges: Floats, totals: Floats, passing: Floats, order: int) -> Floats:
    """Fit the share of each cut over the whole range, shape (n_cuts, n_bins)."""
    powers = polynomials(edges, totals, order)
    return np.stack([shares_of(np.stack([row, totals - row]), powers)[0] for row in passing])


def _order_beside(statistic: PassedBeside | SignalPassed, passing: Floats) -> int:
    """The order that the jets beside the most improbable window ask for, the highest of all cuts.

    Pseudo-experiments are drawn with it. All jets together would ask for a polynomial that follows a signal;
    pseudo-experiments would have bumps then, and none be found in the data.
    """
    tested = statistic.test(passing[None])
    p = np.where(np.isnan(tested.local_p[0]), 2.0, tested.local_p[0])
    best = int(np.argmin(p.min(axis=0)))
    return statistic.model.orders[0] + max(0, int(tested.chosen[0, :, best].max()))


def _with_binomial_p(channel: ChannelScan, jets: Floats, background: Floats | None) -> ChannelScan:
    """With a share that is taken as known the number that passes is binomial.

    Args:
        channel: The scan of a cut.
        jets: All jets of each window, shape (n_windows,).
        background: How many of them are expected to pass, of the same shape; as the scan says if None.
    """
    table = channel.table
    n = table.observed
    expected = table.expected if background is None else background
    above = (n > expected) & (expected > 0)
    p = np.where(np.isnan(expected), np.nan, 1.0)
    p[above] = special.betainc(
        n[above], jets[above] - n[above] + 1.0, expected[above] / jets[above]
    )
    return dataclasses.replace(
        channel, table=dataclasses.replace(table, local_p_fixed_background=p)
    )


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
