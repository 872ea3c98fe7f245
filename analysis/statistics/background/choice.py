"""The choice of a function, family and order at once: the smallest deviance, with a penalty for each parameter.

References:
    P. D. Dauncey et al., arXiv:1408.6865, section 4.
"""

from __future__ import annotations

import dataclasses
import logging

from oddjet.analysis.statistics.background.functions import FAMILIES, MAX_PARAMETERS, make_function
from oddjet.analysis.statistics.background.likelihood import Fitted, fit_function
from oddjet.analysis.statistics.background.nested import PENALTY, Tried
from oddjet.analysis.statistics.spectrum import Spectrum
from oddjet.errors import FitError
from oddjet.typing import Bools

__all__ = ["AUTO_FAMILIES", "choose_function"]

AUTO_FAMILIES = ("dijet", "exppoly")
"""What ``auto`` chooses from."""

_log = logging.getLogger(__name__)


def choose_function(name: str, data: Spectrum, use: Bools) -> tuple[Fitted, tuple[Tried, ...]]:
    """Fit the named function, or choose one. Twice the upper edge is the mass that x = 1 stands for.

    Args:
        name: ``auto`` (family and order, of `AUTO_FAMILIES`), a family (order within it) or one function such as ``dijet3``.
        data: The histogram.
        use: Bins that enter, shape (n_bins,).

    Returns:
        The fit, and everything that was tried on the way.

    Raises:
        FitError: Nothing that was tried gave a valid fit.
        ConfigError: There is no function of that name.
    """
    scale, span = 2.0 * float(data.edges[-1]), (float(data.edges[0]), float(data.edges[-1]))

    def fit(function: str) -> Fitted:
        return fit_function(make_function(function, scale=scale, span=span), data, use)

    if name != "auto" and name not in FAMILIES:
        only = fit(name)
        record = Tried.from_fit(only.function.name, only.function.n_parameters, only, None)
        return only, (dataclasses.replace(record, chosen=True),)
    tried: list[Tried] = []
    candidates: list[Fitted] = []
    for family in AUTO_FAMILIES if name == "auto" else (name,):
        before: Fitted | None = None
        for n in range(2, MAX_PARAMETERS + 1):
            try:
                fitted = fit(f"{family}{n}")
            except FitError as error:
                tried.append(Tried(f"{family}{n}", n, failure=str(error)))
                before = None
                continue
            tried.append(Tried.from_fit(f"{family}{n}", n, fitted, before))
            candidates.append(fitted)
            before = fitted
    if not candidates:
        failures = "\n".join(f"  {attempt.name}: {attempt.failure}" for attempt in tried)
        msg = f"no function of '{name}' could be fitted to {int(use.sum())} bins:\n{failures}"
        raise FitError(msg)
    chosen = min(candidates, key=lambda fit: fit.deviance + PENALTY * fit.function.n_parameters)
    _log.info("background function %s chosen among %d fits", chosen.function.name, len(tried))
    return chosen, tuple(
        dataclasses.replace(attempt, chosen=attempt.name == chosen.function.name)
        for attempt in tried
    )
