from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from oddjet.analysis.studies.reproduce.choose import TASKS, choose, choose_one_for_all
from oddjet.analysis.studies.reproduce.measure import area
from oddjet.analysis.studies.reproduce.trial import CEILING, Trial, TrialResult

TOP = next(task for task in TASKS if task.title == "top")
AACHEN = next(task for task in TASKS if task.title == "Aachen")


def a_result(
    name: str,
    task: object,
    shifts: dict[str, tuple[float, float]],
    *,
    signal: str | None = None,
    seed: int = 1,
) -> TrialResult:
    """Scores that are unit Gaussians, the signal's moved by what choosing and quoting shall see."""
    rng = np.random.default_rng(seed)
    trial = Trial(task.window, "kmeans", name, settings=name, nominal=task.nominal, signal=signal)  # type: ignore[attr-defined]
    tables = {}
    for dataset in (trial.background, *trial.others):
        for place, role in enumerate(("validation", "test")):
            n = 1000
            moved = dataset == task.signal  # type: ignore[attr-defined]
            scores = {k: rng.normal(size=n) + moved * v[place] for k, v in shifts.items()}
            mass = rng.exponential(50, n)
            tables[dataset, role] = (
                dict.fromkeys(("jet_pt", "jet_mass", "jet_msoftdrop"), mass)
                | {"jet_event": np.arange(n, dtype=np.float64)}
                | scores
            )
    return TrialResult(trial, Path(f"{name}-{trial.background}"), 10, 1.0, 1.0, 10, tables)


def test_the_best_where_it_chooses_is_quoted_elsewhere() -> None:
    lucky = a_result("lucky", TOP, {"a": (2.0, 0.5), "b": (0.1, 3.0)})
    steady = a_result("steady", TOP, {"a": (1.0, 1.0)}, seed=2)
    limit = a_result(CEILING, TOP, {"log_odds": (2.0, 2.0)}, signal="top", seed=3)
    (choice,) = choose([lucky, steady, limit])
    assert (choice.task, choice.detector, choice.n_candidates) == (TOP, "lucky: a", 3)
    assert choice.measured.auc.value == area(lucky, "top", "a", "test")
    assert choice.ceiling == area(limit, "top", "log_odds", "test")
    expected = (choice.measured.auc.value - 0.5) / (choice.ceiling - 0.5)
    assert choice.share is not None
    assert choice.share.value == pytest.approx(expected, abs=1e-9)


def test_what_knows_the_signal_is_never_chosen() -> None:
    limit = a_result(CEILING, TOP, {"log_odds": (2.0, 2.0)}, signal="top")
    assert choose([limit]) == []
    contaminated = a_result("c", TOP, {"a": (2.0, 2.0)})
    contaminated = dataclasses.replace(
        contaminated, trial=dataclasses.replace(contaminated.trial, contamination=("top", 0.1))
    )
    assert choose([contaminated]) == []


def test_one_for_all_is_there_for_all_and_the_best_on_the_whole() -> None:
    results = [
        a_result("specialist", TOP, {"a": (3.0, 3.0)}),
        a_result("specialist", AACHEN, {"a": (0.1, 0.1)}, seed=2),
        a_result("generalist", TOP, {"a": (1.5, 1.5)}, seed=3),
        a_result("generalist", AACHEN, {"a": (1.5, 1.5)}, seed=4),
        a_result("only here", TOP, {"a": (4.0, 4.0)}, seed=5),
    ]
    choices = choose_one_for_all(results, (TOP, AACHEN))
    assert [choice.task for choice in choices] == [TOP, AACHEN]
    assert {choice.detector for choice in choices} == {"generalist: a"}
    assert choose_one_for_all([]) == []
