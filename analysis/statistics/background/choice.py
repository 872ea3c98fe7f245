"""The choice of a function: the order by F-test within a family, the family by AIC.

Order: beginning with two parameters, one more is accepted while the F statistic
F = (D_n − D_(n+1)) / (D_(n+1) / ndf_(n+1)) has a tail probability below `alpha` under
F(1, ndf_(n+1)), D being the saturated-model deviance. The likelihood-ratio probability of
D_n − D_(n+1) under χ²(1) is recorded beside it. Family: smallest D + 2 n_parameters among the
orders that were chosen.

References:
    arXiv:1806.00843, section 6 (F-test); H. Akaike, IEEE Trans. Autom. Control 19 (1974) 716.
"""

from __future__ import annotations

import dataclasses
import logging
from typing import Any

from scipy import stats

from oddjet.analysis.statistics.background.binned import BinnedCounts
from oddjet.analysis.statistics.background.functions import FAMILIES, MAX_PARAMETERS, make_function
from oddjet.analysis.statistics.background.likelihood import Fitted, fit_function
from oddjet.errors import FitError
from oddjet.typing import Bools

__all__ = [
    "ALPHA",
    "AUTO_FAMILIES",
    "DEFAULT",
    "TriedFunction",
    "choose_function",
    "f_test",
    "likelihood_ratio_test",
]

ALPHA = 0.05
AUTO_FAMILIES = ("dijet", "exppoly")
"""What ``auto`` chooses from. It follows the data and stops where one parameter more does not pay;
on a spectrum that needs several more at once it stops early, and its spurious signal is large."""

DEFAULT = "exppoly6"
"""What hunts and limits use unless told otherwise. Of the functions here it is the one that passes the
spurious-signal test on simulated QCD jets of pt > 450 and of pt > 500 GeV; `oddjet spurious` tests functions
on other selections. It is not chosen by the data."""

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

    def to_dict(self) -> dict[str, Any]:
        """All fields, ready for JSON."""
        return dataclasses.asdict(self)


def f_test(smaller: Fitted, larger: Fitted) -> float:
    """Probability that parameters without meaning improve the fit by as much.

    Args:
        smaller: The fit with fewer parameters.
        larger: The fit with more parameters, of the same bins.

    Returns:
        Tail probability of F(extra parameters, ndf of the larger fit).
    """
    extra = smaller.ndf - larger.ndf
    gain = max(smaller.deviance - larger.deviance, 0.0)
    statistic = (gain / extra) / (max(larger.deviance, 1e-12) / larger.ndf)
    return float(stats.f.sf(statistic, extra, larger.ndf))


def likelihood_ratio_test(smaller: Fitted, larger: Fitted) -> float:
    """The same question as `f_test`, answered by Wilks' theorem: the tail of χ²(extra)."""
    gain = max(smaller.deviance - larger.deviance, 0.0)
    return float(stats.chi2.sf(gain, smaller.ndf - larger.ndf))


def _record(fitted: Fitted, previous: Fitted | None) -> TriedFunction:
    return TriedFunction(
        name=fitted.function.name,
        n_parameters=fitted.function.n_parameters,
        deviance=fitted.deviance,
        ndf=fitted.ndf,
        p_value=float(stats.chi2.sf(fitted.deviance, fitted.ndf)),
        f_test_p=None if previous is None else f_test(previous, fitted),
        likelihood_ratio_p=None if previous is None else likelihood_ratio_test(previous, fitted),
    )


def _span(data: BinnedCounts) -> tuple[float, float]:
    return float(data.edges[0]), float(data.edges[-1])


def _add_parameters(
    family: str, data: BinnedCounts, use: Bools, *, scale: float, alpha: float
) -> tuple[Fitted | None, list[TriedFunction]]:
    """Fit a family from two parameters up until one more does not pay."""
    best: Fitted | None = None
    tried: list[TriedFunction] = []
    for n_parameters in range(2, MAX_PARAMETERS + 1):
        function = make_function(f"{family}{n_parameters}", scale=scale, span=_span(data))
        try:
            fitted = fit_function(function, data, use)
        except FitError as error:
            tried.append(TriedFunction(function.name, n_parameters, failure=str(error)))
            break
        record = _record(fitted, best)
        tried.append(record)
        if record.f_test_p is not None and record.f_test_p >= alpha:
            break
        best = fitted
    return best, tried


def choose_function(
    name: str, data: BinnedCounts, use: Bools, *, scale: float, alpha: float = ALPHA
) -> tuple[Fitted, tuple[TriedFunction, ...]]:
    """Fit the named function, or choose one.

    Args:
        name: ``auto`` (order in each of `AUTO_FAMILIES`, then family), a family (order within it) or one
            function such as ``dijet3``.
        data: The histogram.
        use: Bins that enter, shape (n_bins,).
        scale: The mass that x = 1 stands for [GeV].
        alpha: An extra parameter is accepted below this F-test probability.

    Returns:
        The fit, and everything that was tried on the way.

    Raises:
        FitError: Nothing that was tried gave a valid fit.
        ConfigError: There is no function of that name.
    """
    families = AUTO_FAMILIES if name == "auto" else (name,)
    if name != "auto" and name not in FAMILIES:
        only = fit_function(make_function(name, scale=scale, span=_span(data)), data, use)
        return only, (dataclasses.replace(_record(only, None), chosen=True),)
    tried: list[TriedFunction] = []
    candidates: list[Fitted] = []
    for family in families:
        best, attempts = _add_parameters(family, data, use, scale=scale, alpha=alpha)
        tried += attempts
        if best is not None:
            candidates.append(best)
    if not candidates:
        failures = "\n".join(f"  {attempt.name}: {attempt.failure}" for attempt in tried)
        msg = f"no function of '{name}' could be fitted to {int(use.sum())} bins:\n{failures}"
        raise FitError(msg)
    fitted = min(candidates, key=lambda each: each.deviance + 2 * each.function.n_parameters)
    _log.info("background function %s chosen among %d fits", fitted.function.name, len(tried))
    return fitted, tuple(
        dataclasses.replace(each, chosen=each.name == fitted.function.name) for each in tried
    )
