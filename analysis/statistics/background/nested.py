"""How many parameters: one more is accepted while it pays by the F-test.

The F statistic is F = (D_n − D_(n+1)) / (D_(n+1) / ndf_(n+1)), D being the saturated-model deviance;
one parameter more pays if its tail probability under F(1, ndf_(n+1)) is below `alpha`.

References:
    arXiv:1806.00843, section 6 (F-test).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from typing import Generic, Protocol, TypeVar

from scipy import stats

from oddjet.errors import FitError

__all__ = ["ALPHA", "Attempt", "Nested", "add_parameters", "f_test", "likelihood_ratio_test"]

ALPHA = 0.05
"""An extra parameter is accepted below this F-test probability."""


class Nested(Protocol):
    """A fit that is compared with one of fewer parameters."""

    @property
    def deviance(self) -> float:
        """−2 ln of the likelihood over that of the saturated model."""

    @property
    def ndf(self) -> int:
        """Fitted bins minus parameters."""


F = TypeVar("F", bound=Nested)


@dataclasses.dataclass(frozen=True)
class Attempt(Generic[F]):
    """One order that was tried.

    Attributes:
        order: What was tried.
        fit: The fit, None if it failed.
        before: The fit that it is compared with, None for the first.
        failure: Why it failed, or an empty string.
    """

    order: int
    fit: F | None
    before: F | None
    failure: str = ""

    @property
    def f_test_p(self) -> float | None:
        """Tail probability of the F-test against the fit before."""
        comparable = self.fit is not None and self.before is not None
        return f_test(self.before, self.fit) if comparable else None  # type: ignore[arg-type]


def f_test(smaller: Nested, larger: Nested) -> float:
    """Probability that parameters without meaning improve the fit by as much.

    Args:
        smaller: The fit with fewer parameters.
        larger: The fit with more parameters, of the same bins.

    Returns:
        Tail probability of F(extra parameters, ndf of the larger fit); 1 if that has no ndf.
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
    fit: Callable[[int], F], orders: Iterable[int], *, alpha: float = ALPHA
) -> tuple[F | None, list[Attempt[F]]]:
    """Fit rising orders until one more does not pay, or fails.

    Args:
        fit: Fits one order; raises FitError if it cannot.
        orders: The orders, one parameter more each.
        alpha: A higher order is accepted below this F-test probability.

    Returns:
        The last fit that pays, None if the first failed, and all that were tried.
    """
    best: F | None = None
    attempts: list[Attempt[F]] = []
    for order in orders:
        try:
            fitted = fit(order)
        except FitError as error:
            attempts.append(Attempt(order, None, best, str(error)))
            break
        attempts.append(Attempt(order, fitted, best))
        if best is not None and not f_test(best, fitted) < alpha:
            break
        best = fitted
    return best, attempts
