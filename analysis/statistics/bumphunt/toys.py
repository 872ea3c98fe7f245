"""Pseudo-experiments: tested as the data are, and compared with them.

The BumpHunter statistic of a spectrum is the smallest local p of its windows, and that of a scan of
many is the smallest rank of these (`bumphunt.ranks`). How pseudo-experiments are drawn is said by
whoever scans; this module tests them in blocks and counts.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeAlias

import numpy as np

from oddjet.analysis.statistics.bumphunt.pvalues import toy_p
from oddjet.analysis.statistics.bumphunt.ranks import SLACK, extrapolate, ranks
from oddjet.analysis.statistics.bumphunt.result import BumpHunt, ChannelScan
from oddjet.analysis.statistics.bumphunt.settings import ScanSettings
from oddjet.analysis.statistics.bumphunt.statistic import Statistic, Tested, make_tables
from oddjet.errors import ConfigError, FitError
from oddjet.typing import Floats

__all__ = ["Draw", "compare"]

Draw: TypeAlias = Callable[[int, np.random.Generator], Floats]
"""Draws a number of pseudo-experiments: contents of the shape (n, n_contents, n_bins)."""

FITS_AT_ONCE = 50_000
"""Windows of spectra that are fitted in one block: memory stays small, and blocks run side by side."""
ENOUGH = 10
"""Where pseudo-experiments are cheap, more are drawn until this many did as well."""
SAME_RANK = 1.0 + 1e-6
"""As `ranks.SLACK`, for ranks."""
FIRST_RANKS = 0.05
"""How often any spectrum has a rank as small as this says how many spectra there are in effect."""

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class _Toys:
    """What pseudo-experiments gave.

    Attributes:
        smallest: Smallest local p of each, shape (n_toys, n_spectra).
        exceeding: How many did as well in a window, shape (n_spectra, n_windows).
        as_bad: How many were fitted as badly beside it, of the same shape.
        n_failed: Windows without a fit.
    """

    smallest: Floats
    exceeding: Floats
    as_bad: Floats
    n_failed: int

    @classmethod
    def joined(cls, parts: Sequence[_Toys]) -> _Toys:
        """Put parts together."""
        return cls(
            np.concatenate([toys.smallest for toys in parts]),
            np.sum([toys.exceeding for toys in parts], axis=0),
            np.sum([toys.as_bad for toys in parts], axis=0),
            sum(toys.n_failed for toys in parts),
        )


def compare(
    labels: Sequence[str],
    contents: Floats,
    statistic: Statistic,
    draw: Draw,
    settings: ScanSettings,
    *,
    background: str,
    workers: int,
) -> BumpHunt:
    """Test the data, draw and test the pseudo-experiments, and compare.

    Args:
        labels: Names of what is tested, a row of `Tested` each.
        contents: The data, as the statistic takes them: shape (n_contents, n_bins).
        statistic: How windows are tested.
        draw: How pseudo-experiments are drawn.
        settings: Number and seed of pseudo-experiments.
        background: How the background is known: see `BumpHunt`.
        workers: Threads; the result does not depend on them.

    Raises:
        FitError: No window of a spectrum could be tested.
        ConfigError: No pseudo-experiment was asked for.
    """
    if settings.n_toys < 1:
        msg = f"expected at least one pseudo-experiment, received n_toys={settings.n_toys}"
        raise ConfigError(msg)
    tested = statistic.test(contents[None])
    _refuse_untested(labels, tested.local_p[0], settings.function)
    smallest = np.nanmin(tested.local_p[0], axis=1)
    toys = _Drawing(draw, statistic, tested, settings, workers).enough(smallest)
    n_toys, places = len(toys.smallest), ranks(np.vstack([smallest, toys.smallest]))
    exceeding = np.sum(toys.smallest <= smallest * SLACK, axis=0)
    shares = (toy_p(number, n_toys) for number in (toys.exceeding, toys.as_bad))
    tables = make_tables(statistic, tested, *shares)
    channels = _gated(
        ChannelScan(label, windows, int(number), n_toys, rank=float(place), toy_min_p=toy)
        for label, windows, number, place, toy in zip(
            labels, tables, exceeding, places[0], toys.smallest.T, strict=True
        )
    )
    counted = np.array([not channel.gated for channel in channels])
    first = places[1:, counted].min(axis=1)
    n_exceeding = int(np.sum(first <= places[0, counted].min() * SAME_RANK))
    best = int(np.lexsort((smallest, places[0], ~counted))[0])
    beyond = extrapolate(float(smallest[best]), toys.smallest[:, best], _in_effect(first))
    _log.info("bump hunt: local p %.3g, %d of %d toys", smallest[best], n_exceeding, n_toys)
    return BumpHunt(
        channels=channels,
        n_exceeding=n_exceeding,
        n_toys=n_toys,
        seed=settings.seed,
        widths=settings.widths,
        background=background,
        function=settings.function,
        beyond=beyond if n_exceeding < ENOUGH else None,
        n_toy_windows_without_fit=toys.n_failed,
        unscanned=statistic.windows.unreached if settings.windows is None else (),
    )


def _in_effect(first: Floats) -> float:
    """How much more often any spectrum has a small rank than one alone, from the smallest of each pseudo-experiment."""
    return max(1.0, float(np.mean(first <= FIRST_RANKS)) / FIRST_RANKS)


def _gated(channels: Iterable[ChannelScan]) -> tuple[ChannelScan, ...]:
    """Leave spectra that the background does not describe out of the global p, unless there is no other."""
    scans = tuple(channels)
    if all(scan.poor_fit for scan in scans):
        return scans
    return tuple(dataclasses.replace(scan, gated=bool(scan.poor_fit)) for scan in scans)


def _refuse_untested(labels: Sequence[str], local_p: Floats, function: str) -> None:
    for label, row in zip(labels, local_p, strict=True):
        if np.isnan(row).all():
            msg = (
                f"'{label}': no function of '{function}' can be fitted beside any window: "
                "too few events or bins; loosen the cut, or use fewer parameters or a wider range"
            )
            raise FitError(msg)


@dataclasses.dataclass(frozen=True)
class _Drawing:
    """Draws and tests pseudo-experiments in blocks, each with a seed of its own."""

    draw: Draw
    statistic: Statistic
    data: Tested
    settings: ScanSettings
    workers: int

    def enough(self, smallest: Floats) -> _Toys:
        """Draw as many as were asked for, and more where they are cheap and too few did as well."""
        seeds = np.random.SeedSequence(self.settings.seed)
        toys = self._test(self.settings.n_toys, seeds)
        while self.statistic.cheap and np.sum(toys.smallest <= smallest * SLACK) < ENOUGH:
            more = min(9 * len(toys.smallest), self.settings.max_toys - len(toys.smallest))
            if more <= 0:
                break
            toys = _Toys.joined([toys, self._test(more, seeds)])
        return toys

    def _test(self, n_toys: int, seeds: np.random.SeedSequence) -> _Toys:
        seen, fit_p = self.data.local_p[0], self.data.fit_p[0]
        size = max(1, min(n_toys, FITS_AT_ONCE // max(1, seen.size)))
        sizes = [min(size, n_toys - start) for start in range(0, n_toys, size)]
        children = seeds.spawn(len(sizes))

        def block(index: int) -> _Toys:
            rng = np.random.default_rng(children[index])
            drawn = self.draw(sizes[index], rng)
            tested = self.statistic.test_toys(drawn, rng)
            missing = np.isnan(tested.local_p)
            p = np.where(missing, 1.0, tested.local_p)
            as_extreme, as_bad = (
                (toy <= here * SLACK).sum(axis=0).astype(np.float64)
                for toy, here in ((p, seen), (tested.fit_p, fit_p))
            )
            return _Toys(p.min(axis=2), as_extreme, as_bad, int(missing.sum()))

        with ThreadPoolExecutor(self.workers) as pool:
            return _Toys.joined(list(pool.map(block, range(len(sizes)))))
