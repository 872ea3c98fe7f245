"""The one table: detector, score, signal, published figure, ours with its interval, jets, seconds."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from oddjet.analysis.report.page import Cell, Table
from oddjet.analysis.studies.reproduce.document import Document, Published
from oddjet.analysis.studies.reproduce.measure import Measured, area, measure, share_of_ceiling
from oddjet.analysis.studies.reproduce.settings import CEILING
from oddjet.analysis.studies.reproduce.trial import TrialResult
from oddjet.datasets.files.fileset import Fileset
from oddjet.ml.evaluation.bootstrap import Interval

__all__ = ["HEADERS", "Row", "make_rows", "to_markdown", "to_table"]

HEADERS = (
    "detector",
    "score",
    "signal",
    "in",
    "published",
    "AUC",
    "AUC at fixed mass",
    "1/ε_b(ε_s)",
    "share of ceiling",
    "ceiling",
    "jets: training",
    "signal",
    "background",
    "s",
)


@dataclasses.dataclass(frozen=True)
class Row:
    """One score of one training, for one signal.

    Attributes:
        document: Name of the document.
        detector: Label of the trial.
        score: Name of the score.
        signal: What is found.
        background: Among what.
        published: The figure in print; empty without one.
        measured: Ours, of jets that are quoted.
        ceiling: AUC of the supervised ceiling on the same jets; None without one.
        share: (AUC − ½) over that of the ceiling; None without one.
        n_train: Jets trained on.
        train_seconds: Wall time of the training.
        score_rate: Jets scored in a second, representation included.
    """

    document: str
    detector: str
    score: str
    signal: str
    background: str
    published: str
    measured: Measured
    ceiling: float | None
    share: Interval | None
    n_train: int
    train_seconds: float
    score_rate: float

    def cells(self) -> tuple[Cell, ...]:
        """Give the row as a table shows it, in the order of `HEADERS`."""
        found = self.measured
        fixed = found.at_fixed_mass
        return (
            self.detector,
            self.score,
            self.signal,
            self.background,
            self.published or None,
            interval_text(found.auc, 3),
            None if fixed is None else interval_text(fixed.auc, 3),
            f"{interval_text(found.rejection, 1)} at {found.signal_efficiency:g}",
            None if self.share is None else interval_text(self.share, 2),
            self.ceiling,
            self.n_train,
            found.n_signal,
            found.n_background,
            round(self.train_seconds),
        )


def make_rows(document: Document, results: Sequence[TrialResult], fileset: Fileset) -> list[Row]:
    """Measure every score of a document's trials for every signal of their windows.

    Args:
        document: The document.
        results: Of its trials.
        fileset: Where the datasets get their names.
    """
    names = {name: dataset.label or name for name, dataset in fileset.datasets.items()}
    printed = {(p.label, p.score, p.signal): p for p in document.published}
    rows = []
    for result in results:
        # A supervised detector is tested on every signal too: one of them is a wrong one.
        for signal in result.trial.others:
            limit = _ceiling(results, result, signal)
            for score in result.score_names:
                figure = printed.get((result.trial.label, score, signal))
                rows.append(_row(document, result, signal, score, figure, limit, names))
    return rows


def _row(
    document: Document,
    result: TrialResult,
    signal: str,
    score: str,
    published: Published | None,
    limit: TrialResult | None,
    names: dict[str, str],
) -> Row:
    efficiency = published.rejection[0] if published and published.rejection else 0.2
    share, top = None, None
    if limit is not None:
        top = area(limit, signal, "log_odds", "test")
        share = share_of_ceiling(
            result.pair(signal, "test", score), limit.pair(signal, "test", "log_odds")
        )
    return Row(
        document=document.name,
        detector=result.trial.label,
        score=score,
        signal=names[signal],
        background=names[result.trial.background],
        published=published.text if published else "",
        measured=measure(result, signal, score, signal_efficiency=efficiency),
        ceiling=top,
        share=share,
        n_train=result.n_train,
        train_seconds=result.train_seconds,
        score_rate=result.n_scored / max(result.score_seconds, 1e-9),
    )


def _ceiling(
    results: Sequence[TrialResult], result: TrialResult, signal: str
) -> TrialResult | None:
    """Find the ceiling for a signal on the same jets as a trial's."""
    for other in results:
        trial = other.trial
        if (
            trial.settings == CEILING
            and trial.label == CEILING
            and (trial.window, trial.background, trial.signal)
            == (result.trial.window, result.trial.background, signal)
        ):
            return other
    return None


def interval_text(interval: Interval, digits: int) -> str:
    """Write a number with its interval: `0.863 [0.855, 0.871]`; infinity as ∞."""

    def text(value: float) -> str:
        if math.isnan(value):
            return "–"
        return "∞" if math.isinf(value) else f"{value:.{digits}f}"

    return f"{text(interval.value)} [{text(interval.low)}, {text(interval.high)}]"


def to_table(rows: Sequence[Row], caption: str = "") -> Table:
    """Make a report's table."""
    return Table(HEADERS, tuple(row.cells() for row in rows), caption)


def to_markdown(headers: Sequence[str], rows: Sequence[Sequence[Cell]]) -> str:
    """Write a table in Markdown.

    >>> print(to_markdown(("a", "b"), [("x", None), (0.5, 3)]))
    | a | b |
    |---|---|
    | x | – |
    | 0.500 | 3 |
    """

    def text(cell: Cell) -> str:
        if cell is None:
            return "–"
        written = f"{cell:.3f}" if isinstance(cell, float) else str(cell)
        return written.replace("|", "\\|")

    lines = [f"| {' | '.join(headers)} |", f"|{'|'.join('---' for _ in headers)}|"]
    lines += [f"| {' | '.join(text(cell) for cell in row)} |" for row in rows]
    return "\n".join(lines)
