"""Choosing detectors on one half of the jets and quoting them on the other.

Many detectors with several scores are compared for each signal. The best of many looks better than
it is, so it is chosen by its area on jets that are not quoted. Beside it stands the one score with
the same settings everywhere that does best on the whole.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from oddjet.analysis.studies.reproduce.measure import Measured, area, measure, share_of_ceiling
from oddjet.analysis.studies.reproduce.settings import CEILING
from oddjet.analysis.studies.reproduce.trial import Trial, TrialResult
from oddjet.ml.evaluation.bootstrap import Interval

__all__ = ["TASKS", "Choice", "Task", "choose", "choose_one_for_all"]


@dataclasses.dataclass(frozen=True)
class Task:
    """Something to find.

    Attributes:
        title: What it is called.
        window: Name of the window.
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
        for result in results:
            trial = result.trial
            if (
                trial.settings == CEILING
                and trial.window == self.window
                and trial.background == self.nominal
                and trial.signal == self.signal
            ):
                return result
        return None


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
    """A score for a task, on the jets that are quoted.

    Attributes:
        task: The task.
        detector: Settings' name and score.
        measured: Its figures.
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
    """Choose the best unsupervised score for each task.

    Args:
        results: Of trials of any kind.
        tasks: The tasks; those without a trial are left out.
    """
    choices = []
    for task in tasks:
        candidates = _candidates(results, task)
        if candidates:
            best = max(candidates, key=lambda c: area(c[0], task.signal, c[1], "validation"))
            choices.append(_quote(results, task, best, len(candidates)))
    return choices


def choose_one_for_all(
    results: Sequence[TrialResult], tasks: Sequence[Task] = TASKS
) -> list[Choice]:
    """Choose the one score, with the same settings, that does best over the tasks.

    Best is the largest mean, over the tasks with an aim, of AUC − ½ in units of the best score's, on
    the jets that choose. Inverse tagging does not choose, and is quoted.

    Args:
        results: Of trials of any kind.
        tasks: The tasks.
    """
    found: dict[str, dict[Task, tuple[TrialResult, str]]] = {}
    for task in tasks:
        for result, score in _candidates(results, task):
            key = f"{result.trial.settings}: {score}"
            found.setdefault(key, {})[task] = (result, score)
    here = [task for task in tasks if _candidates(results, task)]
    chosen = [task for task in here if task.wanted is not None]
    complete = {key: by_task for key, by_task in found.items() if set(by_task) >= set(here)}
    if not complete or not chosen:
        return []

    def worth(key: str) -> float:
        found = [complete[key][task] for task in chosen]
        areas = [
            area(result, task.signal, score, "validation") - 0.5
            for task, (result, score) in zip(chosen, found, strict=True)
        ]
        scale = [_best_area(results, task) - 0.5 for task in chosen]
        return float(np.mean([a / max(s, 1e-6) for a, s in zip(areas, scale, strict=True)]))

    best = max(complete, key=worth)
    return [_quote(results, task, complete[best][task], len(complete)) for task in here]


def _best_area(results: Sequence[TrialResult], task: Task) -> float:
    """The best area among the unsupervised scores: what shares are taken of where they choose."""
    return max(area(r, task.signal, s, "validation") for r, s in _candidates(results, task))


def _candidates(results: Sequence[TrialResult], task: Task) -> list[tuple[TrialResult, str]]:
    different = {str(result.folder): result for result in results if task.matches(result.trial)}
    return [(result, score) for result in different.values() for score in result.score_names]


def _quote(
    results: Sequence[TrialResult],
    task: Task,
    candidate: tuple[TrialResult, str],
    n_candidates: int,
) -> Choice:
    result, score = candidate
    ceiling = task.ceiling(results)
    share, limit = None, None
    if ceiling is not None:
        limit = area(ceiling, task.signal, "log_odds", "test")
        share = share_of_ceiling(
            result.pair(task.signal, "test", score),
            ceiling.pair(task.signal, "test", "log_odds"),
        )
    return Choice(
        task=task,
        detector=f"{result.trial.settings}: {score}",
        measured=measure(result, task.signal, score),
        share=share,
        ceiling=limit,
        n_candidates=n_candidates,
    )
