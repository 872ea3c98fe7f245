"""Bumps that a cut fakes in the windows of a hunt, and how large they may still be.

Given all jets of each mass bin, those that pass are binomial numbers. Beside a window the efficiency
is taken as smooth, its logit a low-order polynomial of the mass, and continued into it. What passes
in the window beyond that is what the cut fakes there: a change of the efficiency that no fit beside
the window can follow. Of weighted jets Σw takes the place of numbers, and (Σw)²/Σw² that of their statistics.

`Contrasts` tests for it: linear in what passes, so that thousands of permutations are one product of
matrices. `fake_bumps` measures it, with the full fit, and scales it to the jets that are hunted in.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from scipy import special, stats

from oddjet.analysis.statistics.background import DEFAULT
from oddjet.analysis.statistics.background.many import BatchModel
from oddjet.analysis.statistics.bumphunt.windows import Windows, make_windows
from oddjet.analysis.statistics.spectrum import Window, overlaps
from oddjet.errors import ConfigError, FitError
from oddjet.typing import Bools, Floats

__all__ = [
    "CONFIDENCE",
    "Contrasts",
    "FakeBumps",
    "HuntedIn",
    "JudgedJets",
    "fake_bumps",
    "fit_logit",
]

CONFIDENCE = 0.95
"""Of each upper bound."""

LEAST_RESOLUTION = 1.0
"""Events: a hunt cannot see less than one, however few it expects."""

NEWTON_STEPS = 30
PRIOR_WIDTH = 5.0
"""Width of the prior of a polynomial's coefficients, in the logit: it matters where nothing passes."""


@dataclasses.dataclass(frozen=True, eq=False)
class HuntedIn:
    """What is hunted in, so far as a verdict needs it.

    Attributes:
        edges: Mass bin edges of the hunt, n_bins + 1 of them [GeV].
        widths: Its narrowest and widest window [bins].
        only: These windows alone [GeV], whatever their widths.
        function: Its background function.
        conditional: Whether it compares jets that pass with jets that fail, instead of fitting a function.
        jets: Jets before any cut that are hunted in: their number, or numbers (n_bins,), of which those in
            `hidden` bins do not count. As many as are judged if None.
        hidden: Masses that nothing is said of [GeV]: their jets are judged nowhere.
    """

    edges: Sequence[float] | Floats = tuple(np.linspace(50.0, 250.0, 41).tolist())
    widths: tuple[int, int] = (2, 8)
    only: tuple[Window, ...] | None = None
    function: str = DEFAULT
    conditional: bool = False
    jets: float | Sequence[float] | Floats | None = None
    hidden: tuple[Window, ...] = ()

    @property
    def n_bins(self) -> int:
        """Number of mass bins."""
        return len(self.edges) - 1

    @property
    def hidden_bins(self) -> Bools:
        """Bins that overlap something hidden, shape (n_bins,)."""
        edges = np.asarray(self.edges, np.float64)
        hidden = np.zeros(self.n_bins, np.bool_)
        for window in self.hidden:
            if window[0] < edges[-1] and window[1] > edges[0]:
                hidden |= overlaps(edges, window)
        return hidden

    def windows(self) -> Windows:
        """The windows that are judged: those of the hunt that hold no hidden bin."""
        hidden = self.hidden_bins
        return make_windows(self.edges, self.widths, hidden=hidden, sidebands=True, only=self.only)

    def expected(self, judged: JudgedJets) -> Floats:
        """Jets that are hunted in, before any cut, shape (n_bins,): the judged ones' smooth shape.

        Numbers by bin are what the judged spectrum gives times a smooth ratio, a logistic fit of
        hunted against judged jets, so that a bin that holds few by chance expects more.

        Raises:
            ConfigError: The number is not positive, or there are not as many numbers as bins.
        """
        weights = judged.weights
        if self.jets is None or np.ndim(self.jets) == 0:
            number = judged.n_jets if self.jets is None else float(np.asarray(self.jets))
            if not 0 < number < np.inf:
                msg = f"verdict: expected a positive number of hunted jets; received {number:g}"
                raise ConfigError(msg)
            return np.asarray(weights * (number / weights.sum()))
        numbers, hidden = np.asarray(self.jets, np.float64), self.hidden_bins
        alike = numbers.shape == weights.shape
        visible = ~hidden & np.isfinite(numbers) if alike else np.zeros(len(hidden), np.bool_)
        if not (alike and numbers[visible].sum() > 0):
            msg = (
                f"verdict: expected hunted jets in {self.n_bins} bins, some of them above zero;"
                f" received shape {numbers.shape}, {np.nansum(numbers):g} jets in all"
            )
            raise ConfigError(msg)
        hunted, effective = np.where(visible, numbers, 0.0), judged.effective
        both = np.where(visible, hunted + effective, 0.0)
        share = np.divide(hunted, both, out=np.zeros(len(both)), where=both > 0)
        logit, _ = fit_logit(both, share, judged.basis(2))
        expected: Floats = effective * np.exp(logit)
        return np.asarray(expected * (hunted.sum() / expected[visible].sum()))


@dataclasses.dataclass(frozen=True)
class JudgedJets:
    """All judged jets by mass bin, and those that pass.

    Attributes:
        n_jets: Their number.
        edges: Mass bin edges, n_bins + 1 of them [GeV].
        weights: Σw, shape (n_bins,); the squares are Σw².
        passing: Σw of those that pass each working point, shape (n_points, n_bins).
    """

    n_jets: int
    edges: Floats
    weights: Floats
    squares: Floats
    passing: Floats

    @property
    def effective(self) -> Floats:
        """(Σw)²/Σw² of each bin, shape (n_bins,)."""
        filled = np.where(self.squares > 0, self.squares, 1.0)
        effective: Floats = self.weights**2 / filled
        return effective

    def basis(self, order: int) -> Floats:
        """Polynomials of the mass up to an order, orthonormal over the jets: (n_bins, order + 1)."""
        centres = 0.5 * (self.edges[1:] + self.edges[:-1])
        middle, half = 0.5 * (centres[0] + centres[-1]), 0.5 * (centres[-1] - centres[0]) or 1.0
        powers = np.vander((centres - middle) / half, order + 1, increasing=True)
        share = self.effective / max(float(self.effective.sum()), 1e-300)
        try:
            upper = np.linalg.cholesky(powers.T @ (powers * share[:, None])).T
        except np.linalg.LinAlgError:  # fewer filled bins than powers
            return powers
        return np.linalg.solve(upper.T, powers.T).T


@dataclasses.dataclass(frozen=True)
class Contrasts:
    """Linear tests of every window against an efficiency that is a polynomial beside it.

    Under permutations of the mass the efficiency is the same everywhere but for the noise, so that
    least squares with weights (Σw)²/Σw² are the best linear fit.

    Attributes:
        windows: Those that can be tested.
        matrix: What each bin's passing jets count, shape (n_windows, n_bins).
        scales: Variance of the result in units of ε (1 − ε), shape (n_windows,).
    """

    windows: Windows
    matrix: Floats
    scales: Floats

    @classmethod
    def make(cls, jets: JudgedJets, windows: Windows, order: int) -> Contrasts:
        """Bind windows to jets; those without jets, or with too few filled bins beside them, are left out.

        Raises:
            FitError: No window is left.
        """
        filled = jets.weights > 0
        beside = np.count_nonzero(filled) - windows.sums(filled)
        kept = windows.select((windows.sums(filled) > 0) & (beside > order + 1))
        basis, effective = jets.basis(order), jets.effective
        outer = basis[:, :, None] * basis[:, None, :]
        inside = kept.mask
        information = np.tensordot(~inside * effective, outer, axes=1)
        covariance = np.linalg.pinv(information, hermitian=True)
        leverage = (inside * jets.weights) @ basis
        slopes = np.einsum("wj,wjk->wk", leverage, covariance)
        per_weight = effective / np.where(filled, jets.weights, 1.0)
        matrix = np.where(inside, 1.0, -(slopes @ basis.T) * per_weight)
        scales = kept.sums(jets.squares) + np.sum(slopes * leverage, axis=1)
        return cls(kept, matrix, scales)

    def significances(self, passing: Floats, total: float) -> Floats:
        """Excess of each window in standard deviations: (n, n_bins) → (n, n_windows).

        Args:
            passing: Σw of the jets that pass, shape (n, n_bins).
            total: Σw of all jets.
        """
        efficiency = passing.sum(axis=-1, keepdims=True) / total
        error = self.errors(efficiency)
        excess = passing @ self.matrix.T
        return np.divide(excess, error, out=np.zeros(excess.shape), where=error > 0)

    def errors(self, efficiency: Floats) -> Floats:
        """Standard deviation of each window's excess in Σw, for efficiencies of shape (..., 1)."""
        return np.asarray(np.sqrt(np.maximum(efficiency * (1 - efficiency), 0.0) * self.scales))


@dataclasses.dataclass(frozen=True)
class FakeBumps:
    """What one cut fakes in every window, in events of the hunt; arrays are (n_windows,).

    Attributes:
        hunted: Jets that are hunted in, before the cut.
        expected: Events that the hunt expects after the cut.
        fake: Events more than a smooth efficiency gives; errors are their standard deviations.
        upper: Upper bound at `CONFIDENCE`, for each window by itself.
        resolutions: Standard deviation of what the hunt itself can see: statistics of the
            window and of the background fit beside it, and at least one event.
    """

    windows: Windows
    hunted: Floats
    expected: Floats
    fake: Floats
    errors: Floats
    upper: Floats
    resolutions: Floats


def fit_logit(numbers: Floats, shares: Floats, basis: Floats) -> tuple[Floats, Floats]:
    """Fit logistic polynomials to shares of numbers, many at once.

    Args:
        numbers: Trials of each bin, shape (..., n_bins); 0 leaves a bin out.
        shares: Which part of them succeeded, shape (..., n_bins) or (n_bins,).
        basis: Shape (n_bins, n_parameters), the first column constant.

    Returns:
        The logit in every bin, shape (..., n_bins), and the information of the parameters, shape
        (..., n_parameters, n_parameters), that of a wide prior included.
    """
    n_parameters = basis.shape[1]
    outer = (basis[:, :, None] * basis[:, None, :]).reshape(len(basis), -1)
    total = np.maximum(numbers.sum(axis=-1), 1e-300)
    mean = np.clip(
        (numbers * shares).sum(axis=-1) / total, 0.1 / (total + 1), 1 - 0.1 / (total + 1)
    )
    start = np.zeros((*numbers.shape[:-1], n_parameters))
    start[..., 0] = special.logit(mean) / basis[0, 0]
    prior = np.eye(n_parameters) / PRIOR_WIDTH**2
    parameters = start.copy()
    for _ in range(NEWTON_STEPS):
        efficiency = special.expit(parameters @ basis.T)
        spread = numbers * efficiency * (1 - efficiency)
        information = (spread @ outer).reshape(*numbers.shape[:-1], n_parameters, -1) + prior
        gradient = (numbers * (shares - efficiency)) @ basis - (parameters - start) @ prior
        step = np.linalg.solve(information, gradient[..., None])[..., 0]
        size = np.abs(step @ basis.T).max(axis=-1, keepdims=True)
        parameters += step / np.maximum(size, 1.0)  # never more than 1 in the logit
        if size.max() < 1e-7:
            break
    return parameters @ basis.T, information


def fake_bumps(
    jets: JudgedJets, windows: Windows, point: int, hunted: HuntedIn, *, order: int
) -> FakeBumps:
    """Measure what one working point fakes in every window, in events of what is hunted in."""
    basis, effective, passing = jets.basis(order), jets.effective, jets.passing[point]
    filled = jets.weights > 0
    shares = np.divide(passing, jets.weights, out=np.zeros(len(filled)), where=filled)
    inside = windows.mask
    logit, information = fit_logit(~inside * effective, shares, basis)
    efficiency = special.expit(logit)
    spread = efficiency * (1 - efficiency)
    here = np.where(inside, jets.weights, 0.0)
    leverage = (here * spread) @ basis
    predicted = np.sum(here * efficiency, axis=1)
    own = np.sum(np.where(inside, jets.squares, 0.0) * spread, axis=1)
    fitted = np.einsum(
        "wj,wj->w", leverage, np.linalg.solve(information, leverage[..., None])[..., 0]
    )
    excess, variance = windows.sums(passing) - predicted, own + fitted
    # The bound of Wilson: the variance is that at the bound, not that where nothing is faked.
    z = float(stats.norm.ppf(CONFIDENCE))
    mean_weight = windows.sums(jets.squares) / windows.sums(jets.weights)
    grows = z**2 / 2 * np.divide(own, predicted, out=mean_weight, where=predicted > 0)
    root = np.sqrt(np.maximum(z**2 * variance + 2 * grows * excess + grows**2, 0.0))
    expected = hunted.expected(jets)
    n_hunted = windows.sums(expected)
    scale = n_hunted / windows.sums(jets.weights)
    whole = special.expit(fit_logit(effective, shares, basis)[0])
    return FakeBumps(
        windows=windows,
        hunted=n_hunted,
        expected=predicted * scale,
        fake=excess * scale,
        errors=np.sqrt(variance) * scale,
        upper=(excess + grows + root) * scale,
        resolutions=np.maximum(
            _resolutions(expected, whole, basis, windows, hunted), LEAST_RESOLUTION
        ),
    )


def _resolutions(
    expected: Floats, efficiency: Floats, basis: Floats, windows: Windows, hunted: HuntedIn
) -> Floats:
    """What the hunt resolves in each window: √(events + variance of its fit beside the window).

    A conditional hunt fits the efficiency beside the window, given all jets; so does one whose function cannot
    be fitted to so few events.
    """
    hidden = hunted.hidden_bins
    filled = (expected > 0) & ~hidden
    places = np.arange(len(expected))
    # Hidden bins will be hunted in as well, once they are shown: between their neighbours.
    between = np.exp(np.interp(places, places[filled], np.log(expected[filled])))
    jets = np.where(hidden, between, expected)
    spectrum = jets * efficiency
    spread = spectrum * (1 - efficiency)
    outer = (basis[:, :, None] * basis[:, None, :]).reshape(len(basis), -1)
    shape = (windows.n_windows, basis.shape[1], basis.shape[1])
    information = ((~windows.mask * spread) @ outer).reshape(shape)
    information += np.eye(basis.shape[1]) / PRIOR_WIDTH**2
    leverage = (windows.mask * spread) @ basis
    fitted = np.einsum(
        "wj,wj->w", leverage, np.linalg.solve(information, leverage[..., None])[..., 0]
    )
    conditional = windows.sums(spread) + fitted
    if hunted.conditional:
        return np.asarray(np.sqrt(conditional))
    try:
        model = BatchModel.make(hunted.function, windows.edges, spectrum)
        fits = model.fit_windows(
            spectrum[None], model.start(spectrum)[None], windows.firsts, windows.stops
        )
    except FitError:
        return np.asarray(np.sqrt(conditional))
    variance = windows.sums(spectrum) + fits.variance[0]
    return np.asarray(np.sqrt(np.where(np.isfinite(variance), variance, conditional)))
