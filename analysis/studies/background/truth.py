"""What experiments are drawn from: a smooth mass spectrum, a signal on it, and a cut that may follow the mass."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy import stats

from oddjet.analysis.statistics.background.signal import gaussian_fractions
from oddjet.analysis.statistics.background.smoothing import smooth
from oddjet.analysis.statistics.spectrum import Spectrum, Window
from oddjet.errors import ConfigError, FitError, look_up
from oddjet.typing import Floats

__all__ = ["DISTORTIONS", "Cut", "Experiments", "Truth", "built_in", "built_in_names"]

STORED = Path(__file__).with_name("spectra.json")
RHO = 0.1
BEND = 0.05


class Cut(NamedTuple):
    """A cut on a score.

    Attributes:
        efficiency: Share of the background that passes.
        kept: Share of the signal that passes.
    """

    efficiency: float = 0.1
    kept: float = 0.55

    @property
    def ladder(self) -> tuple[float, ...]:
        """Shares of the background at the edges of the score bins: cuts of twice, of once and of half the share."""
        return (1.0, 2.0 * self.efficiency, self.efficiency, 0.5 * self.efficiency, 0.0)

    @property
    def signal(self) -> Floats:
        """Shares of the signal in the score bins, (n_scores,): what passes is a power of what the background passes."""
        power = np.log(self.kept) / np.log(self.efficiency)
        return np.asarray(-np.diff(np.array(self.ladder) ** power))


class Experiments(NamedTuple):
    """Jets by score bin.

    Attributes:
        scores: Shape (n, n_scores, n_bins), the cut between the second and the third.
        cut: The cut.
    """

    scores: Floats
    cut: Cut

    @property
    def passed(self) -> Floats:
        """Jets that pass the cut, shape (n, n_bins)."""
        return np.asarray(self.scores[:, 2:].sum(axis=1))

    @property
    def failed(self) -> Floats:
        """Jets that fail it, shape (n, n_bins)."""
        return np.asarray(self.scores[:, :2].sum(axis=1))


@dataclasses.dataclass(frozen=True)
class Truth:
    """A spectrum without fluctuations, and a signal.

    Attributes:
        edges: Bin edges, n_bins + 1 of them [GeV].
        background: Share of the background in each bin, shape (n_bins,), of sum 1.
        signal: Share of the signal in each bin, shape (n_bins,), of sum at most 1.
        window: Where the signal is looked for: whole bins [GeV].
        note: What it was made of.
    """

    name: str
    edges: Floats
    background: Floats
    signal: Floats
    window: Window
    note: str = ""

    @classmethod
    def of_spectrum(cls, spectrum: Spectrum, *, mass: float, width: float) -> Truth:
        """Smooth a spectrum, and put a Gaussian signal on it.

        Args:
            spectrum: Simulated background, or data without a hidden window.
            mass: Mean of the signal [GeV].
            width: Its standard deviation [GeV].

        Raises:
            FitError: The spectrum is blinded or not fit for it, or the signal does not lie in it.
        """
        if spectrum.hidden.any():
            msg = (
                f"{spectrum.name or 'the spectrum'}: masses of the data are blinded, and a study would need them: "
                "give a histogram of simulated background, or unblind the run first (`oddjet run … --unblind`)"
            )
            raise FitError(msg)
        made, edges = smooth(spectrum), spectrum.edges
        signal = gaussian_fractions(edges, mass=mass, width=width)
        centres = 0.5 * (edges[:-1] + edges[1:])
        inside = np.flatnonzero(np.abs(centres - mass) < 2.0 * width)
        if inside.size == 0 or inside[0] == 0 or inside[-1] == centres.size - 1:
            msg = (
                f"a signal of {mass:g} ± {width:g} GeV leaves no bins beside it in {edges[0]:g}–{edges[-1]:g} GeV: "
                "give --signal MASS WIDTH inside the range, or --range a wider one"
            )
            raise FitError(msg)
        window = (float(edges[inside[0]]), float(edges[inside[-1] + 1]))
        note = f"{spectrum.counts.sum():,.0f} jets, smoothed (p = {made.p_value:.2g})"
        name = spectrum.name or "spectrum"
        return cls(name, edges, made.counts / made.counts.sum(), signal, window, note)

    @property
    def bins(self) -> slice:
        """The bins of the window."""
        first, stop = np.searchsorted(self.edges, self.window)
        return slice(int(first), int(stop))

    def draw(
        self, n_jets: float, share: float, cut: Cut, n: int, rng: np.random.Generator
    ) -> Experiments:
        """Draw experiments with a cut that knows nothing of the mass.

        Args:
            n_jets: Expected background jets.
            share: Expected signal jets over them, those outside the range too.
            cut: The cut.
            n: How many.
            rng: Where chance comes from.
        """
        background, signal = n_jets * self.background, share * n_jets * self.signal
        means = np.outer(-np.diff(cut.ladder), background) + np.outer(cut.signal, signal)
        return Experiments(rng.poisson(means, (n, *means.shape)).astype(np.float64), cut)

    def distorted(
        self, given: Experiments, distortion: str, rng: np.random.Generator
    ) -> Experiments:
        """Give background after cuts whose efficiency follows the mass, and else the very same jets.

        Where a score bin is to have fewer, some move to those that are to have more: so few experiments tell how far a
        mean moves.
        """
        follows, cut = DISTORTIONS[distortion], given.cut
        ones = np.ones(self.background.size)
        edges = [ones, *(follows(self, share) for share in cut.ladder[1:-1]), 0.0 * ones]
        before, after = -np.diff(cut.ladder)[:, None], -np.diff(edges, axis=0)
        less = np.maximum(before - after, 0.0)
        counts = given.scores.astype(np.int64)
        moved = rng.binomial(counts, less / before)
        wanted = np.swapaxes(np.maximum(after - before, 0.0), 0, 1)
        wanted /= np.maximum(wanted.sum(axis=1, keepdims=True), 1e-300)
        wanted[wanted.sum(axis=1) == 0, 0] = 1.0
        come = np.swapaxes(rng.multinomial(moved.sum(axis=1), wanted), 1, 2)
        return Experiments((counts - moved + come).astype(np.float64), cut)


def _straight(truth: Truth) -> Floats:
    """The mass from −1 to 1 over the range, shape (n_bins,)."""
    centres = 0.5 * (truth.edges[:-1] + truth.edges[1:])
    return np.asarray(2.0 * (centres - truth.edges[0]) / np.ptp(truth.edges) - 1.0)


def _follows(truth: Truth, efficiency: float) -> Floats:
    """Efficiency of a cut on a score of Gaussian copula with the mass, heavier jets passing more."""
    ranks = np.cumsum(truth.background) - 0.5 * truth.background
    cut = stats.norm.isf(efficiency)
    return np.asarray(stats.norm.sf((cut - RHO * stats.norm.ppf(ranks)) / np.sqrt(1.0 - RHO**2)))


DISTORTIONS: dict[str, Callable[[Truth, float], Floats]] = {
    "linear": lambda truth, efficiency: efficiency * (1.0 + BEND * _straight(truth)),
    "quadratic": lambda truth, efficiency: (
        efficiency * (1.0 + BEND * (1.5 * _straight(truth) ** 2 - 0.5))
    ),
    "rho": _follows,
}
"""How the efficiency of a cut follows the mass: by ± 5 % over the range; by 5 % of a parabola; by a correlation of 0.1
with the mass. Functions of the spectrum and the efficiency, shape (n_bins,)."""


@cache
def _stored() -> dict[str, Any]:
    return dict(json.loads(STORED.read_text(encoding="utf-8")))


def built_in_names() -> tuple[str, ...]:
    """Names of the spectra that come with oddjet."""
    return ("gamma", *_stored()["spectra"])


def built_in(name: str) -> Truth:
    """Give a spectrum that comes with oddjet: `gamma`, or one of simulated QCD jets.

    Raises:
        ConfigError: There is none of that name.
    """
    stored = _stored()
    edges = np.array(stored["edges"])
    window = tuple(stored["window"])
    if name == "gamma":
        background = np.diff(stats.gamma.cdf(edges, 1.3, loc=10.0, scale=38.0))
        signal = gaussian_fractions(edges, mass=172.0, width=12.0)
        return Truth(name, edges, background / background.sum(), signal, window, "a gamma spectrum")
    of_name = look_up(stored["spectra"], name, "spectrum")
    background = np.array(of_name["background"])
    if background.size != edges.size - 1:  # pragma: no cover
        msg = f"{STORED}: expected {edges.size - 1} contents of {name}, received {background.size}"
        raise ConfigError(msg)
    signal = np.array(stored["top"])
    return Truth(name, edges, background / background.sum(), signal, window, of_name["note"])
