"""What one experiment finds at each cut: the effect on signal and background, and the excess in the window."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from oddjet.analysis.config import HuntConfig
from oddjet.analysis.hunt.hunt import Hunt, WorkingPoint
from oddjet.analysis.injection.chain import Table
from oddjet.analysis.statistics.background.methods import WORST_P
from oddjet.analysis.statistics.background.signal import fit_signal
from oddjet.analysis.statistics.bumphunt.joint import JointTable
from oddjet.analysis.statistics.bumphunt.pvalues import on_off_p, significance
from oddjet.analysis.statistics.bumphunt.result import POOR_FIT
from oddjet.analysis.statistics.conditional.fixed import PassFail
from oddjet.errors import FitError
from oddjet.ml.score_names import ScoreName
from oddjet.typing import Bools, Floats

__all__ = ["Experiment", "cuts_of", "net_excess_kept"]


@dataclasses.dataclass(frozen=True)
class Experiment:
    """The jets that are hunted in, and all that is known of them.

    Attributes:
        table: Their scores.
        pure: Their scores with thresholds and maps learned without signal, the models the same.
        use: Those that the hunt looks at.
        is_signal: The injected ones.
        signals: Scores of all simulated signal, for the shape that is fitted.
        joint: Score that is cut on to the spectra that are hunted in together.
    """

    table: Table
    pure: Table
    use: Bools
    is_signal: Bools
    signals: Table
    joint: Mapping[str, JointTable]
    settings: HuntConfig

    @property
    def window(self) -> Bools:
        """The jets in the signal window that the hunt looks at."""
        mass = np.asarray(self.table[self.settings.mass], dtype=np.float64)
        low, high = self.settings.window
        return np.asarray(self.use & (mass >= low) & (mass < high))


def cuts_of(experiment: Experiment, result: Hunt) -> list[dict[str, Any]]:
    """The effect of each cut on signal and background, and the fits after it.

    The fitted signal has the shape of all simulated signal after the same cut: a cut may take away what
    is in the tails.
    """
    table, settings, signals = experiment.table, experiment.settings, experiment.signals
    use, is_signal, window = experiment.use, experiment.is_signal, experiment.window
    column = ScoreName.find(result.column, table).cut
    cuts = []
    for point in result.main_points:
        least = -np.log10(point.efficiency) if point.column else -np.inf
        passed = np.asarray(table[column]) >= least
        keeps = np.asarray(signals[column]) >= least
        masses = np.asarray(signals[settings.mass])
        shapes = [
            np.histogram(masses[of], point.edges)[0].astype(np.float64) for of in (keeps, ~keeps)
        ]
        kept = {
            name: _share(passed, window & which)
            for name, which in (("signal", is_signal), ("background", ~is_signal))
        }
        cuts.append(
            {
                "background_efficiency": point.efficiency,
                "n_jets": int(np.count_nonzero(use & passed)),
                "n_signal": int(np.count_nonzero(use & passed & is_signal)),
                "signal_efficiency_in_window": kept["signal"],
                "background_efficiency_in_window": kept["background"],
                "net_excess_kept": net_excess_kept(
                    passed[window],
                    np.asarray(experiment.pure[column])[window] >= least,
                    is_signal[window],
                ),
                **_excess(experiment, result, point, shapes),
            }
        )
    return cuts


def net_excess_kept(passed: Bools, passed_pure: Bools, is_signal: Bools) -> float | None:
    """The share of a signal's excess that is left where signal was among what maps were learned on.

    A map that saw signal raises its threshold there, and the background that no longer passes is missing
    below the peak: kept = (S + B − B₀) / S₀, with S and B the signal and background jets that pass, and S₀ and B₀
    those that would pass thresholds and maps of background alone.

    Args:
        passed: Whether each jet of the window passes, shape (n,).
        passed_pure: The same with thresholds and maps of background alone.
        is_signal: The injected jets.

    Returns:
        The share; None where no signal would pass.

    >>> net_excess_kept(np.array([1, 1, 0]) > 0, np.array([1, 1, 1]) > 0, np.array([1, 1, 0]) > 0)
    0.5
    """
    excess = int(np.count_nonzero(passed_pure & is_signal))
    pure = int(np.count_nonzero(passed_pure & ~is_signal))
    return (int(np.count_nonzero(passed)) - pure) / excess if excess else None


def _share(passed: Bools, among: Bools) -> float | None:
    n = int(np.count_nonzero(among))
    return int(np.count_nonzero(passed & among)) / n if n else None


def _excess(
    experiment: Experiment, result: Hunt, point: WorkingPoint, shapes: list[Floats]
) -> dict[str, Any]:
    """The excess in the window and the fitted signal, by the way the hunt goes; the other one beside it.

    `shapes` are the signal's jets that pass the cut and that fail it, by mass.
    """
    scan_flags = [] if point.scan is None else list(point.scan.flags)
    functions = _in_window(point) | _fitted(point, shapes[0], experiment.settings)
    if result.cross_check is None or not point.column:
        return {"flags": [*scan_flags, *_poor_fit(point)], **functions}
    given = _pass_against_fail(experiment, result.column, point, shapes)
    return {"flags": scan_flags, **given, "by_functions": functions}


def _pass_against_fail(
    experiment: Experiment, score: str, point: WorkingPoint, shapes: list[Floats]
) -> dict[str, Any]:
    """The signal window, fixed beforehand, and a signal of known shape, from jets that pass and jets that fail."""
    joint, settings = experiment.joint[score], experiment.settings
    try:
        cut = PassFail.of(joint, joint.labels.index(point.name), settings.orders)
        window = cut.window(*settings.window)
    except FitError as error:
        return {"problem": str(error)}
    numbers = {
        "observed": window.observed,
        "expected": window.expected,
        "expected_error": window.error,
        "window_p": window.local_p,
        "window_significance": significance(window.local_p),
    }
    try:
        signal = cut.signal(*shapes)
    except FitError as error:
        return numbers | {"yield_problem": str(error)}
    efficiency = float(shapes[0].sum() / (shapes[0].sum() + shapes[1].sum()))
    return numbers | {
        "yield": efficiency * signal.total,
        "yield_error": efficiency * signal.error,
        "fit_significance": signal.significance,
        "order": signal.order,
    }


def _poor_fit(point: WorkingPoint) -> list[str]:
    """Whether the fit beside the window does not describe what is there."""
    flags = []
    if point.fit is not None and point.fit.p_value < WORST_P:
        flags.append(
            f"{POOR_FIT}: {point.fit.name} does not describe what is beside the signal window "
            f"(goodness of fit p = {point.fit.p_value:.2g})"
        )
    return flags


def _in_window(point: WorkingPoint) -> dict[str, Any]:
    """The signal window, fixed beforehand, against the fit beside it."""
    if point.fit is None or point.fit.observed is None:
        return {"problem": point.problem}
    fit, observed = point.fit, point.fit.observed
    p = float(on_off_p(observed, fit.predicted, fit.predicted_error**2))
    return {
        "function": fit.name,
        "goodness_of_fit_p": fit.p_value,
        "observed": observed,
        "expected": fit.predicted,
        "expected_error": fit.predicted_error,
        "window_p": p,
        "window_significance": significance(p),
    }


def _fitted(
    point: WorkingPoint, shape: npt.NDArray[np.float64], settings: HuntConfig
) -> dict[str, Any]:
    """The yield of a signal of known shape."""
    if not shape.sum() > 0:
        return {"yield_problem": "no simulated signal passes the cut"}
    template = shape / shape.sum()
    try:
        fit = fit_signal((point.counts, point.edges), template=template, function=settings.function)
    except FitError as error:
        return {"yield_problem": str(error)}
    return {"yield": fit.yield_, "yield_error": fit.error, "fit_significance": fit.significance}
