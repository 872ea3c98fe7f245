"""The one table: detector, score, signal, published figure, ours with its interval, jets, seconds."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence

from oddjet.analysis.report.page import Cell, Table
from oddjet.analysis.studies.reproduce.document import Document
from oddjet.analysis.studies.reproduce.measure import Measured, against_ceiling, measure
from oddjet.analysis.studies.reproduce.trial import TrialResult
from oddjet.analysis.studies.study import interval_text
from oddjet.datasets.files.fileset import Fileset
from oddjet.ml.evaluation.bootstrap import Interval

__all__ = ["HEADERS", "Row", "make_rows", "to_markdown", "to_table"]

HEADERS = (
    *("detector", "score", "signal", "in", "published", "AUC", "AUC at fixed mass", "1/ε_b(ε_s)"),
    *("share of ceiling", "ceiling", "jets: training", "signal", "background", "s"),
)


@dataclasses.dataclass(frozen=True)
class Row:
    """One score of one training, for one signal.

    Attributes:
        signal, background: What is found, among what.
        published: The figure in print; empty without one.
        measured: Ours, of test jets.
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
        measured = self.measured
        fixed = measured.at_fixed_mass
        return (
            self.detector,
            self.score,
            self.signal,
            self.background,
            self.published or None,
            interval_text(measured.auc),
            None if fixed is None else interval_text(fixed.auc),
            f"{interval_text(measured.rejection, digits=1)} at {measured.signal_efficiency:g}",
            None if self.share is None else interval_text(self.share, digits=2),
            self.ceiling,
            self.n_train,
            measured.n_signal,
            measured.n_background,
            round(self.train_seconds),
        )


def make_rows(document: Document, results: Sequence[TrialResult], fileset: Fileset) -> list[Row]:
    """Measure every score of a document's trials for every signal of their windows."""
    names = {name: dataset.label or name for name, dataset in fileset.datasets.items()}
    printed = {(p.label, p.score, p.signal): p for p in document.published}
    rows = []
    for result in results:
        # A supervised detector is tested on every signal too: one of them is a wrong one.
        for signal, score in itertools.product(result.trial.others, result.score_names):
            published = printed.get((result.trial.label, score, signal))
            efficiency = published.rejection[0] if published and published.rejection else 0.2
            ceiling, share = against_ceiling(results, result, signal, score)
            rows.append(
                Row(
                    document=document.name,
                    detector=result.trial.label,
                    score=score,
                    signal=names[signal],
                    background=names[result.trial.background],
                    published=published.text if published else "",
                    measured=measure(result, signal, score, signal_efficiency=efficiency),
                    ceiling=ceiling,
                    share=share,
                    n_train=result.n_train,
                    train_seconds=result.train_seconds,
                    score_rate=result.n_scored / max(result.score_seconds, 1e-9),
                )
            )
    return rows


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
