"""What the choice of a background function is worth in events: its bias under other truths.

Families of functions, their orders chosen with a penalty, and the transfer factor predict the window. The
first method that describes the sidebands is the central one. Each function that describes them is then
taken as the truth: as many events as there are are drawn from it again and again, the central function is
fitted beside the window, and the mean of what it predicts less what is true inside is its bias. The
systematic uncertainty is the largest of these. How far predictions for the data themselves lie apart is
shown, and is no uncertainty: it is mostly the statistical error once more, and large where the central fit
happens to be wrong.

A method whose goodness of fit is below `WORST_P`, or that fails, is listed and not used. A truth that no
listed function can take is not covered: for that there is the spurious signal on simulation.

References:
    P. D. Dauncey et al., arXiv:1408.6865, for the choice among functions as an uncertainty of its own.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from oddjet.analysis.statistics.background.estimate import SidebandEstimate
from oddjet.analysis.statistics.background.fit import BackgroundFit, fit_sidebands
from oddjet.analysis.statistics.background.functions import FAMILIES
from oddjet.analysis.statistics.background.many import BatchModel
from oddjet.analysis.statistics.background.transfer import fit_transfer
from oddjet.analysis.statistics.spectrum import Histogram, Spectrum, Window
from oddjet.errors import ConfigError, FitError
from oddjet.typing import Floats

__all__ = ["WORST_P", "Method", "MethodBias", "compare_methods"]


WORST_P = 0.01
N_TOYS = 200


@dataclasses.dataclass(frozen=True)
class Method:
    """One estimate of the background in the window.

    Attributes:
        requested: What was asked for: a family, ``auto``, one function or ``transfer``.
        name: What it became, such as ``dijet3`` or ``transfer1``; as requested where it failed.
        predicted: Expected events in the window; NaN where it failed.
        error: Their statistical uncertainty; NaN where it failed.
        p_value: Goodness of fit in the sidebands; NaN where it failed.
        used: Whether it describes the sidebands.
        why_not: Why it does not, or an empty string.
        bias: Events that the central function predicts too many in the window, on average, if this is the truth;
            NaN where it is none that can be drawn from: a transfer factor, or a method that is not used.
        bias_error: Its error from the number of pseudo-experiments.
    """

    requested: str
    name: str
    predicted: float = np.nan
    error: float = np.nan
    p_value: float = np.nan
    used: bool = False
    why_not: str = ""
    bias: float = np.nan
    bias_error: float = np.nan


@dataclasses.dataclass(frozen=True)
class MethodBias:
    """All estimates of the background in one window, and the bias of the central one.

    Attributes:
        window: The window [GeV].
        methods: One entry a method, in the order they were asked for.
    """

    window: Window
    methods: tuple[Method, ...]

    @property
    def used(self) -> tuple[Method, ...]:
        """The methods that describe the sidebands; the first is the central one."""
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
    def worst(self) -> Method | None:
        """The truth under which the central function is biased most; None if it is under none tested."""
        tested = [method for method in self.used if np.isfinite(method.bias)]
        return max(tested, key=lambda method: abs(method.bias), default=None)

    @property
    def systematic(self) -> float | None:
        """The size of that bias [events]; None if there is none."""
        return None if self.worst is None else abs(self.worst.bias)

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
            "largest_bias_if_the_truth_is": None if self.worst is None else self.worst.name,
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
    n_toys: int = N_TOYS,
    seed: int = 1,
) -> MethodBias:
    """Estimate the background in a window by several methods, and the bias of the first that is good.

    Args:
        histogram: A `Spectrum`, or any UHI histogram of numbers of events.
        window: The signal window, masked in every fit [GeV].
        functions: Families, functions or ``auto``; the first that is good is the central one.
        failing: The jets that fail the cut, in the same bins; with them the transfer factor is a
            method too. It is compared, and not drawn from: it follows the failing jets' fluctuations.
        n_toys: Pseudo-experiments a truth; a tenth for a function whose logarithm is not linear.
        seed: Of these.

    Raises:
        FitError: No method describes the sidebands; the message names what became of each.
        ConfigError: There is no function of one of the names.
    """
    spectrum = Spectrum.from_histogram(histogram)
    fit = partial(fit_sidebands, spectrum, window=window)
    judged = [_judge(name, partial(fit, function=name)) for name in functions]
    if failing is not None:
        transfer = partial(fit_transfer, spectrum, failing, window=window)
        judged.append(_judge("transfer", transfer))
    methods = [method for method, _ in judged]
    if not any(method.used for method in methods):
        reasons = "\n".join(f"  {method.name}: {method.why_not}" for method in methods)
        msg = f"no method describes the sidebands of [{window[0]:g}, {window[1]:g}) GeV:\n{reasons}"
        raise FitError(msg)
    good = [
        (place, estimate)
        for place, (method, estimate) in enumerate(judged)
        if method.used and isinstance(estimate, BackgroundFit)
    ]
    for place, truth in good:
        rng = np.random.default_rng((seed, place))
        bias, error = _bias(good[0][1], truth.expected, n_toys, rng)
        methods[place] = dataclasses.replace(methods[place], bias=bias, bias_error=error)
    return MethodBias((float(window[0]), float(window[1])), tuple(methods))


def _judge(
    requested: str, estimate: Callable[[], SidebandEstimate]
) -> tuple[Method, SidebandEstimate | None]:
    try:
        fit = estimate()
    except FitError as error:
        return Method(requested, requested, why_not=str(error)), None
    good = fit.p_value >= WORST_P
    method = Method(
        requested=requested,
        name=fit.name,
        predicted=fit.predicted,
        error=fit.predicted_error,
        p_value=fit.p_value,
        used=good,
        why_not="" if good else f"goodness of fit p = {fit.p_value:.2g} < {WORST_P:g}",
    )
    return method, fit


def _bias(
    central: BackgroundFit, truth: Floats, n_toys: int, rng: np.random.Generator
) -> tuple[float, float]:
    """Mean of what a function predicts in its window less the truth (n_bins,), and its error.

    A prediction follows the fluctuations of the sidebands linearly, but for a small rest. The linear part is zero
    on average and is taken away (a control variate), so that few pseudo-experiments give the mean.
    """
    predicted, toys = _predictions(central, truth, n_toys, rng)
    inside, use = central.in_window, central.use
    jacobian = central.fitted.function.on(central.edges).expected_and_jacobian(
        central.fitted.parameters
    )[1]
    response = jacobian[inside].sum(axis=0) @ central.fitted.covariance @ jacobian[use].T
    linear = (toys - truth)[:, use] @ (response / np.maximum(central.expected[use], 1e-12))
    good = np.isfinite(predicted)
    if good.sum() < max(3, 0.5 * len(toys)):
        return np.nan, np.nan
    predicted, linear = predicted[good], linear[good]
    spread = float(np.var(linear))
    slope = float(np.cov(predicted, linear, bias=True)[0, 1]) / spread if spread > 0 else 0.0
    rest = predicted - slope * linear
    return float(rest.mean() - truth[inside].sum()), float(rest.std(ddof=1) / np.sqrt(rest.size))


def _predictions(
    central: BackgroundFit, truth: Floats, n_toys: int, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """Draw from a truth and fit beside the window: predictions (n,), NaN where a fit fails; toys (n, n_bins)."""
    data, inside = central.data, np.flatnonzero(central.in_window)
    try:
        model = BatchModel.make(central.requested, data.edges, truth)
        if data.given is not None:
            model = dataclasses.replace(model, given=data.given[None])
    except ConfigError:  # its logarithm is not linear: no compiled fits
        model = None
    # Compiled fits are of numbers of events, and mask the window alone.
    if model is not None and data.is_data and central.use.sum() + inside.size == data.n_bins:
        toys: Floats = rng.poisson(truth, (n_toys, truth.size)).astype(np.float64)
        starts = np.tile(model.start(truth), (n_toys, 1, 1))
        fits = model.fit_windows(toys, starts, inside[:1], inside[-1:] + 1)
        return fits.background[:, 0], toys
    scale = np.where(data.weight_scale > 0, data.weight_scale, 1.0)  # NaN where it is blinded
    toys = scale * rng.poisson(truth / scale, (max(n_toys // 10, 3), truth.size))
    predicted = np.full(len(toys), np.nan)
    for place, counts in enumerate(toys):
        drawn = dataclasses.replace(data, counts=counts, variances=counts * scale)
        with contextlib.suppress(FitError):
            fit = fit_sidebands(drawn, window=central.window, function=central.requested)
            predicted[place] = fit.predicted
    return predicted, toys
