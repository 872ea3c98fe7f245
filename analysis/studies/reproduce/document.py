"""What a document reports: trainings, published figures, statements to test, pictures to redraw."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Literal, TypeAlias

from matplotlib.figure import Figure

from oddjet.analysis.report.page import Picture, Table
from oddjet.analysis.studies.reproduce.measure import compare_areas
from oddjet.analysis.studies.reproduce.trial import Trial, TrialResult
from oddjet.analysis.studies.reproduce.windows import get_window
from oddjet.datasets.jets import Jets
from oddjet.datasets.skims.skim import Skim, open_skim
from oddjet.errors import ConfigError
from oddjet.ml.evaluation.roc import Interval

__all__ = ["SCALES", "Document", "Published", "Results", "Scale", "Trend", "drawing"]

Scale: TypeAlias = Literal["tiny", "quick", "full"]
SCALES: tuple[Scale, ...] = ("tiny", "quick", "full")
"""`tiny` is for tests: everything runs, no figure means anything."""


Score: TypeAlias = tuple[str, str, str]
"""Label of a trial, dataset that counts as signal, name of the score."""


@dataclasses.dataclass(frozen=True)
class Published:
    """A figure in print."""

    label: str
    score: str
    signal: str
    auc: float | None = None
    rejection: tuple[float, float] | None = None
    note: str = ""

    @property
    def text(self) -> str:
        """The figure as a table shows it."""
        parts = [] if self.auc is None else [f"AUC {self.auc:g}"]
        if self.rejection is not None:
            efficiency, rejection = self.rejection
            parts.append(f"1/ε_b({efficiency:g}) {rejection:g}")
        return "; ".join([*parts, *([self.note] if self.note else [])])


@dataclasses.dataclass(frozen=True)
class Trend:
    """A statement in print, and whether it holds here.

    Attributes:
        difference: The number that decides, positive if the statement holds, with its interval.
        meaning: What that number is.
    """

    statement: str
    difference: Interval
    meaning: str

    @property
    def verdict(self) -> str:
        """`holds`, `does not hold`, or `undecided` where the interval contains 0."""
        if self.difference.low > 0:
            return "holds"
        return "does not hold" if self.difference.high < 0 else "undecided"


@dataclasses.dataclass(frozen=True)
class Results:
    """Results of trials, found by what they are.

    Attributes:
        every: All of them; ceilings share their label.
    """

    every: tuple[TrialResult, ...]
    skims: Path

    @property
    def by_label(self) -> dict[str, TrialResult]:
        """Label → result; of those that share one, the last."""
        return {result.trial.label: result for result in self.every}

    def __getitem__(self, label: str) -> TrialResult:
        by_label = self.by_label
        if label not in by_label:
            msg = f"no trial is called {label!r}: there are {', '.join(by_label)}"
            raise ConfigError(msg)
        return by_label[label]

    def compare(self, statement: str, more: Score, less: Score, meaning: str = "") -> Trend:
        """Test whether the area of the score `more` is larger than that of `less`."""
        pairs = [self[label].scored(signal, "test", score) for label, signal, score in (more, less)]
        default = f"AUC of {more[0]} {more[2]} minus that of {less[0]} {less[2]}"
        return Trend(statement, compare_areas(*pairs), meaning or default)

    def skim(self, result: TrialResult) -> Skim:
        """Open the skim of a trial's window."""
        return open_skim(self.skims / get_window(result.trial.window).folder)

    def jets(self, result: TrialResult, dataset: str, n: int | None = None) -> Jets:
        """Read test jets, in the order of the result's tables."""
        window = get_window(result.trial.window)
        nominal = dataset == result.trial.background
        jets = window.jets(self.skim(result), dataset, "test", nominal=nominal)
        return jets[: result.trial.max_scored][:n]


def drawing(name: str, figure: Figure, caption: str) -> Picture:
    """Make a picture of a document, to be kept in a file of that name."""
    return Picture(lambda: figure, caption, name=name)


Trials: TypeAlias = Callable[[Scale], Sequence[Trial]]
Trends: TypeAlias = Callable[[Results], Iterable[Trend]]
Drawings: TypeAlias = Callable[[Results], Iterable[Picture]]
Tables: TypeAlias = Callable[[Results], Iterable[Table]]


def nothing(results: Results) -> tuple[()]:
    """Draw, tabulate or claim nothing."""
    del results
    return ()


@dataclasses.dataclass(frozen=True)
class Document:
    """One of the documents.

    Attributes:
        reference: How it is cited.
        trials: The trainings at a scale.
        published: Figures in print.
        drawings: Redraws its pictures from the results of its trials.
        tables: Its tables, likewise, beside that of all scores.
        trends: Tests its statements.
        remarks: What differs from the document, for the report.
    """

    name: str
    title: str
    reference: str
    trials: Trials
    published: tuple[Published, ...] = ()
    drawings: Drawings = nothing
    tables: Tables = nothing
    trends: Trends = nothing
    remarks: tuple[str, ...] = ()
