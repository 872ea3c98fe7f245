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
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import special, stats

from oddjet.analysis.statistics.background.binned import (
    BinnedCounts,
    Window,
    check_counts,
    check_window,
)
from oddjet.analysis.statistics.background.choice import ALPHA
from oddjet.errors import ConfigError, FitError
from oddjet.typing import Bools, Floats

__all__ = ["MAX_ORDER", "TransferFit", "TriedOrder", "fit_transfer"]


MAX_ORDER = 4


@dataclasses.dataclass(frozen=True)
class TriedOrder:
    """One order of the polynomial and what became of it.

    Attributes:
        order: Degree of ln r in the mass; 0 is a constant.
        deviance: −2 ln of the likelihood over that of the saturated model; None if it failed.
        ndf: Degrees of freedom; None if it failed.
        f_test_p: Tail probability of the F-test against one order less, where there is one.
        chosen: Whether this order is used.
        failure: Why the fit failed, or an empty string.
    """

    order: int
    deviance: float | None = None
    ndf: int | None = None
    f_test_p: float | None = None
    chosen: bool = False
    failure: str = ""


@dataclasses.dataclass(frozen=True)
class _Ratio:
    """A converged fit of ln r."""

    parameters: Floats
    covariance: Floats
    deviance: float
    ndf: int


@dataclasses.dataclass(frozen=True)
class TransferFit:
    """The passing background, predicted from the failing jets.

    Attributes:
        data: The passing histogram; NaN in bins that are blinded.
        failing: The failing histogram.
        use: Bins that entered the fit, shape (n_bins,).
        window: The window that was masked [GeV].
        order: Degree of ln r in the mass.
        parameters: Legendre coefficients of ln r, the range mapped to [−1, 1].
        covariance: Their covariance.
        deviance: −2 ln of the likelihood over that of the saturated model.
        ndf: Fitted bins that are not empty minus parameters.
        ratio: r in every bin, shape (n_bins,).
        expected: Expected passing events, r F, shape (n_bins,).
        errors: Their uncertainty from r and from the statistics of F, shape (n_bins,).
        predicted: Expected passing events in all bins that overlap the window.
        predicted_error: Its uncertainty, with the correlations between bins.
        tried: Every order that was fitted.
    """

    data: BinnedCounts
    failing: BinnedCounts
    use: Bools
    window: Window
    order: int
    parameters: Floats
    covariance: Floats
    deviance: float
    ndf: int
    ratio: Floats
    expected: Floats
    errors: Floats
    predicted: float
    predicted_error: float
    tried: tuple[TriedOrder, ...]

    @property
    def name(self) -> str:
        """Method and order, such as ``transfer1``."""
        return f"transfer{self.order}"

    @property
    def p_value(self) -> float:
        """Goodness of fit: tail probability of the deviance under χ²(ndf)."""
        return float(stats.chi2.sf(self.deviance, self.ndf))

    @property
    def in_window(self) -> Bools:
        """Bins that overlap the window, shape (n_bins,)."""
        return check_window(self.data.edges, self.window)

    @property
    def observed(self) -> float | None:
        """Passing events in the bins that overlap the window; None while any is blinded."""
        inside = self.data.counts[self.in_window]
        return None if np.isnan(inside).any() else float(inside.sum())

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
            "method": self.name,
            "order": self.order,
            "parameters": self.parameters.tolist(),
            "covariance": self.covariance.tolist(),
            "window": list(self.window),
            "chi2": self.deviance,
            "ndf": self.ndf,
            "goodness_of_fit_p": self.p_value,
            "predicted_in_window": self.predicted,
            "predicted_in_window_error": self.predicted_error,
            "observed_in_window": self.observed,
            "edges": self.data.edges.tolist(),
            "counts": self.data.counts.tolist(),
            "failing": self.failing.counts.tolist(),
            "fitted_bins": self.use.tolist(),
            "ratio": self.ratio.tolist(),
            "expected": self.expected.tolist(),
            "expected_errors": self.errors.tolist(),
            "pulls": self.pulls.tolist(),
            "tried": [dataclasses.asdict(each) for each in self.tried],
        }


def fit_transfer(
    passing: npt.ArrayLike,
    failing: npt.ArrayLike,
    edges: npt.ArrayLike,
    *,
    window: Window,
    order: int | None = None,
    passing_variances: npt.ArrayLike | None = None,
    failing_variances: npt.ArrayLike | None = None,
    is_data: bool = True,
    blind_window: Window | None = None,
    alpha: float = ALPHA,
) -> TransferFit:
    """Predict the passing spectrum in a window from the failing one.

    A signal that fails the cut in the window is part of F and raises the prediction by r times
    its number: harmless for a tight cut.

    Args:
        passing: Contents after the cut, shape (n_bins,).
        failing: Contents of the jets that fail it, shape (n_bins,); seen in the window too.
        edges: Bin edges, n_bins + 1 of them [GeV].
        window: The signal window, masked in the fit [GeV].
        order: Degree of ln r in the mass; by F-test up to `MAX_ORDER` if None.
        passing_variances: Σw² a bin, shape (n_bins,); may be left out for data.
        failing_variances: The same of the failing jets.
        is_data: Whether contents are numbers of events.
        blind_window: Window whose passing contents are not looked at [GeV].
        alpha: A higher order is accepted below this F-test probability.

    Raises:
        FitError: A histogram is not fit for it, there are too few bins for the order, a sideband
            is empty, the failing jets are none, or the fit is not valid.
        ConfigError: The order is not in 0 to `MAX_ORDER`.
    """
    if order is not None and not 0 <= order <= MAX_ORDER:
        msg = f"expected an order of the transfer factor in 0 to {MAX_ORDER}, received {order}"
        raise ConfigError(msg)
    data = check_counts(
        passing, edges, variances=passing_variances, is_data=is_data, blind_window=blind_window
    )
    fails = check_counts(failing, edges, variances=failing_variances, is_data=is_data)
    inside = check_window(data.edges, window)
    use = ~(inside | data.hidden)
    _check_sidebands(data, fails, use, inside)
    fitted, tried = _choose_order(data, fails, use, order=order, alpha=alpha)
    design = _legendre(data.edges, fitted.parameters.size - 1)
    ratio = np.exp(design @ fitted.parameters)
    expected = ratio * fails.counts
    slopes = expected[:, None] * design
    own = ratio**2 * fails.variances
    total = np.diag(own) + slopes @ fitted.covariance @ slopes.T
    return TransferFit(
        data=data,
        failing=fails,
        use=use,
        window=(float(window[0]), float(window[1])),
        order=fitted.parameters.size - 1,
        parameters=fitted.parameters,
        covariance=fitted.covariance,
        deviance=fitted.deviance,
        ndf=fitted.ndf,
        ratio=ratio,
        expected=expected,
        errors=np.sqrt(np.diag(total)),
        predicted=float(expected[inside].sum()),
        predicted_error=float(np.sqrt(total[np.ix_(inside, inside)].sum())),
        tried=tried,
    )


def _check_sidebands(data: BinnedCounts, fails: BinnedCounts, use: Bools, inside: Bools) -> None:
    first, last = np.flatnonzero(inside)[[0, -1]]
    below, above = int(use[:first].sum()), int(use[last + 1 :].sum())
    if below == 0 or above == 0:
        msg = (
            f"the window leaves {below} sideband bins below and {above} above: the ratio would be "
            "extrapolated into it; widen the mass range"
        )
        raise FitError(msg)
    for what, counts in (("passing", data.counts), ("failing", fails.counts)):
        if not counts[use].sum() > 0:
            msg = f"no {what} events in the {int(use.sum())} sideband bins: move the cut"
            raise FitError(msg)


def _legendre(edges: Floats, order: int) -> Floats:
    centres = 0.5 * (edges[:-1] + edges[1:])
    x = 2.0 * (centres - edges[0]) / (edges[-1] - edges[0]) - 1.0
    return np.asarray(np.polynomial.legendre.legvander(x, order))


def _choose_order(
    data: BinnedCounts, fails: BinnedCounts, use: Bools, *, order: int | None, alpha: float
) -> tuple[_Ratio, tuple[TriedOrder, ...]]:
    if order is not None:
        only = _fit_ratio(data, fails, use, order)
        return only, (TriedOrder(order, only.deviance, only.ndf, chosen=True),)
    best: _Ratio | None = None
    tried: list[TriedOrder] = []
    for degree in range(MAX_ORDER + 1):
        try:
            fitted = _fit_ratio(data, fails, use, degree)
        except FitError as error:
            if best is None:
                raise
            tried.append(TriedOrder(degree, failure=str(error)))
            break
        p = None if best is None else _f_test(best, fitted)
        tried.append(TriedOrder(degree, fitted.deviance, fitted.ndf, p))
        if p is not None and p >= alpha:
            break
        best = fitted
    if best is None:  # pragma: no cover - the loop raises or fills it
        msg = "no order of the transfer factor could be fitted"
        raise FitError(msg)
    chosen = best.parameters.size - 1
    return best, tuple(dataclasses.replace(t, chosen=t.order == chosen) for t in tried)


def _f_test(smaller: _Ratio, larger: _Ratio) -> float:
    gain = max(smaller.deviance - larger.deviance, 0.0)
    return float(stats.f.sf(gain / (max(larger.deviance, 1e-12) / larger.ndf), 1, larger.ndf))


def _fit_ratio(data: BinnedCounts, fails: BinnedCounts, use: Bools, order: int) -> _Ratio:
    """Binomial fit of P among P + F in effective events, by iminuit."""
    from iminuit import Minuit  # noqa: PLC0415

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
    # Effective events have the ratio r s_F / s_P.
    offset = np.log(fails.weight_scale[filled] / data.weight_scale[filled])
    design = _legendre(data.edges, order)[filled]
    saturated = special.xlogy(on, on / (on + off)) + special.xlogy(off, off / (on + off))

    def value(p: Floats) -> float:
        z = design @ p + offset
        # −ln of r/(1+r) and of 1/(1+r), without overflow.
        return float(np.sum(on * np.logaddexp(0, -z) + off * np.logaddexp(0, z) + saturated))

    def gradient(p: Floats) -> Floats:
        z = design @ p + offset
        return np.asarray(design.T @ ((on + off) * special.expit(z) - on))

    start = np.zeros(order + 1)
    start[0] = np.log(on.sum() / off.sum()) - np.average(offset, weights=on + off)
    minuit = Minuit(value, start, grad=gradient)
    minuit.errordef = Minuit.LIKELIHOOD
    minuit.migrad()
    minuit.hesse()
    if not (minuit.valid and minuit.accurate and minuit.covariance is not None):
        msg = (
            f"the transfer factor of order {order} did not converge on {n_bins} sideband bins "
            f"(valid minimum: {minuit.valid}, accurate covariance: {minuit.accurate}): use a lower "
            "order or a looser cut"
        )
        raise FitError(msg)
    parameters = np.array(minuit.values, dtype=np.float64)
    covariance = np.array(minuit.covariance, dtype=np.float64)
    return _Ratio(parameters, covariance, 2.0 * value(parameters), n_bins - order - 1)
