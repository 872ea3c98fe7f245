"""A window or a signal that was chosen beforehand: jets that pass a cut against jets that fail it, no scan."""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy import stats

from oddjet.analysis.statistics.background.nested import ALPHA
from oddjet.analysis.statistics.bumphunt.joint import JointTable
from oddjet.analysis.statistics.bumphunt.windows import Windows
from oddjet.analysis.statistics.channels.fitting import ChannelFit, fit
from oddjet.analysis.statistics.channels.model import ChannelModel, ChannelTable
from oddjet.analysis.statistics.components import Component
from oddjet.analysis.statistics.conditional.model import LOOSE, ShareModel
from oddjet.analysis.statistics.conditional.patterns import shares_of
from oddjet.analysis.statistics.conditional.scan import PassedBeside
from oddjet.analysis.statistics.spectrum import overlaps
from oddjet.errors import FitError
from oddjet.typing import Floats

__all__ = ["FixedSignal", "FixedWindow", "PassFail"]

SIGNAL = "signal"


@dataclasses.dataclass(frozen=True)
class FixedWindow:
    """The jets of one window that pass.

    Attributes:
        observed: Their number.
        expected: From the share that passes beside the window and all jets in it.
        error: Of that share.
        local_p: Probability of at least as many without a signal.
    """

    observed: float
    expected: float
    error: float
    local_p: float


@dataclasses.dataclass(frozen=True)
class FixedSignal:
    """A signal of known shape.

    Attributes:
        total: Its jets, those that fail the cut among them.
        error: Their standard deviation.
        significance: √(2 Δ ln L), 0 where the most likely number is 0.
        order: Powers of mass in ln(pass/fail).
    """

    total: float
    error: float
    significance: float
    order: int


@dataclasses.dataclass(frozen=True, eq=False)
class PassFail:
    """One cut.

    Attributes:
        edges: Mass bin edges, n_bins + 1 of them [GeV].
        passing: Jets that pass, shape (n_bins,).
        model: How the share of those that pass follows the mass.
    """

    edges: Floats
    passing: Floats
    model: ShareModel

    @classmethod
    def of(cls, table: JointTable, cut: int, orders: tuple[int, int]) -> PassFail:
        """Take one spectrum of a table that holds all jets as well.

        Args:
            table: The jets.
            cut: Place of the spectrum.
            orders: Lowest and highest order of the polynomial.

        Raises:
            FitError: No jet passes, or none fails.
        """
        passing, totals = table.spectra[cut], table.counts.sum(axis=0)
        if not 0 < passing.sum() < totals.sum():
            msg = (
                f"{table.labels[cut]}: {passing.sum():g} of {totals.sum():g} jets pass: expected some that pass and "
                "some that fail. Use another cut"
            )
            raise FitError(msg)
        whole = ShareModel.make(table.edges, totals, orders, np.full((1, totals.size), 0.5))
        powers = whole.designs[0][:, : orders[0] + 1]
        share = shares_of(np.stack([passing, totals - passing]), powers)[:1]
        imprint = None if table.imprint is None else table.imprint.select([cut])
        changes = None if imprint is None or imprint.trivial else imprint.changes
        model = ShareModel.make(table.edges, totals, orders, share, changes)
        return cls(table.edges, passing, model)

    def window(self, low: float, high: float) -> FixedWindow:
        """Test the mass bins that overlap with `low` to `high` [GeV] against all others.

        Raises:
            FitError: The fit beside it failed.
        """
        inside = np.flatnonzero(overlaps(self.edges, (low, high)))
        window = Windows(self.edges, inside[:1], inside[-1:] + 1)
        tested = PassedBeside(self.model, window).test(self.passing[None, None])
        numbers = (tested.observed, tested.expected, tested.error, tested.local_p)
        result = FixedWindow(*(float(np.asarray(number).item()) for number in numbers))
        if np.isnan(result.local_p):
            msg = f"the share that passes beside {low:g}–{high:g} GeV could not be fitted: use a looser cut"
            raise FitError(msg)
        return result

    def signal(self, passing: Floats, failing: Floats) -> FixedSignal:
        """Fit a signal of known shape, with the order of the polynomial that the jets ask for beside it.

        Args:
            passing: Its jets that pass, up to a factor, shape (n_bins,).
            failing: Those that fail, by the same factor.

        Raises:
            FitError: None of them passes, or the fit failed.
        """
        whole = passing.sum() + failing.sum()
        if not passing.sum() > 0:
            msg = "no jet of the signal passes the cut: use a looser one"
            raise FitError(msg)
        shape = np.stack([failing, passing])[None] / whole
        fits: list[ChannelFit] = []
        low, high = self.model.orders
        for order in range(low, high + 1):
            fits.append(fit(self._channels(order, shape)))
            if order > low and fits[-2].twice_nll - fits[-1].twice_nll < stats.chi2.isf(ALPHA, 1):
                fits.pop()
                break
        best = fits[-1]
        null = fit(best.model, fixed={SIGNAL: 0.0})
        gain = max(null.twice_nll - best.twice_nll, 0.0)
        total = best.value(SIGNAL)
        significance = float(np.sqrt(gain)) if total > 0 else 0.0
        return FixedSignal(total, best.error(SIGNAL), significance, low + len(fits) - 1)

    def _channels(self, order: int, shape: Floats) -> ChannelModel:
        """The likelihood with free jets that fail in each mass bin."""
        design, n_modes = self.model.designs[0], self.model.n_modes
        powers = np.delete(design, np.s_[1 : 1 + n_modes], axis=1)[:, : order + 1]
        modes = np.zeros((n_modes, 1, 2, self.passing.size))
        modes[:, 0, 1] = design[:, 1 : 1 + n_modes].T
        counts = np.stack([self.model.totals - self.passing, self.passing])[None]
        table = ChannelTable(self.edges, ("all",), ("fail", "pass"), counts)
        component = Component(SIGNAL, shape, is_signal=True)
        return ChannelModel.make(table, powers, modes, (component,), loose=LOOSE)
