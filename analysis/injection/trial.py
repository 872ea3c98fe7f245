"""One experiment: jets drawn, and taken through the whole chain as if they were data.

The detector is trained, calibrated and decorrelated on background and signal together, out of fold,
as in data. Which jets are signal is used only at the end.
"""

from __future__ import annotations

import dataclasses
import functools
import time
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import numpy.typing as npt

from oddjet.analysis.config import (
    DecorrelationConfig,
    DetectorConfig,
    HuntConfig,
    InjectionConfig,
)
from oddjet.analysis.hunt.hunt import Hunt, WorkingPoint, hunt
from oddjet.analysis.hunt.spectra import fill_spectra
from oddjet.analysis.injection.mixture import draw_mixture
from oddjet.analysis.scores.columns import main_scores
from oddjet.analysis.scores.sample import HuntSample, hunted_rows
from oddjet.analysis.statistics.background.methods import WORST_P
from oddjet.analysis.statistics.background.signal import fit_signal
from oddjet.analysis.statistics.bumphunt.pvalues import on_off_p, significance
from oddjet.analysis.statistics.bumphunt.result import POOR_FIT
from oddjet.datasets.disk.checksums import Verify
from oddjet.datasets.disk.digest import content_key, dependency_digest
from oddjet.datasets.disk.numbers import jsonable
from oddjet.datasets.jets import Jets
from oddjet.datasets.skims.skim import Skim, open_skim
from oddjet.errors import ConfigError, FitError
from oddjet.ml import detector_class
from oddjet.ml.folds import FoldedDetector
from oddjet.ml.score_names import ScoreName, labelled
from oddjet.typing import Bools

__all__ = ["InjectionTrial", "run_trial", "trial_key"]

Table = dict[str, npt.NDArray[Any]]

CODE = (
    "oddjet.ml.folds",
    "oddjet.ml.decorrelation.ddt",
    "oddjet.ml.decorrelation.quantile_map",
    "oddjet.ml.decorrelation.quantile_boosting",
    "oddjet.analysis.injection.mixture",
    "oddjet.analysis.injection.trial",
)
"""What decides a result, with everything these import."""


@dataclasses.dataclass(frozen=True)
class InjectionTrial:
    """One experiment, with everything a worker needs to do it.

    Attributes:
        fraction: Signal jets over background jets among those hunted in.
        seed: Of the drawing, the training and the pseudo-experiments.
        decorrelation: How its score is decorrelated; None for not at all.
        hunt: Histogram, cuts and scan.
        verify: When the skim is compared with its SHA-256.
    """

    skim: Path
    background: tuple[str, ...]
    injection: InjectionConfig
    fraction: float
    seed: int
    detector: DetectorConfig
    decorrelation: DecorrelationConfig | None
    hunt: HuntConfig
    folds: int
    verify: Verify = "first"

    @property
    def label(self) -> str:
        """What it is called in messages."""
        return f"{self.detector.key}, {100 * self.fraction:g} % signal, seed {self.seed}"


def trial_key(trial: InjectionTrial) -> str:
    """Hash everything a trial depends on: jets, settings and code."""
    skim = _open(trial.skim, trial.verify)
    used = (*trial.background, trial.injection.signal)
    parts = sorted(chunk.key for chunk in skim.manifest.chunks if chunk.dataset in used)
    settings = [
        trial.background,
        trial.injection.signal,
        trial.injection.background_share,
        trial.injection.n_toys,
        trial.fraction,
        trial.seed,
        trial.detector.model_dump(mode="json"),
        trial.decorrelation.model_dump(mode="json") if trial.decorrelation else None,
        trial.hunt.model_dump(mode="json"),
        trial.folds,
    ]
    code = dependency_digest(detector_class(trial.detector.name).__module__, *CODE)
    return content_key([parts, settings, code])


def run_trial(trial: InjectionTrial) -> dict[str, Any]:
    """Do one experiment.

    Returns:
        Ready for JSON: detector, fraction, seed, the numbers of jets, what each score found, and the
        wall time in seconds.

    Raises:
        ConfigError: The detector is supervised.
        OddjetError: A step of the analysis failed.
    """
    started = time.perf_counter()
    result = _experiment(trial)
    result["seconds"] = time.perf_counter() - started
    return dict(jsonable(result))


@functools.lru_cache(maxsize=2)
def _open(folder: Path, verify: Verify) -> Skim:
    return open_skim(folder, verify=verify)


@functools.lru_cache(maxsize=4)
def _jets(folder: Path, datasets: tuple[str, ...], verify: Verify) -> Jets:
    """Jets are read once a worker."""
    return _open(folder, verify).jets(datasets)


def _experiment(trial: InjectionTrial) -> dict[str, Any]:
    settings = trial.hunt

    background = _jets(trial.skim, trial.background, trial.verify)
    signal = _jets(trial.skim, (trial.injection.signal,), trial.verify)
    jets = draw_mixture(
        (background, hunted_rows(background, settings)),
        (signal, hunted_rows(signal, settings)),
        share=trial.injection.background_share,
        fraction=trial.fraction,
        seed=trial.seed,
    )
    trained = _train(jets, trial)
    table = _score(jets, trained, trial)
    signals = _score(ak.to_packed(signal[hunted_rows(signal, settings)]), trained, trial)
    is_signal = np.asarray(ak.to_list(jets["dataset"])) == trial.injection.signal
    use = hunted_rows(jets, settings)
    numbers: dict[str, Any] = {
        "detector": trial.detector.key,
        "fraction": trial.fraction,
        "seed": trial.seed,
        "n_background": int(np.count_nonzero(use & ~is_signal)),
        "n_signal": int(np.count_nonzero(use & is_signal)),
        "scores": [],
    }
    sample = HuntSample("pseudo-data", None, trial.seed)
    changed = {"n_toys": trial.injection.n_toys, "seed": trial.seed}
    for column in _columns(trained, trial):
        spectra = fill_spectra(table, [column], sample, settings)
        result = hunt(spectra, settings.model_copy(update=changed))
        numbers["scores"].append(
            {
                "score": column,
                "global_p": None if result.bump_hunt is None else result.bump_hunt.global_p,
                "local_p": None if result.bump_hunt is None else result.bump_hunt.local_p,
                "window": None if result.bump_hunt is None else result.bump_hunt.window,
                "problem": result.problem,
                "cuts": _cuts(table, result, use, is_signal, signals, settings),
            }
        )
    return numbers


def _train(jets: Jets, trial: InjectionTrial) -> FoldedDetector:
    """Train, calibrate and decorrelate on all jets, as in data."""
    detector = trial.detector
    if detector_class(detector.name).supervised:
        msg = (
            f"injection: '{detector.key}' is supervised: signal in data has no label to learn from"
        )
        raise ConfigError(msg)
    ones = np.ones(len(jets))
    trained = FoldedDetector.fit(
        jets,
        detector=(detector.name, detector.hyper_parameters),
        k=trial.folds,
        seed=trial.seed,
        label=detector.key,
        weights=ones,
    )
    if trial.decorrelation is None:
        return trained
    mass = trial.decorrelation.mass or trial.hunt.mass
    return trained.decorrelated(jets, methods=trial.decorrelation.methods, mass=mass, weights=ones)


def _score(jets: Jets, trained: FoldedDetector, trial: InjectionTrial) -> Table:
    """Every score of jets, each by the model that never saw its event, beside rank and mass."""
    key = trial.detector.key
    table: Table = {labelled(key, name): values for name, values in trained.scores(jets).items()}
    return table | {name: np.asarray(jets[name]) for name in ("rank", trial.hunt.mass)}


def _columns(trained: FoldedDetector, trial: InjectionTrial) -> tuple[str, ...]:
    """The scores to hunt with: the decorrelated one, and the raw one."""
    raw_scores = {trial.detector.key: trained.raw_score_names}
    (name,) = main_scores([trial.detector], trial.decorrelation, raw_scores)
    return tuple(dict.fromkeys((name.column, name.raw)))


def _cuts(
    table: Table,
    result: Hunt,
    use: Bools,
    is_signal: Bools,
    signals: Table,
    settings: HuntConfig,
) -> list[dict[str, Any]]:
    """The effect of each cut on signal and background, and the fits after it.

    The fitted signal has the shape of all simulated signal after the same cut: a cut may take away what
    is in the tails.
    """
    mass = np.asarray(table[settings.mass], dtype=np.float64)
    window = use & (mass >= settings.window[0]) & (mass < settings.window[1])
    column = ScoreName.find(result.column, table).cut
    cuts = []
    for point in result.main_points:
        least = -np.log10(point.efficiency) if point.column else -np.inf
        passed = np.asarray(table[column]) >= least
        shape = np.histogram(
            np.asarray(signals[settings.mass])[np.asarray(signals[column]) >= least], point.edges
        )[0].astype(np.float64)
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
                "flags": _flags(point),
                **_in_window(point),
                **_fitted(point, shape, settings),
            }
        )
    return cuts


def _share(passed: Bools, among: Bools) -> float | None:
    n = int(np.count_nonzero(among))
    return int(np.count_nonzero(passed & among)) / n if n else None


def _flags(point: WorkingPoint) -> list[str]:
    """What speaks against the p-values after a cut: those of the scan, and of the fit beside the window."""
    flags = [] if point.scan is None else list(point.scan.flags)
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
