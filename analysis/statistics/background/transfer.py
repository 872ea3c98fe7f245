"""The pass/fail transfer factor: a background estimate that assumes nothing about the spectrum.

Jets that fail a cut have the spectrum F(m), those that pass P(m) = r(m) F(m). If the cut is
nearly independent of mass, r is smooth and needs few parameters: ln r is a polynomial of the mass,
fitted outside the window. Inside, r F predicts P.

In each bin P and F are Poisson with expectations r μ and μ. Maximised over μ, the likelihood is the
binomial one of P among P + F with probability r / (1 + r), exactly: the statistical error of the
failing spectrum is inside. Weighted simulation enters as effective events, P Σw/Σw² and F Σw/Σw²,
each with its own typical weight.

References:
    R. D. Cousins, J. T. Linnemann and J. Tucker, arXiv:physics/0702156, section 2 (on/off and the
    binomial); CMS, arXiv:1709.05543, section 5 (pass/fail ratio as a polynomial).
"""

from __future__ import annotations

import dataclasses
from functools import cached_property
from typing import Any

import numpy as np
from scipy import special

from oddjet.analysis.statistics.background.estimate import SidebandEstimate, sidebands
from oddjet.analysis.statistics.background.likelihood import FitResult, minimise
from oddjet.analysis.statistics.background.nested import Tried, add_parameters
from oddjet.analysis.statistics.background.quadrature import mean_masses
from oddjet.analysis.statistics.spectrum import (
    Histogram,
    Spectrum,
    Window,
    check_counts,
    check_same_edges,
)
from oddjet.errors import ConfigError, FitError
from oddjet.typing import Bools, Floats

__all__ = ["MAX_ORDER", "TransferFit", "fit_transfer"]


MAX_ORDER = 4
LARGEST_LOGARITHM = 100.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class TransferFit(SidebandEstimate):
    """The passing background, predicted from the failing jets.

    The fitted parameters are the Legendre coefficients of ln r, the range mapped to [−1, 1].
    Errors come from r and from the statistics of the failing jets. Filled bins alone count in ndf.

    Attributes:
        ratio: r in every bin, shape (n_bins,).
    """

    failing: Spectrum
    ratio: Floats
    tried: tuple[Tried, ...]

    @property
    def order(self) -> int:
        """Degree of ln r in the mass."""
        return int(self.fitted.parameters.size - 1)

    @property
    def name(self) -> str:
        """Method and order, such as ``transfer1``."""
        return f"transfer{self.order}"

    @property
    def pulls(self) -> Floats:
        """(P − r F) / √(r F s_P + r² F s_F) a bin, shape (n_bins,); NaN where nothing is expected.

        s is Σw²/Σw. The errors of P and of F both enter, because both fluctuate.
        """
        variance = self.expected * (self.data.weight_scale + self.ratio * self.failing.weight_scale)
        root = np.sqrt(np.where(variance > 0, variance, np.nan))
        return np.asarray((self.data.counts - self.expected) / root)

    def to_dict(self) -> dict[str, Any]:
        """Every number, ready for JSON; NaN marks what is blinded."""
        return {
            **super().to_dict(),
            "method": self.name,
            "order": self.order,
            "parameters": self.fitted.parameters.tolist(),
            "failing": self.failing.counts.tolist(),
            "ratio": self.ratio.tolist(),
            "tried": [dataclasses.asdict(attempt) for attempt in self.tried],
        }


def fit_transfer(
    passing: Histogram,
    failing: Histogram,
    *,
    window: Window,
    order: int | None = None,
) -> TransferFit:
    """Predict the passing spectrum in a window from the failing one.

    A signal that fails the cut in the window is part of F and raises the prediction by r times
    its number: harmless for a tight cut.

    Args:
        passing: Jets after the cut: a `Spectrum`, or any UHI histogram of numbers of events.
        failing: The jets that fail it, in the same bins; seen in the window too.
        window: The signal window, masked in the fit [GeV].
        order: Degree of ln r in the mass; by F-test up to `MAX_ORDER` if None.

    Raises:
        FitError: A histogram is not fit for it, failing jets in the window are blinded, there are too few
            bins for the order, a sideband is empty, the failing jets are none, or the fit is not valid.
        ConfigError: The order is not in 0 to `MAX_ORDER`.
    """
    if order is not None and not 0 <= order <= MAX_ORDER:
        msg = f"expected an order of the transfer factor in 0 to {MAX_ORDER}, received {order}"
        raise ConfigError(msg)
    data, fails = check_counts(passing), check_counts(failing)
    check_same_edges(fails.edges, data.edges, "the histogram of the failing jets")
    inside, use = sidebands(data, window)
    if (fails.hidden & inside).any():
        msg = "the failing jets in the window are blinded, and the transfer factor multiplies them: unblind first"
        raise FitError(msg)
    for what, counts in (("passing", data.counts), ("failing", fails.counts)):
        if not counts[use].sum() > 0:
            msg = f"no {what} events in the {int(use.sum())} sideband bins: move the cut"
            raise FitError(msg)
    fitted, tried = _choose_order(data, fails, use, order)
    design = _legendre(fails, fitted.parameters.size - 1)
    ratio = _ratio(design @ fitted.parameters, int(data.counts[use].sum()))
    expected = ratio * fails.counts
    slopes = expected[:, None] * design
    own = ratio**2 * fails.sumw2
    total = np.diag(own) + slopes @ fitted.covariance @ slopes.T
    return TransferFit(
        data=data,
        failing=fails,
        use=use,
        window=(float(window[0]), float(window[1])),
        fitted=fitted,
        ratio=ratio,
        expected=expected,
        errors=np.sqrt(np.diag(total)),
        predicted=float(expected[inside].sum()),
        predicted_error=float(np.sqrt(total[np.ix_(inside, inside)].sum())),
        tried=tried,
    )


def _ratio(logarithm: Floats, n_passing: int) -> Floats:
    """The transfer factor of each bin.

    Raises:
        FitError: It runs away where no events hold it.
    """
    if not np.abs(logarithm).max() < LARGEST_LOGARITHM:
        msg = (
            f"{n_passing} passing events beside the window do not hold the transfer factor: its logarithm reaches "
            f"{np.abs(logarithm).max():.3g}. Loosen the cut, or take a lower order"
        )
        raise FitError(msg)
    return np.asarray(np.exp(logarithm))


def _legendre(fails: Spectrum, order: int) -> Floats:
    """At the mean mass of the failing jets in each bin: the mean of ln r there, if it is straight."""
    edges = fails.edges
    events = np.maximum(np.nan_to_num(fails.counts / fails.weight_scale), 0.5)
    x = 2.0 * (mean_masses(edges, events) - edges[0]) / (edges[-1] - edges[0]) - 1.0
    return np.asarray(np.polynomial.legendre.legvander(x, order))


def _choose_order(
    data: Spectrum, fails: Spectrum, use: Bools, order: int | None
) -> tuple[FitResult, tuple[Tried, ...]]:
    best, tried = add_parameters(
        lambda number: _fit_ratio(data, fails, use, number - 1),
        range(1, MAX_ORDER + 2) if order is None else (order + 1,),
        name=lambda number: f"transfer{number - 1}",
    )
    if best is None:
        raise FitError(tried[0].failure)
    n_parameters = best.parameters.size
    return best, tuple(dataclasses.replace(t, chosen=t.n_parameters == n_parameters) for t in tried)


@dataclasses.dataclass(frozen=True)
class _Binomial:
    """Likelihood of the Legendre coefficients of ln r: P among P + F in effective events.

    Attributes:
        on: Effective passing events in the filled bins, shape (n_use,).
        off: The same of the failing jets.
        offset: ln of s_F / s_P, shape (n_use,): effective events have the ratio r s_F / s_P.
        design: Legendre polynomials, shape (n_use, n_parameters).
    """

    on: Floats
    off: Floats
    offset: Floats
    design: Floats

    @cached_property
    def saturated(self) -> Floats:
        total = self.on + self.off
        return np.asarray(
            special.xlogy(self.on, self.on / total) + special.xlogy(self.off, self.off / total)
        )

    def value(self, p: Floats) -> float:
        z = self.design @ p + self.offset
        # −ln of r/(1+r) and of 1/(1+r), without overflow.
        logs = self.on * np.logaddexp(0, -z) + self.off * np.logaddexp(0, z)
        return float(np.sum(logs + self.saturated))

    def gradient(self, p: Floats) -> Floats:
        z = self.design @ p + self.offset
        return np.asarray(self.design.T @ ((self.on + self.off) * special.expit(z) - self.on))


def _fit_ratio(data: Spectrum, fails: Spectrum, use: Bools, order: int) -> FitResult:
    on, off = data.counts / data.weight_scale, fails.counts / fails.weight_scale
    filled = use & (np.nan_to_num(on) + off > 0)
    n_bins = int(filled.sum())
    if n_bins - 1 < order + 1:
        msg = (
            f"too few sideband bins for a transfer factor of order {order}: {order + 1} "
            f"parameters need more than {order + 1} filled bins, received {n_bins}: use finer or "
            "more bins, a smaller window or a lower order"
        )
        raise FitError(msg)
    on, off = on[filled], off[filled]
    offset = np.log(fails.weight_scale[filled] / data.weight_scale[filled])
    problem = _Binomial(on, off, offset, _legendre(fails, order)[filled])
    start = np.zeros(order + 1)
    start[0] = np.log(on.sum() / off.sum()) - np.average(offset, weights=on + off)
    name = f"transfer{order}"
    return minimise(problem.value, problem.gradient, start, n_bins=n_bins, name=name)
