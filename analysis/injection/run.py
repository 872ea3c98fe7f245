"""All experiments: each once, over the executor, those that are done left alone."""

from __future__ import annotations

import contextlib
import functools
import itertools
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from oddjet.analysis.config import AnalysisConfig
from oddjet.analysis.injection.settings import InjectionConfig
from oddjet.analysis.injection.summary import InjectionResult
from oddjet.analysis.injection.trial import InjectionTrial, load_trial, run_trial, trial_key
from oddjet.condor.cluster import open_executor
from oddjet.datasets.skims.skim import Skim
from oddjet.errors import ConfigError, ProcessingError, did_you_mean
from oddjet.processors.engine.progress import Reporter, SilentReporter, Update

__all__ = ["plan_trials", "run_injection"]


def plan_trials(
    config: AnalysisConfig,
    skim: Skim,
    *,
    detectors: Sequence[str] = (),
    fractions: Sequence[float] = (),
) -> list[InjectionTrial]:
    """List the experiments of an analysis.

    Args:
        config: The analysis, with an ``injection:`` block.
        skim: Its jets.
        detectors: Labels of the detectors to use; all without.
        fractions: Of the fractions in the configuration; all without.

    Raises:
        ConfigError: There is no such block, dataset, detector or fraction.
    """
    injection = config.injection
    if injection is None:
        msg = "the configuration has no 'injection:' block: injection: {signal: NAME}"
        raise ConfigError(msg)
    known = {each.key: each for each in config.detectors}
    for name in detectors:
        if name not in known:
            msg = f"no detector '{name}' in the configuration.{did_you_mean(name, known)}"
            raise ConfigError(msg)
    background = _background(skim, injection)
    wanted = [each for key, each in known.items() if not detectors or key in detectors]
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
        )
        for detector, fraction, seed in itertools.product(wanted, chosen, injection.seeds)
    ]


def _background(skim: Skim, injection: InjectionConfig) -> tuple[str, ...]:
    datasets = skim.manifest.datasets
    if injection.signal not in datasets:
        msg = (
            f"injection: the skim has no dataset '{injection.signal}'."
            f"{did_you_mean(injection.signal, datasets)}"
        )
        raise ConfigError(msg)
    names = tuple(n for n, d in datasets.items() if d.kind == "background")
    if not names:
        msg = "injection: the skim has no dataset of kind 'background' to inject into"
        raise ConfigError(msg)
    return names


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
    interrupted one goes on. A failure does not stop the others; all are told at the end.

    Args:
        config: The analysis.
        skim: Its jets.
        output: Folder of the results.
        detectors: Labels of the detectors to use; all without.
        fractions: Of the fractions in the configuration; all without.
        reporter: Receives progress.

    Raises:
        ConfigError: As of `plan_trials`.
        ProcessingError: Experiments failed; the results of the others are kept.
    """
    reporter = reporter or SilentReporter()
    trials = plan_trials(config, skim, detectors=detectors, fractions=fractions)
    folder = output.absolute() / "trials"
    folder.mkdir(parents=True, exist_ok=True)
    todo = [trial for trial in trials if load_trial(trial, folder) is None]
    reporter.log(f"{len(trials)} experiments, {len(trials) - len(todo)} of them done before")
    if todo:
        with (
            open_executor(config.cluster) as executor,
            reporter.track("inject", len(todo), "experiments") as update,
            _watched(todo, folder, update),
        ):
            work = functools.partial(run_trial, output=folder)
            result, _ = executor(todo, work, None)
        _raise_failures(result, len(todo))
    found = [(trial, load_trial(trial, folder)) for trial in trials]
    lost = [trial.label for trial, each in found if each is None]
    if lost:
        msg = f"{len(lost)} of {len(trials)} experiments left no result: {'; '.join(lost[:5])}"
        raise ProcessingError(msg)
    return InjectionResult.from_trials([each for _, each in found if each is not None])


def _raise_failures(result: dict[str, Any], n: int) -> None:
    failures = dict(result.get("failures", {}))
    if failures:
        lines = [f"{label}: {message}" for label, message in failures.items()]
        msg = "\n".join([f"{len(failures)} of {n} experiments failed; the others are kept", *lines])
        raise ProcessingError(msg)


@contextlib.contextmanager
def _watched(todo: Sequence[InjectionTrial], folder: Path, update: Update) -> Iterator[None]:
    """Move the bar as results appear on disk, whichever worker wrote them."""
    files = [folder / f"{trial_key(trial)}.json" for trial in todo]
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(1.0):
            update(sum(file.exists() for file in files))

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        update(sum(file.exists() for file in files))
