"""Running trials: once each, the longest first, in several processes of one thread each."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from oddjet.analysis.studies.reproduce.trial import (
    Trial,
    TrialResult,
    load_trial,
    run_trial,
    trial_key,
)
from oddjet.datasets.skims.skim import Skim, open_skim
from oddjet.errors import ProcessingError
from oddjet.processors.engine.progress import Reporter

__all__ = ["run_trials"]

ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
}
"""Set before a worker imports anything; two trainings side by side are quicker than one on two cores."""


def run_trials(
    trials: Sequence[Trial],
    skims: Mapping[str, Path],
    output: Path,
    *,
    workers: int,
    reporter: Reporter,
) -> list[TrialResult]:
    """Run trials that were not run yet, and give the results of all.

    A trial that fails does not stop the others; all failures are told at the end.

    Args:
        trials: What to run; those that are the same but for their labels are run once.
        skims: Name of a window → folder of its skim.
        output: Folder of the trials.
        workers: Processes.
        reporter: Receives progress.

    Returns:
        One result a trial, in the order given.

    Raises:
        ProcessingError: If a trial fails or a worker dies; the results of the others are kept.
    """
    opened = {name: open_skim(folder) for name, folder in skims.items()}
    waiting = _to_run(trials, opened, output)
    if waiting:
        _run(waiting, skims, output, workers, reporter)
    results = []
    for trial in trials:
        found = load_trial(trial, opened[trial.window], output)
        if found is None:
            msg = f"trial '{trial.label}' left no result in {output}: call again"
            raise ProcessingError(msg)
        results.append(found)
    return results


def _to_run(trials: Sequence[Trial], skims: Mapping[str, Skim], output: Path) -> list[Trial]:
    """Give the trials without a result, each once, the longest first."""
    different: dict[str, Trial] = {}
    for trial in trials:
        skim = skims[trial.window]
        if load_trial(trial, skim, output) is None:
            different.setdefault(trial_key(trial, skim), trial)
    return sorted(different.values(), key=lambda trial: -trial.cost)


def _run(
    trials: Sequence[Trial],
    skims: Mapping[str, Path],
    output: Path,
    workers: int,
    reporter: Reporter,
) -> None:
    failures = []
    with reporter.track("train and score", len(trials), "trials") as update:
        for done, (trial, error) in enumerate(_finished(trials, skims, output, workers), start=1):
            update(done)
            if error is None:
                reporter.log(f"{trial.label} ({trial.background})")
            else:
                reporter.log(f"{trial.label} ({trial.background}) failed: {error}")
                failures.append(str(error))
    if failures:
        msg = (
            f"{len(failures)} of {len(trials)} trials failed; the others are kept and are not run "
            f"again:\n" + "\n".join(failures)
        )
        raise ProcessingError(msg)


def _finished(
    trials: Sequence[Trial], skims: Mapping[str, Path], output: Path, workers: int
) -> Iterator[tuple[Trial, Exception | None]]:
    """Run trials and give each as it ends, with its error if it failed."""
    if workers == 1:
        for trial in trials:
            yield trial, _attempt(trial, skims[trial.window], output)
        return
    context = multiprocessing.get_context("spawn")
    with _environment(ONE_THREAD), ProcessPoolExecutor(workers, mp_context=context) as pool:
        running: dict[Future[Exception | None], Trial] = {
            pool.submit(_attempt, trial, skims[trial.window], output): trial for trial in trials
        }
        while running:
            ended, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in ended:
                trial = running.pop(future)
                try:
                    yield trial, future.result()
                except BrokenProcessPool as error:
                    msg = (
                        f"a worker died during '{trial.label}' or one beside it, most likely for "
                        f"want of memory: use fewer workers, and call again to go on"
                    )
                    raise ProcessingError(msg) from error


def _attempt(trial: Trial, skim: Path, output: Path) -> Exception | None:
    """Run a trial; its error travels as a result, so that the others go on."""
    try:
        run_trial(trial, skim, output)
    except Exception as error:  # noqa: BLE001 - told at the end, with the others
        return ProcessingError(f"{type(error).__name__}: {error}")
    return None


@contextlib.contextmanager
def _environment(settings: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables that spawned processes inherit."""
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
