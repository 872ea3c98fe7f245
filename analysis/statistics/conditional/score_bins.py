"""Score bins and pt bins in one statistic: the fits of `channels` beside each window, or with a signal.

Nested cuts on one score make score bins: the jets that fail all of them, that pass the loosest alone, and so on. All of
them, in all pt bins, are fitted together, with what is known to peak there.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from scipy import special, stats

from oddjet.analysis.statistics.background.nested import ALPHA
from oddjet.analysis.statistics.bumphunt.joint import JointTable
from oddjet.analysis.statistics.bumphunt.statistic import Tested, chi2_tail
from oddjet.analysis.statistics.bumphunt.windows import Windows
from oddjet.analysis.statistics.channels import scanning
from oddjet.analysis.statistics.channels.fitting import problem_of, start_values
from oddjet.analysis.statistics.channels.model import ChannelModel, ChannelTable, Component
from oddjet.analysis.statistics.conditional.model import (
    KNOWN_JETS,
    LOOSE,
    main_modes,
    passed_p,
    polynomials,
)
from oddjet.analysis.statistics.conditional.ordered import (
    chi_bar_tail,
    level_probabilities,
    ordered_excess,
)
from oddjet.analysis.statistics.conditional.patterns import shares_of
from oddjet.errors import FitError
from oddjet.typing import Floats, Ints

__all__ = ["ScoreBins", "ScoreBinsBeside", "ScoreBinsSignal", "binomial_p", "ladders_of"]

NEGLIGIBLE = 1e-5
"""Part of a signal in a bin below which it is left out there."""
KNOWN_EXACTLY = 1e6
"""How much larger than the data an auxiliary measurement is that is known exactly."""


@dataclasses.dataclass(frozen=True, eq=False)
class ScoreBins:
    """The score bins of nested cuts, and their fit.

    Attributes:
        cells: Which patterns are in which region and score bin, shape (n_regions, n_scores, n_patterns).
        model: How they are fitted, with the highest order.
        levels: Power of mass of each parameter beyond the lowest order, shape (n_parameters,).
        orders: Lowest and highest order.
    """

    cells: Floats
    model: ChannelModel
    levels: Ints
    orders: tuple[int, int]

    @classmethod
    def make(
        cls,
        table: JointTable,
        cuts: Sequence[int],
        orders: tuple[int, int],
    ) -> ScoreBins:
        """Bind cuts, from the loosest to the tightest, to the table's bins, regions, components and map.

        Raises:
            FitError: The cuts are not nested.
        """
        passed = table.members[list(cuts)]
        if np.any(passed[1:] & ~passed[:-1]):
            names = ", ".join(table.labels[cut] for cut in cuts)
            msg = f"score bins: expected cuts of which one is inside the other, received {names}: take those of one score"
            raise FitError(msg)
        n_scores, n_regions = len(cuts) + 1, len(table.regions)
        at = passed.sum(axis=0) + n_scores * table.in_region
        cells = (np.arange(n_regions * n_scores)[:, None] == at).astype(np.float64)
        cells = cells.reshape(n_regions, n_scores, -1)
        scores = ("fail", *(table.labels[cut] for cut in cuts))
        channels = ChannelTable(table.edges, table.regions, scores, cells @ table.counts)
        powers = np.stack([polynomials(table.edges, own, orders[1]) for own in channels.totals])
        components = [peak.transformed(lambda values: cells @ values) for peak in table.peaks]
        modes = _modes_of(table, cuts, channels, powers[:, :, : orders[0] + 1])
        model = ChannelModel.make(channels, powers, modes, tuple(components), loose=LOOSE)
        model = dataclasses.replace(
            model, precision=np.where(model.precision == 0, KNOWN_JETS, model.precision)
        )
        power = np.zeros(len(model.names), np.int64)
        n_own = n_regions * (n_scores - 1)
        power[: n_own * (orders[1] + 1)] = np.tile(np.arange(orders[1] + 1), n_own)
        return cls(cells, model, np.maximum(power - orders[0], 0), orders)

    @property
    def gain(self) -> float:
        """How much twice the log-likelihood must gain for a power more in all regions and score bins."""
        n_regions, n_scores, _ = self.model.table.shape
        return float(stats.chi2.isf(ALPHA, n_regions * (n_scores - 1)))

    def counts(self, patterns: Floats) -> Floats:
        """Jets by region, score bin and mass bin of patterns (n, n_patterns, n_bins)."""
        return np.ascontiguousarray(np.einsum("rkp,npb->nrkb", self.cells, patterns))

    def starts(self, counts: Floats) -> Floats:
        """Where fits begin, which are the middles of their priors too, shape (n, n_parameters)."""
        free = dataclasses.replace(
            self.model,
            precision=np.where(self.model.precision == KNOWN_JETS, 0.0, self.model.precision),
        )
        starts = np.stack([start_values(free, own) for own in counts])
        for i, component in enumerate(free.components, free.precision.size):
            if component.constraint is not None:
                starts[:, i] = 0.0
        return starts

    def freedom(self, masked: Floats | float, chosen: npt.NDArray[np.int8]) -> Floats:
        """Degrees of freedom of fits beside masked bins, of which each counts with its regions."""
        n_regions, n_scores, _ = self.model.table.shape
        filled = float((self.model.table.totals > 0).sum())
        powers = n_regions * (1 + self.orders[0] + chosen)
        free = sum(c.constraint is None and not c.is_signal for c in self.model.components)
        return np.asarray((filled - masked - powers) * (n_scores - 1) - free)


def _modes_of(
    table: JointTable, cuts: Sequence[int], channels: ChannelTable, powers: Floats
) -> Floats | None:
    """What replicas of the map change in ln e, but for what polynomials follow: (n_modes, regions, scores, bins)."""
    imprint = None if table.imprint is None else table.imprint.select(list(cuts))
    if imprint is None or imprint.trivial:
        return None
    shares = np.stack(
        [
            shares_of(np.maximum(own, 1e-3 / own.shape[1]), design)
            for own, design in zip(channels.counts, powers, strict=True)
        ]
    )
    passing = np.cumsum(shares[:, :0:-1], axis=1)[:, ::-1]
    # (n_replicas, n_regions, n_cuts, n_bins), of all jets; the last cut has none inside.
    moved = imprint.changes[:, None] * passing
    gained = moved - np.concatenate([moved[:, :, 1:], np.zeros_like(moved[:, :, :1])], axis=2)
    logs = gained / shares[:, 1:] + moved[:, :, :1] / shares[:, :1]
    weight = channels.totals[:, None] * shares[:, 1:] * (1.0 - shares[:, 1:])
    designs = np.broadcast_to(powers[:, None], (*weight.shape, powers.shape[-1]))
    modes = main_modes(logs, designs, weight)
    return np.concatenate([np.zeros_like(modes[:, :, :1]), modes], axis=2)


def ladders_of(table: JointTable, cuts: Ints) -> list[list[int]]:
    """Runs of cuts of which one is inside the other, each from the loosest to the tightest.

    Args:
        table: The jets.
        cuts: Places of the cuts.
    """
    ladders: list[list[int]] = []
    for cut in sorted(cuts.tolist(), key=lambda place: -int(table.members[place].sum())):
        for ladder in ladders:
            outer = table.members[ladder[-1]]
            if np.all(outer | ~table.members[cut]) and np.any(outer & ~table.members[cut]):
                ladder.append(cut)
                break
        else:
            ladders.append([cut])
    return ladders


@dataclasses.dataclass(frozen=True, eq=False)
class _Fitted(ABC):
    """Tests of score bins, given the jets of each region and mass bin.

    Attributes:
        bins: The score bins.
        windows: The windows, or the cores of the signals.
    """

    bins: ScoreBins
    windows: Windows
    n_rows = 1

    def _levels(self) -> Floats:
        """Probabilities of the levels of an ordered excess."""
        jets = self.bins.model.table.counts.sum(axis=(0, 2))
        return level_probabilities(np.maximum(jets, 1.0))

    def _inside(self, counts: Floats) -> Floats:
        """Jets of the windows by score bin, all regions: (n, n_windows, n_scores)."""
        return np.moveaxis(self.windows.sums(counts.sum(axis=1)), 1, 2)

    @abstractmethod
    def test(self, patterns: Floats) -> Tested:
        """Test patterns (n, n_patterns, n_bins); arrays of the shape (n, 1, n_windows)."""

    @abstractmethod
    def known_p(self, patterns: Floats, tested: Tested) -> Floats:
        """Local p where the shares are taken as known, shape (n, 1, n_windows)."""


@dataclasses.dataclass(frozen=True, eq=False)
class ScoreBinsBeside(_Fitted):
    """Each window against the shares beside it.

    What exceeds them must rise with the score; of one cut, as `scan.PassedBeside` tests it.
    """

    def test(self, patterns: Floats) -> Tested:
        """See `_Fitted.test`: observed and expected are of the score bins at the top with the highest ratio."""
        inside, expected, variance, deviance, chosen = self._fits(patterns)
        p, top = self._local_p(inside, expected, variance)
        observed, above = (_from_top(values, top) for values in (inside, expected))
        error = np.sqrt(np.take_along_axis(variance, top[..., None], axis=2)[..., 0])
        filled = (self.bins.model.table.totals > 0).sum(axis=0).astype(np.float64)
        fit_p = chi2_tail(deviance, self.bins.freedom(self.windows.sums(filled), chosen))
        return _tested((observed, above, error, p, fit_p), chosen)

    def _fits(
        self, patterns: Floats
    ) -> tuple[Floats, Floats, Floats, Floats, npt.NDArray[np.int8]]:
        """Jets of the windows by score bin, how many are expected, variances of those from a score bin on; fits."""
        counts = self.bins.counts(patterns)
        shape = (len(counts), self.windows.n_windows, counts.shape[2])
        expected, variance = np.full((2, *shape), np.nan)
        deviance, chosen = np.full(shape[:2], np.nan), np.full(shape[:2], -1, dtype=np.int8)
        scanning.scan_windows(
            problem_of(self.bins.model),
            counts,
            self.bins.starts(counts),
            self.bins.levels,
            self.bins.gain,
            (self.windows.firsts, self.windows.stops),
            (expected, variance, deviance, chosen),
        )
        return self._inside(counts), expected, variance, deviance, chosen

    def _local_p(self, inside: Floats, expected: Floats, variance: Floats) -> tuple[Floats, Ints]:
        """Local p, and the first score bin of those at the top."""
        n_scores, jets = inside.shape[2], inside.sum(axis=2)
        if n_scores == 2:
            p = passed_p(inside[..., 1], jets, expected[..., 1], variance[..., 1])
            return p, np.ones(p.shape, np.int64)
        above = np.cumsum(expected[..., :0:-1], axis=2)
        share = above / np.maximum(jets, 1e-300)[..., None]
        poisson = np.sum(above * np.maximum(1.0 - share, 0.0), axis=2)
        scatter = variance[..., 1:].sum(axis=2)
        tau = np.where(np.isnan(scatter), np.nan, KNOWN_EXACTLY)
        np.divide(poisson, scatter, out=tau, where=scatter > poisson / KNOWN_EXACTLY)
        ratio, top = _flat(ordered_excess, inside, expected, tau)
        return chi_bar_tail(ratio, self._levels()), np.maximum(top, 1)

    def known_p(self, patterns: Floats, tested: Tested) -> Floats:
        """See `_Fitted.known_p`."""
        inside, expected, *_ = self._fits(patterns)
        if inside.shape[2] == 2:
            return binomial_p(tested.observed, inside.sum(axis=2)[:, None], tested.expected)
        ratio, _ = _flat(ordered_excess, inside, expected, np.full(inside.shape[:2], KNOWN_EXACTLY))
        return chi_bar_tail(ratio, self._levels())[:, None]


@dataclasses.dataclass(frozen=True, eq=False)
class ScoreBinsSignal(_Fitted):
    """A signal fitted together with the shares: one of known fractions, or one that rises with the score.

    Any excess that rises is a sum, with weights ≥ 0, of excesses in the score bins above one of the cuts, in proportion
    to the background there.

    Attributes:
        templates: Parts of the signals, a jet that passes in all, shape (n_signals, n_parts, n_regions, n_bins,
            n_scores).
        model: That of the bins with as many signals as there are parts.
    """

    templates: Floats

    @classmethod
    def rising(cls, bins: ScoreBins, windows: Windows, shapes: Floats) -> ScoreBinsSignal:
        """Make signals of given shapes in mass, (n_signals, n_bins), that rise with the score."""
        jets = np.maximum(bins.model.table.counts.sum(axis=2), KNOWN_JETS)
        n_scores = jets.shape[1]
        above = np.arange(n_scores) >= np.arange(1, n_scores)[:, None, None]
        parts = np.where(above, jets, 0.0)
        parts /= parts.sum(axis=(1, 2), keepdims=True)
        kept = np.where(shapes > NEGLIGIBLE, shapes, 0.0)
        return cls._with_parts(bins, windows, np.einsum("wb,trk->wtrbk", kept, parts))

    @classmethod
    def of_components(
        cls, bins: ScoreBins, windows: Windows, signals: Sequence[Component]
    ) -> ScoreBinsSignal:
        """Make signals of known contents by pattern, of which one jet passes at norm 1."""
        contents = np.stack([bins.cells @ signal.contents for signal in signals])
        contents = contents / contents[:, :, 1:].sum(axis=(1, 2, 3), keepdims=True)
        return cls._with_parts(bins, windows, np.swapaxes(contents, 2, 3)[:, None])

    @classmethod
    def _with_parts(cls, bins: ScoreBins, windows: Windows, parts: Floats) -> ScoreBinsSignal:
        model = bins.model
        nothing = np.zeros(model.table.shape)
        slots = tuple(
            Component(f"signal{i}", nothing, is_signal=True) for i in range(parts.shape[1])
        )
        model = dataclasses.replace(model, components=(*model.components, *slots)).checked()
        levels = np.r_[bins.levels, np.zeros(len(slots), np.int64)]
        bins = dataclasses.replace(bins, model=model, levels=levels)
        return cls(bins, windows, np.ascontiguousarray(parts))

    def test(self, patterns: Floats) -> Tested:
        """See `_Fitted.test`: of all jets that pass; expected is what was seen less the signal in the core."""
        counts = self.bins.counts(patterns)
        yields, errors, gain, deviance = np.full((4, len(counts), len(self.templates)), np.nan)
        chosen = np.full((len(counts), len(self.templates)), -1, dtype=np.int8)
        scanning.scan_signals(
            problem_of(self.bins.model),
            counts,
            self.bins.starts(counts),
            self.bins.levels,
            self.bins.gain,
            self.templates,
            (yields, errors, gain, deviance, chosen),
        )
        p = self._local_p(gain)
        inside = self._inside(counts)[:, :, 1:].sum(axis=2)
        core = self._core_shares()
        fit_p = chi2_tail(deviance, self.bins.freedom(1.0, chosen))
        return _tested((inside, inside - yields * core, errors * core, p, fit_p), chosen)

    def _local_p(self, gain: Floats) -> Floats:
        if self.templates.shape[1] > 1:
            return chi_bar_tail(gain, self._levels())
        p = np.where(gain > 0, stats.norm.sf(np.sqrt(gain)), 1.0)
        return np.where(np.isnan(gain), np.nan, p)

    def _core_shares(self) -> Floats:
        """Part of the passing jets of each signal that its core holds, shape (n_signals,)."""
        masses = self.templates[..., 1:].sum(axis=(1, 2, 4))
        ends = zip(masses, self.windows.firsts, self.windows.stops, strict=True)
        return np.array([row[first:stop].sum() / row.sum() for row, first, stop in ends])

    def known_p(self, patterns: Floats, tested: Tested) -> Floats:
        """See `_Fitted.known_p`: of the number in the core, given the jets there less the signal."""
        counts = self.bins.counts(patterns)
        jets = self._inside(counts).sum(axis=2)[:, None]
        return binomial_p(tested.observed, jets, tested.expected)


def binomial_p(observed: Floats, jets: Floats, expected: Floats) -> Floats:
    """Probability of at least as many jets that pass, their share known; NaN where it is not."""
    p = np.where(np.isnan(expected), np.nan, 1.0)
    above = (observed > expected) & (expected > 0)
    observed, jets, expected = np.broadcast_arrays(observed, jets, expected)
    n, all_jets, share = observed[above], jets[above], expected[above] / jets[above]
    p[above] = special.betainc(n, all_jets - n + 1.0, np.minimum(share, 1.0))
    return p


def _tested(columns: Sequence[Floats], chosen: npt.NDArray[np.int8]) -> Tested:
    """Results (n, n_windows) as those of one spectrum."""
    observed, expected, error, p, fit_p = (column[:, None] for column in columns)
    return Tested(observed, expected, error, p, fit_p, chosen[:, None])


def _from_top(values: Floats, top: Ints) -> Floats:
    """Sums over the score bins (last axis) from `top` on."""
    above = np.cumsum(values[..., ::-1], axis=-1)[..., ::-1]
    return np.asarray(np.take_along_axis(above, top[..., None], axis=-1)[..., 0])


def _flat(
    test: Callable[[Floats, Floats, Floats], tuple[Floats, Ints]],
    observed: Floats,
    expected: Floats,
    tau: Floats,
) -> tuple[Floats, Ints]:
    """Apply a test of rows to arrays (…, K) and (…)."""
    n = observed.shape[-1]
    first, second = test(observed.reshape(-1, n), expected.reshape(-1, n), tau.reshape(-1))
    return first.reshape(tau.shape), second.reshape(tau.shape)
