"""Estimates of the background under a signal: the significance that each gives experiments.

All are given the same experiments. A significance is that of an excess, and negative for a deficit; NaN where
a fit is not valid.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeAlias

import numpy as np
from scipy import stats

from oddjet.analysis.statistics.background.many import BatchModel
from oddjet.analysis.statistics.bumphunt.joint import JointTable
from oddjet.analysis.statistics.bumphunt.pvalues import on_off_p
from oddjet.analysis.statistics.bumphunt.windows import Windows
from oddjet.analysis.statistics.components import Component
from oddjet.analysis.statistics.conditional.model import ShareModel
from oddjet.analysis.statistics.conditional.scan import PassedBeside, SignalPassed
from oddjet.analysis.statistics.conditional.score_bins import ScoreBins, ScoreBinsSignal
from oddjet.analysis.studies.background.truth import Experiments, Truth
from oddjet.typing import Floats

__all__ = ["ESTIMATORS", "Estimator"]

Estimator: TypeAlias = Callable[[Truth, Floats, Experiments], Floats]
"""Takes the spectrum, the background that is expected to pass, shape (n_bins,), and experiments; gives a significance for
each, shape (n,). Only estimates that know the truth use the second for more than where fits begin."""

NEWTON_STEPS = 30
ADDED = 4.0
"""Signal that is added to measure a deficit, in errors of its yield."""


def _beside(observed: Floats, expected: Floats, variance: Floats) -> Floats:
    """Significance of a number of jets in a window, against what is expected there with an error."""
    p = on_off_p(observed, expected, variance)
    deficit = (observed - expected) / np.sqrt(variance + np.maximum(expected, 0.5))
    return np.asarray(np.where(p < 0.5, stats.norm.isf(p), deficit))


def _fitted(yields: Floats, errors: Floats, gain: Floats) -> Floats:
    """Significance of a fitted signal: from the likelihood for an excess, from the error for a deficit."""
    return np.where(yields > 0, np.sqrt(np.maximum(gain, 0.0)), yields / errors)


def _known_beside(truth: Truth, mean: Floats, experiments: Experiments) -> Floats:
    expected = mean[truth.bins].sum()
    observed: Floats = experiments.passed[:, truth.bins].sum(axis=1)
    return _beside(observed, np.full(observed.shape, expected), np.zeros(observed.shape))


def _known_template(truth: Truth, mean: Floats, experiments: Experiments) -> Floats:
    """Likelihood of the yield alone, by Newton steps from its linear estimate."""
    counts, shape = experiments.passed, truth.signal
    information = (shape**2 / mean).sum()
    linear = (shape * (counts / mean - 1.0)).sum(axis=1) / information
    yields = np.maximum(linear, 0.0)
    for _ in range(NEWTON_STEPS):
        total = mean + yields[:, None] * shape
        slope = (shape * (counts / total - 1.0)).sum(axis=1)
        curve = (shape**2 * counts / total**2).sum(axis=1)
        yields = np.maximum(yields + slope / np.maximum(curve, 1e-12), 0.0)
    ratio = np.log1p(yields[:, None] * shape / mean)
    gain = 2.0 * ((counts * ratio).sum(axis=1) - yields * shape.sum())
    z = np.where(yields > 0, np.sqrt(np.maximum(gain, 0.0)), linear * np.sqrt(information))
    return np.asarray(z)


def _function_beside(function: str, truth: Truth, mean: Floats, experiments: Experiments) -> Floats:
    counts, bins = experiments.passed, truth.bins
    model, starts = _bound(function, truth, mean, len(experiments.passed))
    fits = model.fit_windows(counts, starts, np.array([bins.start]), np.array([bins.stop]))
    return _beside(counts[:, bins].sum(axis=1), fits.background[:, 0], fits.variance[:, 0])


def _function_template(
    function: str, truth: Truth, mean: Floats, experiments: Experiments
) -> Floats:
    model, starts = _bound(function, truth, mean, len(experiments.passed))
    fits = model.fit_signals(experiments.passed, starts, truth.signal[None])
    return _fitted(fits.yields[:, 0], fits.errors[:, 0], fits.gain[:, 0])


def _bound(function: str, truth: Truth, mean: Floats, n: int) -> tuple[BatchModel, Floats]:
    model = BatchModel.make(function, truth.edges, mean)
    return model, np.tile(model.start(mean), (n, 1, 1))


def _share_models(
    truth: Truth, experiments: Experiments, orders: tuple[int, int]
) -> list[ShareModel]:
    totals = experiments.passed + experiments.failed
    share = np.full((1, truth.background.size), experiments.passed.sum() / totals.sum())
    return [ShareModel.make(truth.edges, row, orders, share) for row in totals]


def _pass_against_fail(
    orders: tuple[int, int], truth: Truth, mean: Floats, experiments: Experiments, *, fitted: bool
) -> Floats:
    """Beside the window; or with a signal of known shape, fitted together with the share that passes."""
    del mean
    window = Windows(truth.edges, np.array([truth.bins.start]), np.array([truth.bins.stop]))
    models = _share_models(truth, experiments, orders)
    z = np.empty(len(models))
    for place, (model, passed) in enumerate(zip(models, experiments.passed, strict=True)):
        test = (
            SignalPassed(model, window, truth.signal[None])
            if fitted
            else PassedBeside(model, window)
        )
        tested = test.test(passed[None, None])
        n, b, error, p = (
            float(a.item())
            for a in (tested.observed, tested.expected, tested.error, tested.local_p)
        )
        jets = model.totals[truth.bins].sum()
        spread = error if fitted else np.sqrt(error**2 + b * (1.0 - b / jets))
        z[place] = stats.norm.isf(p) if p < 0.5 else (n - b) / spread
    return z


def _score_bins(
    orders: tuple[int, int], truth: Truth, mean: Floats, experiments: Experiments
) -> Floats:
    """All score bins fitted together with a signal of known shape, in mass and in the score."""
    del mean
    window = Windows(truth.edges, np.array([truth.bins.start]), np.array([truth.bins.stop]))
    scores = np.outer(experiments.cut.signal, truth.signal)
    signal = Component("signal", scores / scores[1:].sum(), is_signal=True)
    core = truth.signal[truth.bins].sum() / truth.signal.sum()
    n_scores = len(scores)
    members = np.arange(n_scores) >= np.arange(n_scores)[:, None]
    labels = tuple(f"{100 * share:g} %" for share in experiments.cut.ladder[:-1])
    z = np.empty(len(experiments.scores))
    for place, counts in enumerate(experiments.scores):
        table = JointTable(labels, truth.edges, members, counts)
        bins = ScoreBins.make(table, range(1, n_scores), orders)
        test = ScoreBinsSignal.of_components(bins, window, [signal]).test
        tested = test(counts[None])
        z[place] = stats.norm.isf(tested.local_p.item())
        if not tested.local_p.item() < 0.5:
            # Fitted signals are never below 0: one is added, and what is missing of it is the deficit.
            added = ADDED * tested.error.item() / core
            again = test(counts[None] + added * signal.contents)
            above = (again.observed - again.expected).item()
            z[place] = (above - added * core) / again.error.item()
    return z


ESTIMATORS: dict[str, Estimator] = {
    "known, window": _known_beside,
    "known, template": _known_template,
    **{
        f"{name}, window": partial(_function_beside, name)
        for name in ("exppoly6", "exppoly4", "exppoly3", "auto")
    },
    **{
        f"{name}, template": partial(_function_template, name)
        for name in ("exppoly6", "exppoly4", "exppoly3", "auto")
    },
    "transfer 1, window": partial(_pass_against_fail, (1, 1), fitted=False),
    "transfer 2, window": partial(_pass_against_fail, (2, 2), fitted=False),
    "conditional 1, template": partial(_pass_against_fail, (1, 1), fitted=True),
    "conditional 2, template": partial(_pass_against_fail, (2, 2), fitted=True),
    "conditional 2–4, template": partial(_pass_against_fail, (2, 4), fitted=True),
    "score bins 2–4, template": partial(_score_bins, (2, 4)),
}
"""The significance of the signal's window, against what is expected from beside it; or of a signal of known shape that is fitted
together with the background. `auto` with a template is discrete profiling. Pass against fail is `transfer` in a window and
`conditional` with a template; the numbers are orders of ln(pass/fail) in mass. `score bins` are the jets that fail a cut of twice
the share, and those between it, the cut, one of half its share and the top, with the signal's fractions of them known."""
