"""The choice of a function: the order by F-test within a family, the family by AIC.

Order: as in `nested`, beginning with two parameters. The likelihood-ratio probability of
D_n − D_(n+1) under χ²(1) is recorded beside it. Family: smallest D + 2 n_parameters among the
orders that were chosen.

References:
    arXiv:1806.00843, section 6 (F-test); H. Akaike, IEEE Trans. Autom. Control 19 (1974) 716.
"""

from __future__ import annotations

import dataclasses
import functools
import logging

from oddjet.analysis.statistics.background.functions import FAMILIES, MAX_PARAMETERS, make_function
from oddjet.analysis.statistics.background.likelihood import Fitted, fit_function
from oddjet.analysis.statistics.background.nested import (
    ALPHA,
    Attempt,
    add_parameters,
    likelihood_ratio_test,
)
from oddjet.analysis.statistics.spectrum import Spectrum
from oddjet.errors import FitError
from oddjet.typing import Bools

__all__ = ["AUTO_FAMILIES", "TriedFunction", "choose_function"]

AUTO_FAMILIES = ("dijet", "exppoly")
"""What ``auto`` chooses from. It follows the data and stops where one parameter more does not pay;
on a spectrum that needs several more at once it stops early, and its spurious signal is large."""

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class TriedFunction:
    """One function that was tried, and what became of it.

    Attributes:
        name: The function's name.
        n_parameters: Its number of parameters.
        deviance: Saturated-model deviance; None where the fit failed.
        ndf: Degrees of freedom; None where the fit failed.
        p_value: Goodness of fit; None where the fit failed.
        f_test_p: Tail probability of the F-test against one parameter fewer, where there is one.
        likelihood_ratio_p: The same for the likelihood ratio.
        chosen: Whether this is the function that is used.
        failure: Why the fit failed, or an empty string.
    """

    name: str
    n_parameters: int
    deviance: float | None = None
    ndf: int | None = None
    p_value: float | None = None
    f_test_p: float | None = None
    likelihood_ratio_p: float | None = None
    chosen: bool = False
    failure: str = ""


def _record(family: str, attempt: Attempt[Fitted], *, chosen: bool) -> TriedFunction:
    name, fit, before = f"{family}{attempt.order}", attempt.fit, attempt.before
    if fit is None:
        return TriedFunction(name, attempt.order, failure=attempt.failure)
    return TriedFunction(
        name=name,
        n_parameters=attempt.order,
        deviance=fit.deviance,
        ndf=fit.ndf,
        p_value=fit.p_value,
        f_test_p=attempt.f_test_p,
        likelihood_ratio_p=None if before is None else likelihood_ratio_test(before, fit),
        chosen=chosen,
    )


def choose_function(
    name: str, data: Spectrum, use: Bools, *, scale: float | None = None, alpha: float = ALPHA
) -> tuple[Fitted, tuple[TriedFunction, ...]]:
    """Fit the named function, or choose one.

    Args:
        name: ``auto`` (order in each of `AUTO_FAMILIES`, then family), a family (order within it) or one
            function such as ``dijet3``.
        data: The histogram.
        use: Bins that enter, shape (n_bins,).
        scale: The mass that x = 1 stands for [GeV]; twice the upper edge by default.
        alpha: An extra parameter is accepted below this F-test probability.

    Returns:
        The fit, and everything that was tried on the way.

    Raises:
        FitError: Nothing that was tried gave a valid fit.
        ConfigError: There is no function of that name.
    """
    scale = 2.0 * float(data.edges[-1]) if scale is None else scale
    span = (float(data.edges[0]), float(data.edges[-1]))

    def fit(family: str, order: int | str = "") -> Fitted:
        function = make_function(f"{family}{order}", scale=scale, span=span)
        return fit_function(function, data, use)

    if name != "auto" and name not in FAMILIES:
        only = fit(name)
        attempt = Attempt(only.function.n_parameters, only, None)
        return only, (_record(only.function.family, attempt, chosen=True),)
    tried: list[tuple[str, Attempt[Fitted]]] = []
    candidates: list[Fitted] = []
    for family in AUTO_FAMILIES if name == "auto" else (name,):
        best, attempts = add_parameters(
            functools.partial(fit, family), range(2, MAX_PARAMETERS + 1), alpha=alpha
        )
        tried += [(family, attempt) for attempt in attempts]
        candidates += [] if best is None else [best]
    if not candidates:
        failures = "\n".join(f"  {family}{a.order}: {a.failure}" for family, a in tried)
        msg = f"no function of '{name}' could be fitted to {int(use.sum())} bins:\n{failures}"
        raise FitError(msg)
    chosen = min(candidates, key=lambda fit: fit.deviance + 2 * fit.function.n_parameters)
    _log.info("background function %s chosen among %d fits", chosen.function.name, len(tried))
    return chosen, tuple(_record(f, a, chosen=a.fit is chosen) for f, a in tried)
