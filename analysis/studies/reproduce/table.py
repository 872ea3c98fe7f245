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

__all__ = ["Row", "make_rows", "to_markdown"]


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

    def record(self) -> dict[str, Cell]:
        """Give the line of a table: heading → cell."""
        measured = self.measured
        fixed = measured.at_fixed_mass
        return {
            "detector": self.detector,
            "score": self.score,
            "signal": self.signal,
            "in": self.background,
            "published": self.published or None,
            "AUC": interval_text(measured.auc),
            "AUC at fixed mass": None if fixed is None else interval_text(fixed.auc),
            "1/ε_b(ε_s)": (
                f"{interval_text(measured.rejection, digits=1)} at {measured.signal_efficiency:g}"
            ),
            "share of ceiling": interval_text(self.share, digits=2) if self.share else None,
            "ceiling": self.ceiling,
            "jets: training": self.n_train,
            "jets: signal": measured.n_signal,
            "jets: background": measured.n_background,
            "s": round(self.train_seconds),
        }


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


def to_markdown(table: Table) -> str:
    """Write a table in Markdown.

    >>> print(to_markdown(Table(("a", "b"), (("x", None), (0.5, 3)))))
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

    lines = [f"| {' | '.join(table.headers)} |", f"|{'---|' * len(table.headers)}"]
    lines += [f"| {' | '.join(text(cell) for cell in row)} |" for row in table.rows]
    return "\n".join(lines)
