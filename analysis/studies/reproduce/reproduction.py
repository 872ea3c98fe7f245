"""`oddjet reproduce`: train and measure everything that documents report, and write one table."""

from __future__ import annotations

import dataclasses
import itertools
import time
from collections.abc import Sequence
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import Any

from oddjet.analysis.report.page import Table
from oddjet.analysis.studies.reproduce.choose import choose, choose_one_for_all
from oddjet.analysis.studies.reproduce.document import SCALES, Document, Results, Scale
from oddjet.analysis.studies.reproduce.documents import DOCUMENTS, get_document
from oddjet.analysis.studies.reproduce.report import Chapter, choice_table, write_reproduction
from oddjet.analysis.studies.reproduce.run import run_trials
from oddjet.analysis.studies.reproduce.table import make_rows
from oddjet.analysis.studies.reproduce.trial import Trial, TrialResult
from oddjet.analysis.studies.reproduce.windows import ready_window
from oddjet.datasets.files.fileset import Fileset, load_fileset
from oddjet.errors import ConfigError
from oddjet.processors.engine.progress import Reporter, SilentReporter

__all__ = ["Reproduction", "refuse_equal_labels", "reproduce"]


@dataclasses.dataclass(frozen=True)
class Reproduction:
    """What came out.

    Attributes:
        choices: Tables of the chosen detectors.
        report: Path of the HTML file; the same in `.md` and `.json` beside it.
    """

    chapters: tuple[Chapter, ...]
    choices: tuple[Table, ...]
    report: Path


def reproduce(
    documents: Sequence[str] = (),
    *,
    scale: Scale = "quick",
    output: Path,
    samples: Path,
    workers: int = 1,
    fileset: str = "catalog:reproduce",
    reporter: Reporter | None = None,
) -> Reproduction:
    """Train and measure everything the documents report, on simulated samples.

    Trainings, samples and skims are kept: a second call repeats nothing, an interrupted one continues.

    Args:
        documents: Names; all by default.
        scale: `quick`: an hour on two cores for all; `full`: published sizes, if there are the jets.
        output: Folder of skims, trials and report.
        samples: Folder of the simulated samples.
        workers: Processes for simulation, skims and trainings.
        fileset: The samples: `catalog:reproduce`, or a file with the same datasets.
        reporter: Receives progress.

    Raises:
        ConfigError: If there is no such document or scale, or a dataset is missing.
        ProcessingError: If trials fail; the others are kept.
    """
    if scale not in SCALES:
        msg = f"unknown scale {scale!r}: expected one of {', '.join(SCALES)}"
        raise ConfigError(msg)
    reporter = reporter or SilentReporter()
    started = time.perf_counter()
    chosen = [get_document(name) for name in documents or DOCUMENTS]
    trials = {document.name: list(document.trials(scale)) for document in chosen}
    refuse_equal_labels(trials)
    loaded = load_fileset(fileset)
    every = [trial for of_document in trials.values() for trial in of_document]
    sources: dict[str, Any] = {
        "samples": samples,
        "workers": workers,
        "fileset": loaded,
        "reporter": reporter,
    }
    skims = {
        name: ready_window(name, output / "skims", **sources).folder
        for name in dict.fromkeys(trial.window for trial in every)
    }
    results = run_trials(
        every, skims, output / scale / "trials", workers=workers, reporter=reporter
    )
    waiting = iter(results)
    chapters = []
    for document in chosen:
        reporter.log(f"{document.name}: measuring and drawing …")
        mine = list(itertools.islice(waiting, len(trials[document.name])))
        chapters.append(_chapter(document, mine, output / "skims", loaded))
    choices = _choices(results)
    footer = _footer(results, time.perf_counter() - started)
    report = write_reproduction(output / scale, chapters, choices, scale=scale, footer=footer)
    return Reproduction(tuple(chapters), choices, report)


def refuse_equal_labels(trials: dict[str, list[Trial]]) -> None:
    """Refuse a document of which two different trials share a label.

    Raises:
        ConfigError: There is one. Ceilings may share theirs: they are found by their signal.
    """
    for name, of_document in trials.items():
        seen: dict[tuple[str, ...], dict[str, Any]] = {}
        for trial in of_document:
            place = () if trial.signal is None else (trial.window, trial.background, trial.signal)
            key = (trial.label, *place)
            if seen.setdefault(key, trial.identity()) != trial.identity():
                msg = (
                    f"document '{name}' has two different trials called '{trial.label}': rename one"
                )
                raise ConfigError(msg)


def _chapter(
    document: Document, results: Sequence[TrialResult], skims: Path, fileset: Fileset
) -> Chapter:
    known = Results(tuple(results), skims)
    return Chapter(
        document=document,
        rows=make_rows(document, results, fileset),
        tables=tuple(document.tables(known)),
        trends=tuple(document.trends(known)),
        drawings=tuple(document.drawings(known)),
    )


def _choices(results: Sequence[TrialResult]) -> tuple[Table, ...]:
    tables = [
        choice_table(choose(results), "The best unsupervised score for each task"),
        choice_table(choose_one_for_all(results), "One score with the same settings for all tasks"),
    ]
    return tuple(table for table in tables if table.rows)


def _footer(results: Sequence[TrialResult], seconds: float) -> str:
    trained = {
        str(result.folder): result.train_seconds + result.score_seconds for result in results
    }
    return (
        f"oddjet {version('oddjet')}, {datetime.now(timezone.utc):%Y-%m-%d}. {len(trained)} trainings, "
        f"{sum(trained.values()) / 60:.0f} minutes of one core in all; this call took {seconds / 60:.0f} minutes."
    )
