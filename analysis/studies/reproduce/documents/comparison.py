"""All detectors on the same jets: W, top, dark jets, and QCD jets among top jets."""

from __future__ import annotations

from collections.abc import Iterator

from oddjet.analysis.report.page import Cell, Table
from oddjet.analysis.studies.reproduce.choose import TASKS, Task
from oddjet.analysis.studies.reproduce.document import Document, Results, Scale
from oddjet.analysis.studies.reproduce.measure import area
from oddjet.analysis.studies.reproduce.settings import ceiling, make_trial, on_top
from oddjet.analysis.studies.reproduce.trial import CEILING, Trial, TrialResult
from oddjet.errors import TooFewJetsError
from oddjet.ml.evaluation.fixed_mass import auc_at_fixed

__all__ = ["COMPARISON"]

EVERYWHERE = (
    *("khanal", "golling", "kmeans n=1 σ=3", "kmeans n=0.5 σ=1", "kmeans n=0.1 σ=1"),
    *("gmm EFP β=½ log", "gmm EFP β=1 n=⅓", "gmm shapes", "gmm log shapes"),
    *("dirichlet n=0.25 σ=1", "dirichlet n=0.5 σ=1", "inn", "inn log", "autoencoder", "nae"),
    "observables",
)
"""Trained on every sample, with the same settings."""
LARGE = ("ene, 32 filters", "lund autoencoder", "lund nae", "gmm images")
"""Trained on the top window alone."""


def _trials(scale: Scale) -> list[Trial]:
    trials = []
    for window in ("w", "top", "dark"):
        labels = (*EVERYWHERE, *LARGE) if window == "top" else EVERYWHERE
        trials += [make_trial(label, window, scale, label=f"{label}, {window}") for label in labels]
    trials += [
        make_trial(label, "top", scale, nominal="top", label=on_top(label))
        for label in (*EVERYWHERE, *LARGE)
    ]
    signals = {"w": ("w",), "top": ("top",), "dark": ("aachen", "heidelberg")}
    trials += [ceiling(window, signal, scale) for window in signals for signal in signals[window]]
    trials.append(ceiling("top", "qcd_top", scale, nominal="top"))
    return trials


def _tables(results: Results) -> Iterator[Table]:
    """Give one line a score, one column a task: AUC and, in brackets, AUC at fixed mass."""
    cells: dict[tuple[str, str], dict[Task, str]] = {}
    for result in results.every:
        for task in TASKS:
            is_ceiling = result is task.ceiling(results.every)
            if is_ceiling or task.matches(result.trial):
                for score in result.score_names:
                    key = (result.trial.settings, score)
                    cells.setdefault(key, {})[task] = _areas(result, task, score)
    # The ceiling last.
    keys = sorted(cells, key=lambda key: key[0] == CEILING)
    rows: list[tuple[Cell, ...]] = [
        (*key, *(cells[key].get(task) for task in TASKS)) for key in keys
    ]
    titles = tuple(task.title for task in TASKS)
    yield Table(
        ("detector", "score", *titles),
        tuple(rows),
        "AUC, and in brackets the AUC at fixed jet mass",
    )


def _areas(result: TrialResult, task: Task, score: str) -> str:
    values, is_signal = result.pair(task.signal, "test", score)
    mass, _ = result.pair(task.signal, "test", "jet_mass")
    text = f"{area(result, task.signal, score, 'test'):.3f}"
    try:
        fixed = auc_at_fixed(values, is_signal, mass, replicas=1).auc.value
    except TooFewJetsError:
        return text
    return f"{text} ({fixed:.3f})"


COMPARISON = Document(
    name="comparison",
    title="All detectors on the same jets",
    reference="not a document: oddjet's own comparison",
    trials=_trials,
    tables=_tables,
)
