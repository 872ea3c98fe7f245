"""Limits from jets that pass and jets that fail, with as many powers of mass in their ratio as the jets ask for."""

from __future__ import annotations

from collections.abc import Callable

from scipy import stats

from oddjet.analysis.statistics.background.nested import ALPHA
from oddjet.analysis.statistics.limits.inputs import LimitSettings
from oddjet.analysis.statistics.limits.passfail import PassFailInputs
from oddjet.analysis.statistics.limits.spectrum import SpectrumLimit
from oddjet.analysis.statistics.limits.upper import Progress, fit_asymptotically, upper_limit

__all__ = ["choose_order", "limit_shares"]


def choose_order(
    make: Callable[[int], PassFailInputs], orders: tuple[int, int]
) -> tuple[PassFailInputs, int]:
    """Take powers of mass while a likelihood ratio asks for one more.

    With the signal free, so that the ratio does not follow it; where it is blinded there is none to follow.

    Args:
        make: Gives the inputs of an order.
        orders: Lowest and highest order.

    Returns:
        The inputs and their order.

    Raises:
        FitError: A fit failed.
    """
    chosen, order = make(orders[0]), orders[0]
    least = _least(chosen)
    for more in range(orders[0] + 1, orders[1] + 1):
        inputs = make(more)
        n_more = len(inputs.free) - len(chosen.free)
        value = _least(inputs)
        if 2.0 * (least - value) < stats.chi2.isf(ALPHA, n_more):
            break
        chosen, order, least = inputs, more, value
    return chosen, order


def _least(inputs: PassFailInputs) -> float:
    """The smallest −ln L."""
    if inputs.blinded:
        return inputs.least
    return float(fit_asymptotically(inputs).best.values[0])


def limit_shares(
    make: Callable[[int], PassFailInputs],
    orders: tuple[int, int],
    settings: LimitSettings,
    *,
    name: str = "",
    progress: Progress | None = None,
) -> SpectrumLimit:
    """Set the limit on one signal.

    Args:
        make: Gives the inputs with a ratio of an order in mass.
        orders: Lowest and highest order; more than the lowest where the likelihood asks for it.
        settings: Confidence level and toys.
        name: What the signal is called; its mass if empty.
        progress: Called with the parts done and their number.

    Raises:
        FitError: A fit failed, or no signal is excluded.
    """
    inputs, order = choose_order(make, orders)
    limit = upper_limit(inputs, settings, progress=progress)
    p = f"{inputs.goodness_p:.2g}"
    jets = inputs.background_under_signal
    notes = (
        (
            f"{jets:.4g} jets of background pass under the signal, from those that fail and a ratio of order {order} in "
            f"mass, {inputs.n_modes} ways in which the map of the cut may be off; goodness of fit p = {p} (χ²)"
        ),
        *inputs.notes,
    )
    return SpectrumLimit(limit, notes=notes, name=name)
