"""The spread of the methods: what the choice of a background estimate is worth in events.

Each family of functions, its order chosen by F-test, and the transfer factor predict the window.
The central value is that of the first method that describes the sidebands; the systematic
uncertainty is the largest distance of any other such method from it. A method whose goodness of
fit is below `WORST_P`, or that fails, is listed and not used.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from oddjet.analysis.statistics.background.estimate import SidebandEstimate
from oddjet.analysis.statistics.background.fit import fit_sidebands
from oddjet.analysis.statistics.background.functions import FAMILIES
from oddjet.analysis.statistics.background.transfer import fit_transfer
from oddjet.analysis.statistics.spectrum import Histogram, Spectrum, Window
from oddjet.errors import FitError

__all__ = ["WORST_P", "Method", "MethodSpread", "compare_methods"]


WORST_P = 0.01


@dataclasses.dataclass(frozen=True)
class Method:
    """One estimate of the background in the window.

    Attributes:
        requested: What was asked for: a family, ``auto``, one function or ``transfer``.
        name: What it became, such as ``dijet3`` or ``transfer1``; as requested where it failed.
        predicted: Expected events in the window; NaN where it failed.
        error: Their statistical uncertainty; NaN where it failed.
        p_value: Goodness of fit in the sidebands; NaN where it failed.
        used: Whether it takes part in the spread.
        why_not: Why it is not used, or an empty string.
    """

    requested: str
    name: str
    predicted: float = np.nan
    error: float = np.nan
    p_value: float = np.nan
    used: bool = False
    why_not: str = ""


@dataclasses.dataclass(frozen=True)
class MethodSpread:
    """All estimates of the background in one window.

    Attributes:
        window: The window [GeV].
        methods: One entry a method, in the order they were asked for.
    """

    window: Window
    methods: tuple[Method, ...]

    @property
    def used(self) -> tuple[Method, ...]:
        """The methods that take part; the first is the central one."""
        return tuple(method for method in self.methods if method.used)

    @property
    def central(self) -> float:
        """Expected events of the first method that is used."""
        return self.used[0].predicted

    @property
    def statistical(self) -> float:
        """Its statistical uncertainty."""
        return self.used[0].error

    @property
    def systematic(self) -> float | None:
        """Largest distance of another method from the central one; None if there is no other."""
        if len(self.used) < 2:
            return None
        return max(abs(method.predicted - self.central) for method in self.used[1:])

    @property
    def total_error(self) -> float:
        """Statistical and systematic uncertainty in quadrature."""
        return float(np.hypot(self.statistical, self.systematic or 0.0))

    def to_dict(self) -> dict[str, Any]:
        """Every number, ready for JSON."""
        return {
            "window": list(self.window),
            "central": self.central,
            "central_method": self.used[0].name,
            "statistical_error": self.statistical,
            "systematic_error": self.systematic,
            "total_error": self.total_error,
            "smallest_goodness_of_fit_p": WORST_P,
            "methods": [dataclasses.asdict(method) for method in self.methods],
        }


def compare_methods(
    histogram: Histogram,
    *,
    window: Window,
    functions: Sequence[str] = tuple(FAMILIES),
    failing: Histogram | None = None,
) -> MethodSpread:
    """Estimate the background in a window by several methods.

    Args:
        histogram: A `Spectrum`, or any UHI histogram of numbers of events.
        window: The signal window, masked in every fit [GeV].
        functions: Families, functions or ``auto``; the first that is good is the central one.
        failing: The jets that fail the cut, in the same bins; with them the transfer factor is a
            method too.

    Raises:
        FitError: No method describes the sidebands; the message names what became of each.
        ConfigError: There is no function of one of the names.
    """
    spectrum = Spectrum.from_histogram(histogram)
    fit = partial(fit_sidebands, spectrum, window=window)
    methods = [_judge(name, partial(fit, function=name)) for name in functions]
    if failing is not None:
        transfer = partial(fit_transfer, spectrum, failing, window=window)
        methods.append(_judge("transfer", transfer))
    if not any(method.used for method in methods):
        reasons = "\n".join(f"  {method.name}: {method.why_not}" for method in methods)
        msg = f"no method describes the sidebands of [{window[0]:g}, {window[1]:g}) GeV:\n{reasons}"
        raise FitError(msg)
    return MethodSpread((float(window[0]), float(window[1])), tuple(methods))


def _judge(requested: str, estimate: Callable[[], SidebandEstimate]) -> Method:
    try:
        fit = estimate()
    except FitError as error:
        return Method(requested, requested, why_not=str(error))
    good = fit.p_value >= WORST_P
    return Method(
        requested=requested,
        name=fit.name,
        predicted=fit.predicted,
        error=fit.predicted_error,
        p_value=fit.p_value,
        used=good,
        why_not="" if good else f"goodness of fit p = {fit.p_value:.2g} < {WORST_P:g}",
    )
