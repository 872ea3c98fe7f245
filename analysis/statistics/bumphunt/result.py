"""What a bump hunt found: every window of every spectrum, each p-value under its own name.

`local_p_fixed_background`
    Poisson, the background taken as known.
`local_p`
    With the uncertainty of the fit beside the window (`pvalues.on_off_p`), or of the signal's yield.
`local_p_toys`
    Share of the pseudo-experiments in which this very window did as well.
`global_p`
    Share of the pseudo-experiments in which any spectrum had as small a rank (`bumphunt.ranks`): one
    spectrum alone, in which any window did as well.

The last two are (k + 1)/(n + 1), so upper bounds where no pseudo-experiment did as well. A local p
that pseudo-experiments contradict, or that comes from a fit that does not describe what is beside the
window, is flagged (`ChannelScan.flags`); what was not scanned is in `BumpHunt.notes`.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from scipy import stats

from oddjet.analysis.statistics.background.methods import WORST_P
from oddjet.analysis.statistics.bumphunt.pvalues import significance, toy_p
from oddjet.analysis.statistics.bumphunt.ranks import Extrapolation
from oddjet.analysis.statistics.bumphunt.windows import WindowTable
from oddjet.analysis.statistics.spectrum import Window
from oddjet.typing import Floats

__all__ = ["CONDITIONAL", "POOR_FIT", "BumpHunt", "ChannelScan"]

RARE = 1e-3
"""Pseudo-experiments contradict a local p where it makes their number rarer than this."""
FACTOR = 2.0
"""And where it is off by more than this."""
POOR_FIT = "poor fit"
"""How a flag begins that says so."""
CONDITIONAL = ("pass against fail beside each window", "signal in pass against fail")
"""How the background is known in a hunt that is given all jets."""
WHY_NOT = {
    "fit beside each window": "a fit beside a window needs a bin on either side of it, so an excess at an "
    "end of the range is not found, and spoils the fits",
    "signal plus background": "a signal less than its width from an end looks like background",
    CONDITIONAL[0]: "a fit beside a window needs a bin on either side of it",
    CONDITIONAL[1]: "a signal less than its width from an end is cut off",
    "given": "no window of the widths that were asked for fits there and holds expected events",
}


@dataclasses.dataclass(frozen=True)
class ChannelScan:
    """The scan of one spectrum.

    Attributes:
        label: What the spectrum is, for tables and plots.
        n_exceeding: Pseudo-experiments in which a window of this spectrum did as well as its best.
        rank: Place of its smallest local p among those of the pseudo-experiments, as a share.
        toy_min_p: Smallest local p of each pseudo-experiment in this spectrum, shape (n_toys,).
        gated: Whether it is not counted in the global p, since the background does not describe it.
    """

    label: str
    table: WindowTable
    n_exceeding: int
    n_toys: int
    _: dataclasses.KW_ONLY
    rank: float
    toy_min_p: Floats
    gated: bool = False

    @property
    def window(self) -> Window:
        """The most improbable window [GeV]."""
        best = self.table.best
        return float(self.table.low[best]), float(self.table.high[best])

    def _best(self, column: str) -> float:
        return float(getattr(self.table, column)[self.table.best])

    @property
    def observed(self) -> float:
        """Events in it."""
        return self._best("observed")

    @property
    def expected(self) -> float:
        """Background events in it."""
        return self._best("expected")

    @property
    def expected_error(self) -> float:
        """Their uncertainty."""
        return self._best("expected_error")

    @property
    def excess(self) -> float:
        """Events above the background."""
        return self.observed - self.expected

    @property
    def has_excess(self) -> bool:
        """Whether any window at all holds more events than expected."""
        return self.local_p < 1.0

    @property
    def local_p(self) -> float:
        """Local p of the window, with the uncertainty of the background."""
        return self._best("local_p")

    @property
    def local_p_fixed_background(self) -> float:
        """Local p of the window, the background taken as known."""
        return self._best("local_p_fixed_background")

    @property
    def local_p_toys(self) -> float:
        """Local p of the window from pseudo-experiments."""
        return self._best("local_p_toys")

    @property
    def goodness_of_fit_p(self) -> float:
        """Goodness of the fit that the window was tested with, from χ²; NaN without one."""
        return self._best("goodness_of_fit_p")

    @property
    def goodness_of_fit_p_toys(self) -> float:
        """The same from pseudo-experiments."""
        return self._best("goodness_of_fit_p_toys")

    @property
    def fit_text(self) -> str:
        """Both, for tables."""
        if np.isnan(self.goodness_of_fit_p):
            return "not known"
        return f"{self.goodness_of_fit_p:.2g} (χ²), {self._share('goodness_of_fit_p_toys')} toys"

    @property
    def flags(self) -> tuple[str, ...]:
        """What speaks against the p-values of the window, a sentence each; none where nothing does."""
        return tuple(flag for flag in (self.poor_fit, self._contradicted()) if flag)

    def _number(self, column: str) -> int:
        """Pseudo-experiments behind a share (k + 1)/(n + 1)."""
        return round(self._best(column) * (self.n_toys + 1)) - 1

    def _share(self, column: str) -> str:
        return f"{self._number(column)} of {self.n_toys}"

    @property
    def poor_fit(self) -> str:
        """That the background does not describe what is beside the window; empty where it does."""
        p, toys = self.goodness_of_fit_p, self.goodness_of_fit_p_toys
        if np.isnan(p):
            return ""
        as_bad = self._number("goodness_of_fit_p_toys")
        # Few pseudo-experiments cannot give a small share; χ² then speaks alone.
        if not (toys < WORST_P or (p < WORST_P and as_bad == 0)):
            return ""
        low, high = self.window
        return (
            f"{POOR_FIT}: the background beside {low:g}–{high:g} GeV does not describe the spectrum "
            f"(goodness of fit p = {p:.2g}; as bad in {as_bad} of {self.n_toys} pseudo-experiments), so "
            f"that no p-value of this spectrum is credible{', and the global p is without it' * self.gated}"
        )

    @property
    def quoted_p(self) -> float:
        """The local p to quote: that of pseudo-experiments where they say that the other is too small."""
        return self.local_p_toys if self._wrong() == "small" else self.local_p

    def _contradicted(self) -> str:
        wrong, n = self._wrong(), self.n_toys
        if not wrong:
            return ""
        return (
            f"the local p {self.local_p:.2g} is too {wrong}: of {n} pseudo-experiments "
            f"{self._number('local_p_toys')} did as well in this window and {self.n_exceeding} in any of the "
            f"{self.table.n_windows}; believe these"
        )

    def _wrong(self) -> str:
        """Compare the local p with how often pseudo-experiments did as well, here and anywhere."""
        p, n, here, anywhere = self.local_p, self.n_toys, self.local_p_toys, self.spectrum_p
        if not self.has_excess:
            return ""
        number, bound = self._number("local_p_toys"), min(1.0, self.table.n_windows * p)
        too_small = here > FACTOR * p and stats.binom.sf(number - 1, n, p) < RARE
        # However windows depend on each other, their number times p is the most that is expected.
        too_small |= (
            anywhere > FACTOR * bound and stats.binom.sf(self.n_exceeding - 1, n, bound) < RARE
        )
        too_large = here < p / FACTOR and stats.binom.cdf(number, n, p) < RARE
        return "small" if too_small else "large" if too_large else ""

    @property
    def local_significance(self) -> float:
        """Gaussian significance of the local p."""
        return significance(self.local_p)

    @property
    def spectrum_p(self) -> float:
        """Global p over the windows of this spectrum alone."""
        return float(toy_p(self.n_exceeding, self.n_toys))

    def to_dict(self) -> dict[str, Any]:
        """Every number, ready for JSON."""
        names = (
            "observed", "expected", "expected_error", "excess", "has_excess", "local_p",
            "local_p_fixed_background", "local_p_toys", "local_significance", "spectrum_p", "rank",
            "n_exceeding", "n_toys", "goodness_of_fit_p", "goodness_of_fit_p_toys", "gated",
        )  # fmt: skip
        return {
            "label": self.label,
            "window": list(self.window),
            **{name: getattr(self, name) for name in names},
            "flags": list(self.flags),
            "n_windows": self.table.n_windows,
            "n_windows_without_fit": self.table.n_failed,
            "windows": self.table.to_dict(),
        }


@dataclasses.dataclass(frozen=True)
class BumpHunt:
    """The outcome of a scan of one spectrum, or of several that share jets.

    Attributes:
        channels: The scan of each spectrum.
        n_exceeding: Pseudo-experiments in which any spectrum that is counted had as small a rank as the best.
        n_toys: Pseudo-experiments; more than were asked for where they are cheap.
        widths: Narrowest and widest window [bins].
        background: How the background is known: ``fit beside each window``, ``signal plus
            background``, ``pass against fail beside each window``, ``signal in pass against fail``, or
            ``given``.
        function: What was asked for: ``auto``, a family, or one function; empty for a given background.
        beyond: The global p where too few pseudo-experiments did as well to count them, extrapolated;
            None where they are enough, or nothing can be said.
        n_toy_windows_without_fit: Windows of pseudo-experiments that no function could be fitted
            beside; as in the data, they have no p-value there.
        blind_window: Window that was not looked at [GeV], or None.
        unscanned: Ranges that no window reaches [GeV], the blind window aside; none where windows were given.
        without_background: Ranges where a given background expects nothing [GeV], with the events that
            were seen there.
        not_tested: Spectra that the conditional hunt cannot test: no jet fails or passes.
        spurious: What the function leaves of simulated background in each spectrum, a sentence each; empty where there
            was none to fit.
    """

    channels: tuple[ChannelScan, ...]
    n_exceeding: int
    n_toys: int
    seed: int
    widths: tuple[int, int]
    background: str
    function: str
    beyond: Extrapolation | None = None
    n_toy_windows_without_fit: int = 0
    blind_window: Window | None = None
    unscanned: tuple[Window, ...] = ()
    without_background: tuple[tuple[Window, float], ...] = ()
    not_tested: tuple[str, ...] = ()
    spurious: tuple[str, ...] = ()

    @property
    def notes(self) -> tuple[str, ...]:
        """What was not scanned, and why, a sentence each."""
        notes = []
        if self.unscanned:
            text = ", ".join(f"{low:g}–{high:g}" for low, high in self.unscanned)
            notes.append(f"not scanned: {text} GeV; {WHY_NOT.get(self.background, '')}")
        for (low, high), seen in self.without_background:
            notes.append(
                f"the given background expects nothing in {low:g}–{high:g} GeV, where {seen:g} events "
                "were seen: what that is worth is not known"
            )
        if self.not_tested:
            notes.append(
                f"{', '.join(self.not_tested)}: not tested, because jets that pass a cut are compared with "
                "jets that fail it; a function fitted beside each window is the cross-check there"
            )
        notes += [
            f"{channel.label or 'the spectrum'}: {channel.table.n_failed} of {channel.table.n_windows} "
            "windows are not tested, because no fit beside them is valid"
            for channel in self.channels
            if channel.table.n_failed
        ]
        return (*notes, *self.spurious)

    @property
    def flags(self) -> tuple[str, ...]:
        """What speaks against the p-values of its spectra: see `ChannelScan.flags`."""
        many = len(self.channels) > 1
        return tuple(
            f"{channel.label}: {flag}" if many and channel.label else flag
            for channel in self.channels
            for flag in channel.flags
        )

    @property
    def best(self) -> ChannelScan:
        """The spectrum of the smallest rank, of those that are counted; of equal ones, that of the smallest local p."""
        return min(
            self.channels, key=lambda channel: (channel.gated, channel.rank, channel.local_p)
        )

    @property
    def window(self) -> Window:
        """Its most improbable window [GeV]."""
        return self.best.window

    @property
    def local_p(self) -> float:
        """Its local p, with the uncertainty of the background."""
        return self.best.local_p

    @property
    def global_p(self) -> float:
        """(k + 1)/(n + 1) over everything that was scanned."""
        return float(toy_p(self.n_exceeding, self.n_toys))

    @property
    def global_significance(self) -> float:
        """Gaussian significance of the global p; a lower bound where no toy exceeds."""
        return significance(self.global_p)

    @property
    def global_p_is_bound(self) -> bool:
        """Whether no pseudo-experiment did as well, so that the global p is an upper bound."""
        return self.n_exceeding == 0

    @property
    def n_windows(self) -> int:
        """Windows of all spectra."""
        return sum(channel.table.n_windows for channel in self.channels)

    def to_dict(self) -> dict[str, Any]:
        """Every number, ready for JSON."""
        best = self.best
        return {
            "spectrum": best.label,
            "window": list(best.window),
            "local_p": best.local_p,
            "local_significance": best.local_significance,
            "local_p_toys": best.local_p_toys,
            "local_p_fixed_background": best.local_p_fixed_background,
            "goodness_of_fit_p": best.goodness_of_fit_p,
            "goodness_of_fit_p_toys": best.goodness_of_fit_p_toys,
            "global_p": self.global_p,
            "global_significance": self.global_significance,
            "global_p_is_upper_bound": self.global_p_is_bound,
            "global_p_extrapolated": None
            if self.beyond is None
            else dataclasses.asdict(self.beyond),
            "n_exceeding": self.n_exceeding,
            "n_toys": self.n_toys,
            "seed": self.seed,
            "widths": list(self.widths),
            "n_windows": self.n_windows,
            "n_toy_windows_without_fit": self.n_toy_windows_without_fit,
            "background": self.background,
            "function": self.function,
            "flags": list(self.flags),
            "notes": list(self.notes),
            "unscanned": [list(window) for window in self.unscanned],
            "not_tested": list(self.not_tested),
            "blind_window": None if self.blind_window is None else list(self.blind_window),
            "spectra": [channel.to_dict() for channel in self.channels],
        }
