"""A background that is known beside a window and predicted inside it."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from oddjet.analysis.statistics.background.likelihood import FitResult
from oddjet.analysis.statistics.spectrum import Spectrum, Window, check_window
from oddjet.errors import FitError
from oddjet.typing import Bools, Floats

__all__ = ["SidebandEstimate", "sidebands"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class SidebandEstimate(ABC):
    """A background that is known beside a window and predicted inside it.

    Attributes:
        data: The histogram; NaN in bins that are blinded.
        use: Bins that entered the fit, shape (n_bins,).
        window: The window that was masked [GeV].
        expected: Expected events in every bin, shape (n_bins,), the window included.
        errors: Their uncertainty, shape (n_bins,).
        predicted: Expected events in all bins that overlap the window.
        predicted_error: Its uncertainty, with the correlations between bins.
    """

    data: Spectrum
    use: Bools
    window: Window
    fitted: FitResult
    expected: Floats
    errors: Floats
    predicted: float
    predicted_error: float

    @property
    @abstractmethod
    def name(self) -> str:
        """Name of the function or method."""

    @property
    @abstractmethod
    def pulls(self) -> Floats:
        """(content − expected) / σ a bin, shape (n_bins,); NaN where blinded."""

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
        return self.fitted.p_value

    @property
    def in_window(self) -> Bools:
        """Bins that overlap the window, shape (n_bins,)."""
        return check_window(self.edges, self.window)

    @property
    def observed(self) -> float | None:
        """Events in the bins that overlap the window; None while any of them is blinded."""
        inside = self.counts[self.in_window]
        return None if np.isnan(inside).any() else float(inside.sum())

    def to_dict(self) -> dict[str, Any]:
        """Every number, ready for JSON; NaN marks what is blinded."""
        return {
            "window": list(self.window),
            "chi2": self.fitted.deviance,
            "ndf": self.fitted.ndf,
            "goodness_of_fit_p": self.p_value,
            "predicted_in_window": self.predicted,
            "predicted_in_window_error": self.predicted_error,
            "observed_in_window": self.observed,
            "edges": self.edges.tolist(),
            "counts": self.counts.tolist(),
            "fitted_bins": self.use.tolist(),
            "expected": self.expected.tolist(),
            "expected_errors": self.errors.tolist(),
            "pulls": self.pulls.tolist(),
            "covariance": self.fitted.covariance.tolist(),
        }


def sidebands(data: Spectrum, window: Window) -> tuple[Bools, Bools]:
    """Split the bins into those under a window and those that a fit beside it may use.

    Returns:
        Masks of shape (n_bins,): bins that overlap the window; bins that neither do nor are blinded.

    Raises:
        FitError: The window leaves no bin on one of its sides.
    """
    inside = check_window(data.edges, window)
    use = ~(inside | data.hidden)
    first, last = np.flatnonzero(inside)[[0, -1]]
    below, above = int(use[:first].sum()), int(use[last + 1 :].sum())
    if below == 0 or above == 0:
        msg = (
            f"the window [{window[0]:g}, {window[1]:g}) GeV leaves {below} sideband bins below "
            f"and {above} above in [{data.edges[0]:g}, {data.edges[-1]:g}) GeV: a fit would "
            "extrapolate into it; widen the mass range"
        )
        raise FitError(msg)
    return inside, use
