"""The sideband fit: a falling function of mass outside a window, predicted inside it."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats

from oddjet.analysis.statistics.background.binned import (
    BinnedCounts,
    Window,
    check_counts,
    check_window,
)
from oddjet.analysis.statistics.background.choice import ALPHA, TriedFunction, choose_function
from oddjet.analysis.statistics.background.likelihood import Fitted
from oddjet.errors import FitError
from oddjet.typing import Bools, Floats

__all__ = ["BackgroundFit", "TriedFunction", "fit_sidebands"]


@dataclasses.dataclass(frozen=True)
class BackgroundFit:
    """A background estimated from sidebands.

    Attributes:
        fitted: Function, parameters, covariance and deviance.
        data: The histogram; NaN in bins that are blinded.
        use: Bins that entered the fit, shape (n_bins,).
        window: The window that was masked [GeV].
        expected: Expected events in every bin, shape (n_bins,), the window included.
        errors: Their uncertainty from the parameters' covariance, shape (n_bins,).
        predicted: Expected events in all bins that overlap the window.
        predicted_error: Its uncertainty, with the correlations between bins.
        tried: Every function that was fitted on the way.
        requested: What was asked for: ``auto``, a family or one function.
    """

    fitted: Fitted
    data: BinnedCounts
    use: Bools
    window: Window
    expected: Floats
    errors: Floats
    predicted: float
    predicted_error: float
    tried: tuple[TriedFunction, ...]
    requested: str

    @property
    def name(self) -> str:
        """Name of the function."""
        return self.fitted.function.name

    @property
    def edges(self) -> Floats:
        """Bin edges, n_bins + 1 of them [GeV]."""
        return self.data.edges

    @property
    def counts(self) -> Floats:
        """Contents, shape (n_bins,); NaN in bins that are blinded."""
        return self.data.counts

    @property
    def p_value(self) -> float:
        """Goodness of fit: tail probability of the deviance under χ²(ndf)."""
        return float(stats.chi2.sf(self.fitted.deviance, self.fitted.ndf))

    @property
    def in_window(self) -> Bools:
        """Bins that overlap the window, shape (n_bins,)."""
        return check_window(self.edges, self.window)

    @property
    def observed(self) -> float | None:
        """Events in the bins that overlap the window; None while any of them is blinded."""
        inside = self.counts[self.in_window]
        return None if np.isnan(inside).any() else float(inside.sum())

    @property
    def pulls(self) -> Floats:
        """(content − expected) / √(expected Σw²/Σw) a bin, shape (n_bins,); NaN where blinded."""
        return np.asarray(
            (self.counts - self.expected) / np.sqrt(self.expected * self.data.weight_scale)
        )

    def density(self, mass: npt.ArrayLike) -> Floats:
        """Expected events per GeV at some masses [GeV]."""
        return self.fitted.function(mass, self.fitted.parameters)

    def to_dict(self) -> dict[str, Any]:
        """Every number, ready for JSON; NaN marks what is blinded."""
        function = self.fitted.function
        errors = np.sqrt(np.diag(self.fitted.covariance))
        return {
            "function": function.name,
            "formula": function.formula,
            "requested": self.requested,
            "parameters": dict(
                zip(function.parameter_names, self.fitted.parameters.tolist(), strict=True)
            ),
            "parameter_errors": dict(zip(function.parameter_names, errors.tolist(), strict=True)),
            "covariance": self.fitted.covariance.tolist(),
            "scale": function.scale,
            "window": list(self.window),
            "chi2": self.fitted.deviance,
            "ndf": self.fitted.ndf,
            "goodness_of_fit_p": self.p_value,
            "predicted_in_window": self.predicted,
            "predicted_in_window_error": self.predicted_error,
            "observed_in_window": self.observed,
            "is_data": self.data.is_data,
            "edges": self.edges.tolist(),
            "counts": self.counts.tolist(),
            "fitted_bins": self.use.tolist(),
            "expected": self.expected.tolist(),
            "expected_errors": self.errors.tolist(),
            "pulls": self.pulls.tolist(),
            "tried": [each.to_dict() for each in self.tried],
        }


def fit_sidebands(
    counts: npt.ArrayLike,
    edges: npt.ArrayLike,
    *,
    window: Window,
    function: str = "auto",
    variances: npt.ArrayLike | None = None,
    is_data: bool = True,
    blind_window: Window | None = None,
    scale: float | None = None,
    alpha: float = ALPHA,
) -> BackgroundFit:
    """Fit a falling function to everything outside a window.

    Every bin that overlaps the window [low, high) is masked, so a bin is never half used. With
    `blind_window` its bins are masked as well, and their contents are replaced by NaN before
    anything is computed.

    Args:
        counts: Contents, shape (n_bins,).
        edges: Bin edges, n_bins + 1 of them [GeV].
        window: The signal window, lower and upper end [GeV].
        function: ``auto``, a family (``dijet``, ``exppoly``) or one function (``dijet3``).
        variances: Σw² a bin, shape (n_bins,); may be left out for data.
        is_data: Whether contents are numbers of events. Weighted simulation says False and is
            fitted by the scaled Poisson likelihood.
        blind_window: Window whose contents are not looked at [GeV].
        scale: The mass that x = 1 stands for [GeV]; twice the upper edge by default.
        alpha: An extra parameter is accepted below this F-test probability.

    Raises:
        FitError: The histogram is not fit for it (see `check_counts`), the window leaves no bin
            on one of its sides, there are too few bins for the function, nothing is in them, or
            the minimum is not valid.
        ConfigError: There is no function of that name.
    """
    data = check_counts(
        counts, edges, variances=variances, is_data=is_data, blind_window=blind_window
    )
    inside = check_window(data.edges, window)
    use = ~(inside | data.hidden)
    _check_sidebands(data, inside, use, window)
    chosen_scale = 2.0 * float(data.edges[-1]) if scale is None else scale
    fitted, tried = choose_function(function, data, use, scale=chosen_scale, alpha=alpha)
    expected, jacobian = fitted.function.on(data.edges).expected_and_jacobian(fitted.parameters)
    variance = np.einsum("bp,pq,bq->b", jacobian, fitted.covariance, jacobian)
    slope = jacobian[inside].sum(axis=0)
    return BackgroundFit(
        fitted=fitted,
        data=data,
        use=use,
        window=(float(window[0]), float(window[1])),
        expected=expected,
        errors=np.sqrt(np.maximum(variance, 0.0)),
        predicted=float(expected[inside].sum()),
        predicted_error=float(np.sqrt(max(slope @ fitted.covariance @ slope, 0.0))),
        tried=tried,
        requested=function,
    )


def _check_sidebands(data: BinnedCounts, inside: Bools, use: Bools, window: Window) -> None:
    first, last = np.flatnonzero(inside)[[0, -1]]
    below, above = int(use[:first].sum()), int(use[last + 1 :].sum())
    if below == 0 or above == 0:
        msg = (
            f"the window [{window[0]:g}, {window[1]:g}) GeV leaves {below} sideband bins below "
            f"and {above} above in [{data.edges[0]:g}, {data.edges[-1]:g}) GeV: a fit would "
            "extrapolate into it; widen the mass range"
        )
        raise FitError(msg)
    if not data.counts[use].sum() > 0:
        msg = f"no events in the {int(use.sum())} sideband bins: loosen the cut or add data"
        raise FitError(msg)
