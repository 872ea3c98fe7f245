"""The sideband fit: a falling function of mass outside a window, predicted inside it."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt

from oddjet.analysis.statistics.background.choice import choose_function
from oddjet.analysis.statistics.background.estimate import SidebandEstimate, sidebands
from oddjet.analysis.statistics.background.likelihood import Fitted
from oddjet.analysis.statistics.background.nested import Tried
from oddjet.analysis.statistics.spectrum import Histogram, Window, check_counts
from oddjet.errors import FitError
from oddjet.typing import Floats

__all__ = ["BackgroundFit", "fit_sidebands"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class BackgroundFit(SidebandEstimate):
    """A background estimated from sidebands; errors are those of the parameters' covariance.

    Attributes:
        tried: Every function that was fitted on the way.
        requested: What was asked for: ``auto``, a family or one function.
    """

    fitted: Fitted
    tried: tuple[Tried, ...]
    requested: str

    @property
    def name(self) -> str:
        """Name of the function."""
        return self.fitted.function.name

    @property
    def pulls(self) -> Floats:
        """(content − expected) / √(expected Σw²/Σw) a bin, shape (n_bins,); NaN where blinded."""
        return np.asarray(
            (self.counts - self.expected) / np.sqrt(self.expected * self.data.weight_scale)
        )

    @property
    def bin_covariance(self) -> Floats:
        """Covariance of the expected events between bins, J C Jᵀ, shape (n_bins, n_bins)."""
        binned = self.fitted.function.on(self.edges)
        jacobian = binned.expected_and_jacobian(self.fitted.parameters)[1]
        return np.asarray(jacobian @ self.fitted.covariance @ jacobian.T)

    def density(self, mass: npt.ArrayLike) -> Floats:
        """Expected events per GeV at some masses [GeV], without known peaks."""
        return self.fitted.function(mass, self.fitted.parameters)

    def to_dict(self) -> dict[str, Any]:
        """Every number, ready for JSON; NaN marks what is blinded."""
        function, names = self.fitted.function, self.fitted.function.parameter_names
        errors = np.sqrt(np.diag(self.fitted.covariance))
        return {
            **super().to_dict(),
            "function": function.name,
            "formula": function.formula,
            "requested": self.requested,
            "parameters": dict(zip(names, self.fitted.parameters.tolist(), strict=True)),
            "parameter_errors": dict(zip(names, errors.tolist(), strict=True)),
            "scale": function.scale,
            "is_data": self.data.is_data,
            "tried": [dataclasses.asdict(attempt) for attempt in self.tried],
        }


def fit_sidebands(
    histogram: Histogram,
    *,
    window: Window,
    function: str = "auto",
) -> BackgroundFit:
    """Fit a falling function to everything outside a window.

    Every bin that overlaps the window [low, high) is masked, so a bin is never half used. Blinded
    bins are masked as well. Weighted simulation is fitted by the scaled Poisson likelihood.

    Args:
        histogram: A `Spectrum`, or any UHI histogram of numbers of events.
        window: The signal window, lower and upper end [GeV].
        function: ``auto``, a family (``dijet``, ``exppoly``) or one function (``dijet3``).

    Raises:
        FitError: The histogram is not fit for it (see `Spectrum.checked`), the window leaves no bin
            on one of its sides, there are too few bins for the function, nothing is in them, or
            the minimum is not valid.
        ConfigError: There is no function of that name.
    """
    data = check_counts(histogram)
    inside, use = sidebands(data, window)
    if not data.counts[use].sum() > 0:
        msg = f"no events in the {int(use.sum())} sideband bins: loosen the cut or add data"
        raise FitError(msg)
    fitted, tried = choose_function(function, data, use)
    binned = fitted.function.on(data.edges, data.given)
    expected, jacobian = binned.expected_and_jacobian(fitted.parameters)
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
