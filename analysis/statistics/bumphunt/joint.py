"""Spectra that share jets: the joint table of mass and of which spectra a jet is in.

Working points of one score are nested, and detectors look at the same jets. Their spectra fluctuate
together, so pseudo-experiments are drawn on the joint table: jets fall into patterns ("in the first
and the third spectrum, in no other"), which are disjoint, and so independent Poisson numbers in each
mass bin. The spectra of a pseudo-experiment are sums of its patterns.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from contextlib import nullcontext, suppress

import numpy as np

from oddjet.analysis.statistics.background.likelihood import poisson_deviance
from oddjet.analysis.statistics.background.many import BatchModel
from oddjet.analysis.statistics.background.nested import add_parameters, likelihood_ratio_test
from oddjet.analysis.statistics.background.quadrature import Quadrature
from oddjet.analysis.statistics.components import Component
from oddjet.analysis.statistics.imprint import Imprint
from oddjet.analysis.statistics.spectrum import Histogram, Spectrum, check_counts
from oddjet.errors import FitError
from oddjet.typing import Bools, Floats, Ints

__all__ = ["JointTable", "tilted_fit"]


MAX_TILT = 4
"""Highest power of mass in the ratio of a pattern to all jets."""
NEWTON_STEPS = 50
LEAST = 1e-3
"""No replica of a calibration keeps less than this of a pattern."""


@dataclasses.dataclass(frozen=True)
class JointTable:
    """Jets by mass bin and pattern.

    Attributes:
        edges: Mass bin edges, n_bins + 1 of them [GeV].
        members: Which spectrum (row) holds which pattern (column), shape (n_spectra, n_patterns).
        counts: Jets of each pattern, shape (n_patterns, n_bins).
        imprint: How the spectra would change with other calibrations of their cuts; None where no cut
            was calibrated, or nothing is known of it.
        regions: Names of the bins of pt; one over all by default.
        region_of: Which of them holds the jets of each pattern, shape (n_patterns,); None for the first.
        peaks: Known peaks, expected among these jets; contents of shape (n_patterns, n_bins).
        given: What was found of them, and how else it may be: jets, shape (n_replicas, n_patterns, n_bins), of which the
            mean is expected on top of what is smooth; None without peaks.
    """

    labels: tuple[str, ...]
    edges: Floats
    members: Bools
    counts: Floats
    imprint: Imprint | None = None
    regions: tuple[str, ...] = ("",)
    region_of: Ints | None = None
    peaks: tuple[Component, ...] = ()
    given: Floats | None = None

    @classmethod
    def from_histogram(cls, histogram: Histogram) -> JointTable:
        """Take one `Spectrum`, or any UHI histogram of numbers of events; its name is the label.

        Raises:
            FitError: The contents are not numbers of events, or there are none.
        """
        data = Spectrum.from_histogram(histogram).checked(is_data=True)
        table = cls((data.name,), data.edges, np.ones((1, 1), np.bool_), data.counts[None])
        return table.checked()

    def select(self, spectra: Sequence[int]) -> JointTable:
        """Take spectra by their places; jets are told apart by these alone. Not checked."""
        inside = self.members[list(spectra)].T
        used = inside.any(axis=1)
        told_by = np.column_stack([self.in_region, inside])
        patterns, places = np.unique(told_by[used], axis=0, return_inverse=True)

        def merged(values: Floats) -> Floats:
            sums = np.zeros((len(patterns), self.edges.size - 1))
            np.add.at(sums, places.reshape(-1), values[used])
            return sums

        return dataclasses.replace(
            self,
            labels=tuple(self.labels[place] for place in spectra),
            members=patterns[:, 1:].T.astype(np.bool_),
            counts=merged(self.counts),
            imprint=None if self.imprint is None else self.imprint.select(spectra),
            region_of=patterns[:, 0],
            peaks=tuple(peak.transformed(merged) for peak in self.peaks),
            given=None if self.given is None else np.stack([merged(own) for own in self.given]),
        )

    def keep(self, patterns: Bools) -> JointTable:
        """Take some of the patterns, (n_patterns,)."""
        return dataclasses.replace(
            self,
            members=self.members[:, patterns],
            counts=self.counts[patterns],
            region_of=self.in_region[patterns],
            peaks=tuple(peak.transformed(lambda values: values[patterns]) for peak in self.peaks),
            given=None if self.given is None else self.given[:, patterns],
        )

    def hide(self, bins: Bools) -> JointTable:
        """Empty some mass bins (n_bins,) of jets, and of what is expected of known peaks."""

        def hidden(values: Floats) -> Floats:
            return np.where(bins, 0.0, values)

        return dataclasses.replace(
            self,
            counts=hidden(self.counts),
            peaks=tuple(peak.transformed(hidden) for peak in self.peaks),
            given=None if self.given is None else hidden(self.given),
        )

    @property
    def in_region(self) -> Ints:
        """Which bin of pt holds the jets of each pattern, shape (n_patterns,)."""
        if self.region_of is None:
            return np.zeros(self.members.shape[1], np.int64)
        return self.region_of

    def checked(self) -> JointTable:
        """Refuse spectra without events, and contents that are no numbers of events.

        Raises:
            FitError: Of the spectrum that is wrong, by name.
        """
        for label, spectrum in zip(self.labels, self.spectra, strict=True):
            check_counts((spectrum, self.edges))
            if not spectrum.sum() > 0:
                msg = (
                    f"no events of '{label}' between {self.edges[0]:g} and {self.edges[-1]:g} GeV: "
                    "loosen the cut or add data"
                )
                raise FitError(msg)
        return self

    @property
    def n_patterns(self) -> int:
        """Number of patterns."""
        return int(self.counts.shape[0])

    @property
    def spectra(self) -> Floats:
        """Contents of each spectrum, shape (n_spectra, n_bins)."""
        return self.members @ self.counts

    def expected(self, model: BatchModel) -> Floats:
        """Fit what is smooth of the whole spectrum of every pattern: what pseudo-experiments are drawn from.

        All jets together are fitted with the chosen function. The spectrum of a pattern is that shape
        times the exponential of a polynomial of mass, see `tilted_fit`: a constant where cuts know
        nothing of the mass, more where they do. Fitted one by one, dozens of patterns would follow
        their own fluctuations, and their sums would be no smooth spectrum any more.

        Returns:
            Expected jets without known peaks, shape (n_patterns, n_bins).

        Raises:
            FitError: All jets together cannot be fitted.
        """
        given = np.zeros(self.counts.shape) if self.given is None else self.given.mean(axis=0)
        model = dataclasses.replace(model, given=given.sum(axis=0, keepdims=True))
        shape = model.at_nodes(self.counts.sum(axis=0))[0]
        return np.stack(
            [
                tilted_fit(counts, shape, model.nodes, own) if counts.any() else counts
                for counts, own in zip(self.counts, given, strict=True)
            ]
        )

    def with_given(self, expected: Floats) -> Floats:
        """Add known peaks to what is smooth, a replica of them to each of it, shape (n_replicas, n_patterns, n_bins)."""
        if self.given is None:
            return expected
        n = max(len(expected), len(self.given))
        own, given = (
            np.resize(values, (n, *values.shape[1:])) for values in (expected, self.given)
        )
        return np.asarray(own + given)

    def replicated(self, expected: Floats) -> Floats:
        """Give what patterns are expected to hold after other calibrations of the cuts.

        The spectra change as the imprint says, and patterns as little as they can for that, relative to what
        they hold.

        Args:
            expected: Jets of each pattern, shape (n_patterns, n_bins).

        Returns:
            Shape (n_replicas, n_patterns, n_bins); one replica, `expected`, where nothing was calibrated.
        """
        if self.imprint is None or self.imprint.trivial:
            return expected[None]
        members = self.members.astype(np.float64)
        spectra = members @ expected
        shared = np.einsum("sp,pb,tp->bst", members, expected, members)
        wanted = np.einsum("sb,rsb->bsr", spectra, self.imprint.changes)
        factors = np.linalg.pinv(shared, rcond=1e-9, hermitian=True) @ wanted
        changes = np.einsum("sp,bsr->rpb", members, factors)
        return np.asarray(expected * np.maximum(1.0 + changes, LEAST))

    def draw(self, expected: Floats, n: int, rng: np.random.Generator) -> Floats:
        """Draw `n` background-only pseudo-experiments, each after another calibration.

        Args:
            expected: Jets of each pattern, shape (n_patterns, n_bins), or (n_replicas, n_patterns, n_bins) as
                `replicated` gives them.
            n: How many.
            rng: Where chance comes from.

        Returns:
            Contents, shape (n, n_spectra, n_bins).
        """
        expected = expected.reshape(-1, *expected.shape[-2:])
        means = expected[rng.integers(len(expected), size=n)]
        patterns = rng.poisson(means).astype(np.float64)
        return np.asarray(np.einsum("sp,npb->nsb", self.members.astype(np.float64), patterns))

    def require_known(self) -> JointTable:
        """Refuse spectra in which the calibration of a cut may make bumps, and nobody knows how large.

        Raises:
            FitError: There are more jets than a cut was calibrated on, and its method has no replicas.
        """
        if self.imprint is None or not self.imprint.unknown:
            return self
        n_jets = float(self.counts.sum())
        for label, n in zip(self.imprint.labels, self.imprint.n_calibration, strict=True):
            if label in self.imprint.unknown and n_jets > n:
                msg = (
                    f"'{label}' is hunted in {n_jets:,.0f} jets and was calibrated on {n:,.0f}, by a method that "
                    "cannot say how large its own error is: above one jet hunted for one calibrated it makes bumps. "
                    "Cut on another method (`decorrelation.cut`; all of oddjet's own can), or calibrate on more jets"
                )
                raise FitError(msg)
        return self


@dataclasses.dataclass(frozen=True)
class _Tilt:
    """Expected jets (n_bins,) of one power of mass."""

    expected: Floats
    deviance: float
    ndf: int


def tilted_fit(
    counts: Floats, shape: Floats, nodes: Quadrature, given: Floats | None = None
) -> Floats:
    """Fit a given shape times the exponential of a polynomial of mass, integrated over the bins.

    Beginning with a constant, a power more is accepted while it pays by the likelihood ratio (of a few jets
    the F-test would accept a needless power in up to 28 %). A constant keeps the total.

    Args:
        counts: Jets a bin, shape (n_bins,); at least one in all.
        shape: What is at the nodes of the bins, > 0, up to the factor, shape (n_nodes,).
        nodes: The nodes.
        given: Jets that are expected beside, shape (n_bins,); none by default.

    Returns:
        Expected jets without those that are given, shape (n_bins,).
    """
    given = np.zeros(counts.size) if given is None else given
    low, high = nodes.masses[[0, -1]]
    x = (nodes.masses - 0.5 * (low + high)) / (0.5 * (high - low))
    smooth = max(float((counts - given).sum()), 0.1 * float(counts.sum()))
    parts: Floats = shape * (smooth / float(shape.sum()))

    def fit(power: int) -> _Tilt:
        nonlocal parts
        if power > 0 or given.any():
            design = np.vander(x, power + 1, increasing=True)
            # Nothing smooth may be left of a few jets.
            with nullcontext() if power > 0 else suppress(FitError):
                parts = _poisson_regression((counts, given), parts, design, nodes)
        expected = nodes.sums(parts)
        deviance = poisson_deviance(counts, expected + given, np.ones(counts.size))
        return _Tilt(expected, deviance, counts.size - power - 1)

    best, _ = add_parameters(fit, range(MAX_TILT + 1), test=likelihood_ratio_test)
    assert best is not None  # a constant always fits
    return best.expected


def _poisson_regression(
    contents: tuple[Floats, Floats], offset: Floats, design: Floats, nodes: Quadrature
) -> Floats:
    """Maximum likelihood of offset · exp(design · q) at the nodes; FitError if it fails.

    Contents are the jets, and those that are given beside.
    """
    counts, given = contents
    q = np.zeros(design.shape[1])
    parts = offset
    for _ in range(NEWTON_STEPS):
        expected, slopes = nodes.sums(parts) + given, nodes.sums(parts[:, None] * design)
        gradient = slopes.T @ (1.0 - counts / expected)
        try:
            step = np.linalg.solve(slopes.T @ (slopes / expected[:, None]), gradient)
        except np.linalg.LinAlgError as error:
            raise FitError(str(error)) from error
        # Steps of more than a factor e are cut: the exponential is trusted no further.
        q = q - step / max(1.0, float(np.abs(design @ step).max()))
        parts = offset * np.exp(design @ q)
        if not (np.isfinite(parts).all() and nodes.sums(parts).min() > 0):
            break
        if float(step @ gradient) < 1e-8:
            return parts
    msg = f"a polynomial of {q.size} terms did not converge"
    raise FitError(msg)
