"""How many parameters: one more is accepted while it pays, by the F-test or by the likelihood ratio; or a penalty for each.

The F statistic is F = (D_n − D_(n+1)) / (D_(n+1) / ndf_(n+1)), D being the saturated-model deviance;
one parameter more pays if its tail probability under F(1, ndf_(n+1)) is below `ALPHA`. The
likelihood-ratio probability of D_n − D_(n+1) under χ²(1) is recorded beside it. It is the one to use
where few events are fitted: their dispersion is known, it is Poisson's, and the F-test takes it from
empty bins, where the deviance is far below ndf.

Where a test stops at the first parameter that does not pay, a spectrum that needs several more at once gets
too few. So functions of a spectrum are compared all together, by their deviance and `PENALTY` for each parameter.

References:
    arXiv:1806.00843, section 6 (F-test); P. D. Dauncey et al., arXiv:1408.6865, section 4 (the penalty).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from typing import Protocol, TypeVar

from scipy import stats

from oddjet.errors import FitError

__all__ = [
    "ALPHA",
    "PENALTY",
    "Nested",
    "Tried",
    "add_parameters",
    "f_test",
    "likelihood_ratio_test",
]

ALPHA = 0.05
"""An extra parameter is accepted below this F-test probability."""
PENALTY = 1.0
"""What a parameter costs in deviance: the correction by the p-value, which is biased least (Akaike's is 2)."""


class Nested(Protocol):
    """A fit that is compared with one of fewer parameters: see `likelihood.FitResult`."""

    @property
    def deviance(self) -> float:
        """−2 ln of the likelihood over that of the saturated model."""

    @property
    def ndf(self) -> int:
        """Fitted bins minus parameters."""


F = TypeVar("F", bound=Nested)


@dataclasses.dataclass(frozen=True)
class Tried:
    """One function that was tried, and what became of it.

    Attributes:
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

    @classmethod
    def from_fit(cls, name: str, n_parameters: int, fit: Nested, before: Nested | None) -> Tried:
        """Record a fit, compared with the one before it where there is one."""
        return cls(
            name=name,
            n_parameters=n_parameters,
            deviance=fit.deviance,
            ndf=fit.ndf,
            p_value=float(stats.chi2.sf(fit.deviance, fit.ndf)),
            f_test_p=None if before is None else f_test(before, fit),
            likelihood_ratio_p=None if before is None else likelihood_ratio_test(before, fit),
        )


def f_test(smaller: Nested, larger: Nested) -> float:
    """Probability that parameters without meaning improve the fit of the same bins by as much.

    It is the tail probability of F(extra parameters, ndf of the larger fit); 1 if that has no ndf.
    """
    if larger.ndf < 1:
        return 1.0
    extra = smaller.ndf - larger.ndf
    gain = max(smaller.deviance - larger.deviance, 0.0)
    statistic = (gain / extra) / (max(larger.deviance, 1e-12) / larger.ndf)
    return float(stats.f.sf(statistic, extra, larger.ndf))


def likelihood_ratio_test(smaller: Nested, larger: Nested) -> float:
    """The same question as `f_test`, answered by Wilks' theorem: the tail of χ²(extra)."""
    gain = max(smaller.deviance - larger.deviance, 0.0)
    return float(stats.chi2.sf(gain, smaller.ndf - larger.ndf))


def add_parameters(
    fit: Callable[[int], F],
    numbers: Iterable[int],
    *,
    name: Callable[[int], str] = str,
    test: Callable[[Nested, Nested], float] = f_test,
) -> tuple[F | None, list[Tried]]:
    """Fit with rising numbers of parameters until one more does not pay, or fails.

    Args:
        fit: Fits with a number of parameters; raises FitError if it cannot.
        numbers: Numbers of parameters, one more each.
        name: What the function of a number of parameters is called.
        test: Gives the probability that one parameter more improves a fit by as much for no reason.

    Returns:
        The last fit that pays, None if the first failed, and all that were tried.
    """
    best: F | None = None
    tried: list[Tried] = []
    for number in numbers:
        try:
            fitted = fit(number)
        except FitError as error:
            tried.append(Tried(name(number), number, failure=str(error)))
            break
        tried.append(Tried.from_fit(name(number), number, fitted, best))
        if best is not None and not test(best, fitted) < ALPHA:
            break
        best = fitted
    return best, tried
