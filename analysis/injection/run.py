"""All experiments of an analysis: planned, run once each, and summed up."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from oddjet.analysis.config import ROLES, AnalysisConfig, InjectionConfig
from oddjet.analysis.injection.summary import InjectionResult
from oddjet.analysis.injection.trial import InjectionTrial, run_trial, trial_key
from oddjet.analysis.trials import Task, keep_json, read_json, run_tasks
from oddjet.datasets.skims.skim import Skim
from oddjet.errors import ConfigError, look_up
from oddjet.processors.engine.progress import Reporter

__all__ = ["plan_trials", "run_injection"]


def plan_trials(
    config: AnalysisConfig,
    skim: Skim,
    *,
    detectors: Sequence[str] = (),
    fractions: Sequence[float] = (),
) -> list[InjectionTrial]:
    """List the experiments of an analysis.

    Raises:
        ConfigError: There is no such block, dataset, detector or fraction.
    """
    injection = config.injection
    if injection is None:
        msg = "the configuration has no 'injection:' block: injection: {signal: NAME}"
        raise ConfigError(msg)
    known = {detector.key: detector for detector in config.detectors}
    for name in detectors:
        look_up(known, name, "detector of the configuration")
    background = _background(skim, injection)
    _check_share(config, injection)
    wanted = [known[key] for key in known if not detectors or key in detectors]
    chosen = [f for f in injection.fractions if not fractions or f in fractions]
    if not chosen:
        msg = f"expected fractions among {list(injection.fractions)}, received {list(fractions)}"
        raise ConfigError(msg)
    return [
        InjectionTrial(
            skim=skim.folder.absolute(),
            background=background,
            injection=injection,
            fraction=fraction,
            seed=seed,
            detector=detector,
            decorrelation=config.decorrelation,
            hunt=config.hunt,
            folds=config.folds,
            training=config.training,
            verify=config.verify,
        )
        for detector, fraction, seed in itertools.product(wanted, chosen, injection.seeds)
    ]


def _background(skim: Skim, injection: InjectionConfig) -> tuple[str, ...]:
    datasets = skim.manifest.datasets
    look_up(datasets, injection.signal, "dataset of the skim to inject")
    names = tuple(n for n, d in datasets.items() if d.kind == "background")
    if not names:
        msg = "injection: the skim has no dataset of kind 'background' to inject into"
        raise ConfigError(msg)
    return names


def _check_share(config: AnalysisConfig, injection: InjectionConfig) -> None:
    on_simulation = [role for role in ROLES if config.training.of(role).on != "data"]
    if injection.background_share == 1 and on_simulation:
        msg = (
            f"injection: {' and '.join(on_simulation)} are learned on the background's other events, and background_share "
            "1 leaves none: lower injection.background_share, or learn on the experiment itself with training: {on: data}"
        )
        raise ConfigError(msg)


def run_injection(
    config: AnalysisConfig,
    skim: Skim,
    output: Path,
    *,
    detectors: Sequence[str] = (),
    fractions: Sequence[float] = (),
    reporter: Reporter | None = None,
) -> InjectionResult:
    """Run the experiments that were not run yet, and add up all of them.

    Each is kept under a key of jets, settings and code, so a second call repeats nothing and an
    interrupted one continues. A failure does not stop the others; all are named at the end.

    Raises:
        ConfigError: As of `plan_trials`.
        ProcessingError: Experiments failed; the results of the others are kept.
    """
    trials = plan_trials(config, skim, detectors=detectors, fractions=fractions)
    folder = output.absolute() / "trials"
    tasks = [_task(trial, folder / f"{trial_key(trial)}.json") for trial in trials]
    results = run_tasks(
        tasks, cluster=config.cluster, step="inject", unit="experiments", reporter=reporter
    )
    return InjectionResult.from_trials(results)


def _task(trial: InjectionTrial, file: Path) -> Task[dict[str, Any]]:
    return Task(
        trial.label,
        file,
        read=functools.partial(read_json, file),
        run=functools.partial(keep_json, run_trial, trial, file),
    )
