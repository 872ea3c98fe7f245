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
from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

import numpy as np

from oddjet.analysis.statistics.bumphunt.joint import JointTable
from oddjet.analysis.statistics.bumphunt.result import CONDITIONAL, BumpHunt
from oddjet.analysis.statistics.bumphunt.scan import cores, signal_ladder
from oddjet.analysis.statistics.bumphunt.settings import ScanSettings
from oddjet.analysis.statistics.bumphunt.statistic import Tested
from oddjet.analysis.statistics.bumphunt.toys import compare
from oddjet.analysis.statistics.bumphunt.windows import Windows, make_windows
from oddjet.analysis.statistics.components import Component
from oddjet.analysis.statistics.conditional.cuts import Cuts, PassedBeside, SignalPassed
from oddjet.analysis.statistics.conditional.model import passed_p
from oddjet.analysis.statistics.conditional.patterns import Patterns
from oddjet.analysis.statistics.conditional.score_bins import (
    ScoreBins,
    ScoreBinsBeside,
    ScoreBinsSignal,
    ladders_of,
)
from oddjet.errors import FitError
from oddjet.typing import Floats, Ints

__all__ = ["PassedBeside", "SignalPassed", "passed_p", "scan_conditionally"]


def scan_conditionally(
    table: JointTable,
    settings: ScanSettings,
    *,
    ladders: Mapping[str, Sequence[int]] | None = None,
    signals: Sequence[Component] = (),
    tested: Collection[str] | None = None,
    workers: int = 1,
) -> BumpHunt:
    """Scan the spectra after cuts, given all jets, and the score bins between cuts on a score together.

    Jets of all pt bins of the table are fitted together, with the peaks that it knows of.

    Args:
        table: Jets by mass and by which spectra they are in: one spectrum holds all of them.
        settings: Windows, or the width of a signal; orders of the polynomial; pseudo-experiments.
        ladders: Places of the cuts on one score, by what their score bins are called; by default cuts of which one is
            inside the other are those of one score.
        signals: Signals of known contents by pattern, of the shape of the table's; windows or a Gaussian of the settings'
            width if there are none.
        tested: Names of the cuts and ladders that are tested; all if None.
        workers: Threads; the result does not depend on them.

    Raises:
        FitError: No window fits into the range, or there is no cut that some jets pass and some fail, or the cuts of a
            ladder are not nested.
        ConfigError: The widths or the number of toys are invalid.
    """
    cuts = _cuts(table.require_known())
    fitted_signal = bool(signals) or settings.signal_width is not None
    wanted = _wanted(table, cuts, ladders if settings.score_bins else {}, tested)
    tests = _Tests.make(table, wanted, settings, signals)
    if fitted_signal:
        spans = (int(tests.windows.widths.min()), int(tests.windows.widths.max()))
        settings = settings.model_copy(update={"widths": spans})
    seen = tests.test(table.counts[None])
    patterns = Patterns.make(
        table, _order_beside(seen, settings.orders), np.random.default_rng(settings.seed)
    )
    settings = settings.model_copy(update={"function": ""})
    result = compare(
        tests.labels,
        table.counts,
        tests,
        patterns.draw,
        settings,
        background=CONDITIONAL[fitted_signal],
        workers=workers,
    )
    known = tests.known_p(table.counts[None], seen)[0]
    return dataclasses.replace(
        result,
        channels=tuple(
            dataclasses.replace(
                channel, table=dataclasses.replace(channel.table, local_p_fixed_background=p)
            )
            for channel, p in zip(result.channels, known, strict=True)
        ),
        not_tested=tuple(label for label in table.labels if label not in tests.labels),
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


def _order_beside(tested: Tested, orders: tuple[int, int]) -> int:
    """The order that the jets beside the most improbable window ask for, the highest of all tests.

    Pseudo-experiments are drawn with it. All jets together would ask for a polynomial that follows a signal;
    pseudo-experiments would have bumps then, and none be found in the data.
    """
    p = np.where(np.isnan(tested.local_p[0]), 2.0, tested.local_p[0])
    best = int(np.argmin(p.min(axis=0)))
    return orders[0] + max(0, int(tested.chosen[0, :, best].max()))


class Test(Protocol):
    """Tests of patterns of jets (n, n_patterns, n_bins)."""

    @property
    def n_rows(self) -> int:
        """Number of tests."""

    def test(self, patterns: Floats, /) -> Tested:
        """Test them; arrays of the shape (n, n_rows, n_windows)."""

    def known_p(self, patterns: Floats, tested: Tested, /) -> Floats:
        """Local p where the shares are taken as known."""


@dataclasses.dataclass(frozen=True, eq=False)
class _Tests:
    """All tests of a table of patterns, one after the other: see `Statistic`.

    Attributes:
        labels: Names of their rows.
    """

    labels: tuple[str, ...]
    parts: tuple[Test, ...]
    windows: Windows
    functions: tuple[str, ...]
    cheap = False

    @classmethod
    def make(
        cls,
        table: JointTable,
        wanted: Mapping[str, Sequence[int]],
        settings: ScanSettings,
        signals: Sequence[Component],
    ) -> _Tests:
        """Bind the tests of cuts and ladders, by name their places."""
        windows, shapes = _windows(table, settings, signals)
        parts: list[Test] = []
        alone = [places[0] for places in wanted.values() if len(places) == 1]
        simple = len(table.regions) == 1 and not table.peaks and not signals
        if simple and alone:
            parts.append(Cuts.make(table, np.array(alone), settings.orders, windows, shapes))
        for places in wanted.values():
            if len(places) == 1 and simple:
                continue
            bins = ScoreBins.make(table, places, settings.orders)
            if signals:
                parts.append(ScoreBinsSignal.of_components(bins, windows, signals))
            elif shapes is not None:
                parts.append(ScoreBinsSignal.rising(bins, windows, shapes))
            else:
                parts.append(ScoreBinsBeside(bins, windows))
        names = tuple(f"transfer{n}" for n in range(settings.orders[0], settings.orders[1] + 1))
        return cls(tuple(wanted), tuple(parts), windows, (*names, ""))

    def test(self, patterns: Floats) -> Tested:
        """See `Statistic.test`."""
        tested = [vars(part.test(patterns)) for part in self.parts]
        return Tested(
            **{name: np.concatenate([own[name] for own in tested], axis=1) for name in tested[0]}
        )

    def test_toys(self, patterns: Floats, rng: np.random.Generator) -> Tested:
        """See `Statistic.test_toys`: patterns are all that is drawn."""
        del rng
        return self.test(patterns)

    def known_p(self, patterns: Floats, tested: Tested) -> Floats:
        """Local p where the shares are taken as known, shape (n, n_tests, n_windows)."""
        p, first = [], 0
        for part in self.parts:
            rows = part.n_rows
            own = Tested(
                **{name: column[:, first : first + rows] for name, column in vars(tested).items()}
            )
            p.append(part.known_p(patterns, own))
            first += rows
        return np.concatenate(p, axis=1)


def _windows(
    table: JointTable, settings: ScanSettings, signals: Sequence[Component]
) -> tuple[Windows, Floats | None]:
    """The windows; or the cores of the signals and their fractions in the bins."""
    if signals:
        masses = np.stack([signal.contents.sum(axis=0) for signal in signals])
        shapes = masses / masses.sum(axis=1, keepdims=True)
        return cores(table.edges, shapes), shapes
    if settings.signal_width is not None:
        return signal_ladder(table.edges, settings)
    only = settings.windows
    return make_windows(table.edges, settings.widths, sidebands=True, only=only), None


def _wanted(
    table: JointTable,
    cuts: Ints,
    ladders: Mapping[str, Sequence[int]] | None,
    tested: Collection[str] | None,
) -> dict[str, list[int]]:
    """Names and places of single cuts, then of ladders of two and more, no two of which keep the same jets."""
    wanted = {table.labels[cut]: [int(cut)] for cut in cuts}
    if ladders is None:
        nested = ladders_of(table, cuts)
        ladders = {" + ".join(table.labels[cut] for cut in own): own for own in nested}
    passed = table.spectra.sum(axis=1)
    for name, own in ladders.items():
        kept: list[int] = []
        for cut in sorted((c for c in own if c in cuts), key=lambda c: -passed[c]):
            if not kept or passed[cut] < passed[kept[-1]]:
                kept.append(int(cut))
        if len(kept) > 1:
            wanted[name] = kept
    return {name: own for name, own in wanted.items() if tested is None or name in tested}
