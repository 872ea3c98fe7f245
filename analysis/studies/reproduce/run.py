"""Running trials: once each, the longest first, in several processes of one thread each."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path

from oddjet.analysis.studies.reproduce.trial import (
    INFO_FILE,
    Trial,
    TrialResult,
    load_trial,
    run_trial,
    trial_key,
)
from oddjet.analysis.trials import Task, local_cluster, run_tasks
from oddjet.datasets.skims.skim import Skim, open_skim
from oddjet.processors.engine.progress import Reporter

__all__ = ["run_trials"]


def run_trials(
    trials: Sequence[Trial],
    skims: Mapping[str, Path],
    output: Path,
    *,
    workers: int,
    reporter: Reporter,
) -> list[TrialResult]:
    """Run trials that were not run yet, and give the results of all, in the order given.

    A trial that fails does not stop the others; all failures are named at the end.

    Trials that are the same but for their labels are run once.

    Raises:
        ProcessingError: If a trial fails or a worker dies; the results of the others are kept.
    """
    opened = {name: open_skim(folder) for name, folder in skims.items()}
    tasks = [_task(trial, opened[trial.window], output) for trial in trials]
    return run_tasks(
        tasks,
        cluster=local_cluster(workers),
        step="train and score",
        unit="trials",
        reporter=reporter,
    )


def _task(trial: Trial, skim: Skim, output: Path) -> Task[TrialResult]:
    return Task(
        f"{trial.label} ({trial.background})",
        output / trial_key(trial, skim) / INFO_FILE,
        read=functools.partial(load_trial, trial, skim, output),
        run=functools.partial(run_trial, trial, skim.folder, output),
        cost=trial.cost,
    )
