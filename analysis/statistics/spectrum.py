"""Binned spectra: what may enter a fit or a scan, and which bins a window covers."""

from __future__ import annotations

import dataclasses
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from uhi.typing.plottable import PlottableHistogram

from oddjet.analysis.statistics.contents import common_factor, divided_by_width, whole_numbers
from oddjet.analysis.statistics.masses import (
    Window,
    check_edges,
    check_same_edges,
    check_window,
    hull,
    overlaps,
    slack_of,
    whole_bins,
)
from oddjet.analysis.statistics.uhi import read_arrays, read_histogram
from oddjet.errors import FitError, InputError
from oddjet.typing import Bools, Floats

__all__ = [
    "Histogram",
    "Spectrum",
    "Window",
    "check_counts",
    "check_same_edges",
    "check_window",
    "overlaps",
    "whole_bins",
]


@dataclasses.dataclass(frozen=True, eq=False)
class Spectrum:
    """A histogram of mass. Contents in blinded bins are replaced by NaN when it is made.

    Functions of `oddjet.analysis.statistics` check the contents themselves, see `checked`.

    Attributes:
        edges: Bin edges, n_bins + 1 of them [GeV].
        counts: Contents, shape (n_bins,); NaN in the bins that are blinded.
        variances: Σw² a bin, shape (n_bins,); NaN in the bins that are blinded, None if unknown.
        name: What it is called in tables and messages.
        is_data: Whether contents are numbers of events; False for weighted simulation.
        blind_window: Window whose contents are not looked at [GeV]; covers whole bins.
        underflow: Content below the first edge.
        overflow: Content above the last edge.
        caveats: What was accepted of the files that it was filled from: every result repeats it.
        given: Known peaks: events that are expected on top of what is smooth, shape (n_bins,); None without.

    Raises:
        FitError: Shapes do not fit, edges do not increase, the window lies outside the range or
            leaves no bin.
    """

    edges: Floats
    counts: Floats
    variances: Floats | None = None
    _: dataclasses.KW_ONLY
    name: str = ""
    is_data: bool = True
    blind_window: Window | None = None
    underflow: float = 0.0
    overflow: float = 0.0
    caveats: tuple[str, ...] = ()
    given: Floats | None = None

    def __post_init__(self) -> None:
        counts = np.array(self.counts, dtype=np.float64)
        edges = np.asarray(self.edges, dtype=np.float64)
        if counts.ndim != 1:
            msg = f"expected counts of shape (n_bins,), received shape {counts.shape}"
            raise FitError(msg)
        check_edges(edges, counts.size)
        object.__setattr__(self, "edges", edges)
        object.__setattr__(self, "counts", counts)
        hidden = self.hidden
        if hidden.all():
            msg = f"all {hidden.size} bins are blinded by [{self.blind_window}) GeV: nothing is left to use"
            raise FitError(msg)
        counts[hidden] = np.nan
        if self.variances is not None:
            variances = np.array(self.variances, dtype=np.float64)
            if variances.shape != counts.shape:
                msg = f"expected variances of shape {counts.shape}, received {variances.shape}"
                raise FitError(msg)
            variances[hidden] = np.nan
            object.__setattr__(self, "variances", variances)

    @classmethod
    def from_histogram(
        cls,
        histogram: Histogram,
        *,
        name: str | None = None,
        is_data: bool | None = None,
        blind_window: Window | None = None,
    ) -> Spectrum:
        """Take any histogram of one axis: of hist, boost-histogram, uproot, or another with UHI.

        Args:
            histogram: It follows UHI's PlottableHistogram, is a tuple (contents, edges) as
                `numpy.histogram` makes it, or is a `Spectrum`.
            name: Its name; its own if None.
            is_data: Whether contents are numbers of events; they are unless a `Spectrum` says
                otherwise.
            blind_window: Window whose contents are not looked at [GeV], beside one that it has itself: the
                range that covers both.

        Raises:
            InputError: It is no histogram, or a profile; it has other than one axis of numbers; or it was
                filled with weights in a storage that keeps no Σw².
            FitError: As for `Spectrum`.
        """
        if isinstance(histogram, tuple):
            histogram = cls(**read_arrays(histogram))
        elif not isinstance(histogram, Spectrum):
            histogram = cls(**read_histogram(histogram, name))
        hidden = blind_window and hull(histogram.blind_window, blind_window)
        changes: dict[str, Any] = {"name": name, "is_data": is_data, "blind_window": hidden}
        changes = {key: value for key, value in changes.items() if value is not None}
        return dataclasses.replace(histogram, **changes) if changes else histogram

    @property
    def n_bins(self) -> int:
        """Number of bins."""
        return int(self.counts.size)

    @property
    def centres(self) -> Floats:
        """Centres of the bins [GeV], shape (n_bins,)."""
        return 0.5 * (self.edges[:-1] + self.edges[1:])

    @property
    def widths(self) -> Floats:
        """Widths of the bins [GeV], shape (n_bins,)."""
        return np.diff(self.edges)

    @property
    def hidden(self) -> Bools:
        """Bins that are blinded, shape (n_bins,)."""
        if self.blind_window is None:
            return np.zeros(self.n_bins, dtype=np.bool_)
        return check_window(self.edges, self.blind_window, name="blind window")

    @property
    def sumw2(self) -> Floats:
        """Σw² a bin, shape (n_bins,): the contents where no variances are known."""
        return self.counts if self.variances is None else self.variances

    @property
    def weight_scale(self) -> Floats:
        """Σw²/Σw a bin, shape (n_bins,): 1 for data; a typical weight for simulation.

        Empty bins take the ratio of the totals, because nothing is known of their own.
        """
        if self.is_data:
            return np.ones(self.n_bins)
        counts, variances = self.counts, self.sumw2
        total, variance = np.nansum(counts), np.nansum(variances)
        typical = variance / total if total > 0 else 1.0
        filled = np.isfinite(counts) & (counts > 0) & (variances > 0)
        ratio = np.divide(variances, counts, out=np.ones(self.n_bins), where=filled)
        return np.where(filled, ratio, typical)

    @property
    def flow_note(self) -> str:
        """A sentence about what lies outside the range, empty where nothing does."""
        if self.underflow == 0 and self.overflow == 0:
            return ""
        return (
            f"{self.name}: {self.underflow:g} below {self.edges[0]:g} GeV and {self.overflow:g} "
            f"above {self.edges[-1]:g} GeV are not used"
        )

    def within(self, low: float, high: float) -> Spectrum:
        """Take the bins that lie wholly in [low, high] [GeV]; the others count as flow.

        Raises:
            InputError: No bin does.
        """
        slack = slack_of(self.edges)
        keep = (self.edges[:-1] >= low - slack) & (self.edges[1:] <= high + slack)
        if not keep.any():
            msg = (
                f"{self.name}: no bin lies in [{low:g}, {high:g}] GeV; the histogram covers "
                f"[{self.edges[0]:g}, {self.edges[-1]:g}] GeV"
            )
            raise InputError(msg)
        first, last = np.flatnonzero(keep)[[0, -1]]
        edges, hidden = self.edges[first : last + 2], self.blind_window
        if hidden is not None:
            hidden = (max(hidden[0], float(edges[0])), min(hidden[1], float(edges[-1])))
        return dataclasses.replace(
            self,
            edges=edges,
            blind_window=hidden if hidden and hidden[0] < hidden[1] else None,
            counts=self.counts[first : last + 1],
            variances=None if self.variances is None else self.variances[first : last + 1],
            given=None if self.given is None else self.given[first : last + 1],
            underflow=self.underflow + float(np.nansum(self.counts[:first])),
            overflow=self.overflow + float(np.nansum(self.counts[last + 1 :])),
        )

    @property
    def errors_note(self) -> str:
        """Sentences about errors of data that may not be right, empty where there is nothing to say."""
        missing, name = int(self._without_errors.sum()), self.name or "the histogram"
        if not self.is_data:
            return ""
        notes = []
        if missing:
            notes.append(
                f"{name}: Σw² is zero in {missing} of {self.n_bins} bins that are not "
                "empty; contents are whole numbers and taken as numbers of events"
            )
        if whole_numbers(self.counts[~self.hidden]).all() and (n := common_factor(self.counts)) > 1:
            notes.append(
                f"{name}: all contents are multiples of {n}; they are taken as numbers of events. If they "
                f"were multiplied by {n}, or filled {n} times an event, their errors are {n**0.5:.3g} times too small"
            )
        return "; ".join(notes)

    @property
    def _without_errors(self) -> Bools:
        """Bins of data that have whole numbers and a Σw² of zero: it was not set, and is not needed."""
        none = np.zeros(self.n_bins, dtype=np.bool_)
        whole = whole_numbers(self.counts[~self.hidden]).all()
        return (self.counts > 0) & (self.sumw2 == 0) if whole else none

    def checked(self, *, is_data: bool | None = None, errors: bool = True) -> Spectrum:
        """Check the contents before anything is computed from them; blinded bins are left out.

        Data are numbers of events and need no Σw²; where it is zero it is not used, see `errors_note`.

        Args:
            is_data: Whether contents are numbers of events; as the spectrum says if None.
            errors: Whether Σw² of simulation is needed; not of a shape or an expectation.

        Returns:
            The spectrum with variances, where they are known: those of data are the contents.

        Raises:
            FitError: Contents are negative, NaN, infinite or per GeV; data are not whole numbers or their
                variances differ from their contents; simulation has no variances.
        """
        is_data = self.is_data if is_data is None else is_data
        counts, seen = self.counts, ~self.hidden
        self._refuse(seen & ~np.isfinite(counts), counts, "NaN or infinite contents", "fix them")
        fix = "the likelihood does not exist for them; use a sample without negative weights"
        self._refuse(seen & (counts < 0), counts, "negative contents", fix)
        self._refuse_densities()
        if is_data:
            return dataclasses.replace(self, is_data=True, variances=self._events())
        if errors:
            self._check_errors()
        return dataclasses.replace(self, is_data=False)

    def _check_errors(self) -> None:
        counts, squares, seen = self.counts, self.variances, ~self.hidden
        if squares is None:
            msg = (
                f"{self.name or 'the histogram'}: weighted simulation needs variances (Σw² a bin) and has "
                "none: fill with hist's Weight() storage, or call Sumw2() of ROOT's histogram first"
            )
            raise FitError(msg)
        self._refuse_bad_errors(squares)
        bad = seen & (counts > 0) & (squares == 0)
        self._refuse(bad, squares, "content but no variance", "fill with hist's Weight() storage")

    def _refuse_bad_errors(self, squares: Floats) -> None:
        bad = ~self.hidden & ~(np.isfinite(squares) & (squares >= 0))
        what = "variances that are negative, NaN or infinite"
        self._refuse(bad, squares, what, "fix the weights")

    def _events(self) -> Floats:
        """Contents of data, once they are known to be numbers of events."""
        counts, squares, seen = self.counts, self.sumw2, ~self.hidden
        self._refuse_bad_errors(squares)
        fix = (
            "these are no numbers of events. Limits take weighted simulation with --simulation "
            "(is_data=False in Python), if Σw² is known; a hunt needs whole numbers, such as a Poisson "
            "number drawn for each bin"
        )
        broken = seen & ~whole_numbers(counts)
        self._refuse(broken, counts, "fractional contents in what is called data", fix)
        off = seen & ~self._without_errors & ~np.isclose(squares, counts, rtol=1e-6, atol=1e-9)
        fix = f"Σw² ≠ Σw in what is called data: {fix}; or write the histogram without Σw²"
        self._refuse(off, squares, "a variance that differs from the content", fix)
        return counts

    def _refuse_densities(self) -> None:
        use = ~self.hidden & (self.counts > 0)
        if whole_numbers(self.counts[use]).all():
            return
        squares = None if self.variances is None else self.variances[use]
        shown = divided_by_width(self.counts[use], self.widths[use], squares)
        if shown:
            msg = (
                f"{self.name or 'the histogram'}: contents are events per GeV, or per another width: "
                f"{shown}. Functions are integrated over bins: give numbers of events, undivided"
            )
            raise FitError(msg)

    def _refuse(self, bad: Bools, values: Floats, what: str, fix: str) -> None:
        if not bad.any():
            return
        first = int(np.flatnonzero(bad)[0])
        msg = (
            f"{int(bad.sum())} of {bad.size} bins have {what}; the first is "
            f"[{self.edges[first]:g}, {self.edges[first + 1]:g}) GeV with {values[first]:g}: {fix}"
        )
        raise FitError(msg)


Histogram: TypeAlias = Spectrum | PlottableHistogram | tuple[npt.ArrayLike, npt.ArrayLike]
"""What functions of statistics take: see `Spectrum.from_histogram`."""


def check_counts(histogram: Histogram) -> Spectrum:
    """Make a spectrum of any histogram and check its contents; see `Spectrum.checked`."""
    return Spectrum.from_histogram(histogram).checked()
