"""Choosing detectors on one half of the jets, the validation jets, and measuring them on the other.

Many detectors with several scores are compared for each signal. The best of many looks better than
it is, so it is chosen by its area on other jets than it is measured on. Beside it is the one score
with the same settings everywhere that does best on the whole.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from oddjet.analysis.studies.reproduce.measure import (
    Measured,
    against_ceiling,
    area,
    find_ceiling,
    measure,
)
from oddjet.analysis.studies.reproduce.trial import Trial, TrialResult
from oddjet.ml.evaluation.bootstrap import Interval

__all__ = ["TASKS", "Choice", "Task", "choose", "choose_one_for_all"]


@dataclasses.dataclass(frozen=True)
class Task:
    """Something to find.

    Attributes:
        nominal: Dataset that is trained on.
        signal: Dataset to find.
        wanted: Share of the ceiling's AUC − ½ that the best unsupervised score should keep; None
            where there is no such aim.
    """

    title: str
    window: str
    nominal: str
    signal: str
    wanted: float | None = None

    def matches(self, trial: Trial) -> bool:
        """Whether a trial was trained for this task, without having seen its signal."""
        return (
            trial.window == self.window
            and trial.background == self.nominal
            and self.signal in trial.others
            and not trial.knows_signal
        )

    def ceiling(self, results: Sequence[TrialResult]) -> TrialResult | None:
        """Find the supervised ceiling of the task."""
        return find_ceiling(results, self.window, self.nominal, self.signal)


TASKS = (
    Task("merged W", "w", "qcd_w", "w", 0.9),
    Task("top", "top", "qcd_top", "top", 0.9),
    Task("Aachen", "dark", "qcd_dark", "aachen", 0.9),
    Task("Heidelberg", "dark", "qcd_dark", "heidelberg", 0.85),
    Task("QCD among top", "top", "top", "qcd_top"),
)
"""What detectors are compared by."""


@dataclasses.dataclass(frozen=True)
class Choice:
    """A score for a task, on the test jets.

    Attributes:
        detector: Settings' name and score.
        share: Of the ceiling's AUC − ½; None without a ceiling.
        ceiling: AUC of the ceiling; None without one.
        n_candidates: Scores it was chosen from.
    """

    task: Task
    detector: str
    measured: Measured
    share: Interval | None
    ceiling: float | None
    n_candidates: int


def choose(results: Sequence[TrialResult], tasks: Sequence[Task] = TASKS) -> list[Choice]:
    """Choose the best unsupervised score for each task that has trials."""
    choices = []
    for task in tasks:
        candidates = _candidates(results, task)
        if candidates:
            best = max(candidates, key=lambda c: area(c[0], task.signal, c[1], "validation"))
            choices.append(_choice(results, task, best, len(candidates)))
    return choices


def choose_one_for_all(
    results: Sequence[TrialResult], tasks: Sequence[Task] = TASKS
) -> list[Choice]:
    """Choose the one score, with the same settings, that does best over the tasks.

    Best is the largest mean, over the tasks with an aim, of AUC − ½ in units of the best score's, on
    the validation jets. Inverse tagging has no part in the choice, and is measured.
    """
    candidates = {task: _candidates(results, task) for task in tasks}
    present = [task for task in tasks if candidates[task]]
    aimed = [task for task in present if task.wanted is not None]
    by_score: dict[str, dict[Task, tuple[TrialResult, str]]] = {}
    for task in present:
        for result, score in candidates[task]:
            by_score.setdefault(f"{result.trial.settings}: {score}", {})[task] = (result, score)
    complete = {key: by_task for key, by_task in by_score.items() if set(by_task) >= set(present)}
    if not complete or not aimed:
        return []

    def excess(task: Task, candidate: tuple[TrialResult, str]) -> float:
        result, score = candidate
        return area(result, task.signal, score, "validation") - 0.5

    best_excess = {task: max(excess(task, c) for c in candidates[task]) for task in aimed}

    def worth(key: str) -> float:
        return float(
            np.mean([excess(t, complete[key][t]) / max(best_excess[t], 1e-6) for t in aimed])
        )

    best = max(complete, key=worth)
    return [_choice(results, task, complete[best][task], len(complete)) for task in present]


def _candidates(results: Sequence[TrialResult], task: Task) -> list[tuple[TrialResult, str]]:
    different = {str(result.folder): result for result in results if task.matches(result.trial)}
    return [(result, score) for result in different.values() for score in result.score_names]


def _choice(
    results: Sequence[TrialResult],
    task: Task,
    candidate: tuple[TrialResult, str],
    n_candidates: int,
) -> Choice:
    result, score = candidate
    ceiling, share = against_ceiling(results, result, task.signal, score)
    return Choice(
        task=task,
        detector=f"{result.trial.settings}: {score}",
        measured=measure(result, task.signal, score),
        share=share,
        ceiling=ceiling,
        n_candidates=n_candidates,
    )
