"""The section of ROC curves: how well the scores separate, and how that grew with training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from oddjet.analysis.report.figures.roc import RocLine, auc_by_epoch, roc_by_epoch, roc_curves
from oddjet.analysis.report.figures.style import PlotLabel
from oddjet.analysis.report.page import Cell, Picture, Section, Table
from oddjet.analysis.scores.quality import EpochQuality, Quality

__all__ = ["quality_section"]


def quality_section(
    qualities: Sequence[Quality],
    epochs: Sequence[EpochQuality] = (),
    *,
    best_epoch: int | None = None,
    labels: Mapping[str, str] | None = None,
    label: PlotLabel | None = None,
) -> Section:
    """Show ROC curves, areas and rejections, and the ROC curve by epoch.

    `qualities` are one a signal and score, `epochs` one a raw score, of the model whose weights are
    those of `best_epoch`.
    """
    names = labels or {}
    pictures = []
    for signal in dict.fromkeys(quality.signal for quality in qualities):
        chosen = [quality for quality in qualities if quality.signal == signal]
        pictures.append(_roc_picture(names.get(signal) or signal, chosen, label))
    pictures += _epoch_pictures(epochs, best_epoch, label)
    return Section(
        title="Separation of signal and background",
        anchor="roc",
        paragraphs=(
            (
                "Areas and rejections are of the calibrated scores, on jets no model was trained on, "
                "with 95 % bootstrap intervals. No signal was used in training: the area says how "
                "anomalous this signal happens to be."
            ),
        ),
        tables=(_table(qualities, names),) if qualities else (),
        pictures=tuple(pictures),
        numbers={
            "scores": [quality.to_dict() for quality in qualities],
            "auc_by_epoch": {
                score.score: {epoch: interval.value for epoch, interval in score.auc.items()}
                for score in epochs
            },
            "best_epoch": best_epoch,
        },
    )


def _table(qualities: Sequence[Quality], names: Mapping[str, str]) -> Table:
    efficiencies = sorted({e for quality in qualities for e in quality.evaluation.rejection})
    rows: list[tuple[Cell, ...]] = []
    for quality in qualities:
        result = quality.evaluation
        rejections = [result.rejection.get(efficiency) for efficiency in efficiencies]
        rows.append(
            (
                quality.column,
                f"{names.get(quality.signal) or quality.signal}, {quality.which}",
                result.n_signal,
                result.n_background,
                result.auc.text(),
                *("–" if interval is None else interval.text(1) for interval in rejections),
            )
        )
    headers = ("Score", "Signal", "Signal jets", "Background jets", "AUC [95 %]")
    more = tuple(f"1/ε_b at ε_s = {efficiency:g}" for efficiency in efficiencies)
    return Table((*headers, *more), tuple(rows), "Area under the ROC curve and rejections.")


def _roc_picture(signal: str, qualities: Sequence[Quality], label: PlotLabel | None) -> Picture:
    lines = [RocLine.from_roc(q.column, q.roc, q.evaluation.auc) for q in qualities]
    return Picture(
        partial(roc_curves, lines, label=label),
        f"ROC curves for {signal} ({qualities[0].which} jets): efficiencies (left), and rejection "
        "of background at a signal efficiency (right).",
        hint="up and to the left is better on the left, up and to the right on the right; "
        "dotted is a score without any separation.",
        alt=f"ROC curves for {signal}",
    )


def _epoch_pictures(
    epochs: Sequence[EpochQuality], best_epoch: int | None, label: PlotLabel | None
) -> list[Picture]:
    pictures = []
    for score in epochs:
        order = sorted(score.roc)
        lines = [RocLine.from_roc("", score.roc[epoch]) for epoch in order]
        pictures.append(
            Picture(
                partial(roc_by_epoch, order, lines, label=label),
                f"ROC curve of the raw score {score.score} at each saved epoch of one fold's model.",
                hint="curves that stop moving mean that more training brings nothing for this "
                "signal; the reconstruction may still improve.",
                alt=f"ROC curves of {score.score} by epoch",
            )
        )
    if epochs:
        order = sorted(epochs[0].auc)
        aucs = {score.score: [score.auc[epoch] for epoch in order] for score in epochs}
        draw = partial(auc_by_epoch, order, aucs, best_epoch=best_epoch, label=label)
        pictures.append(
            Picture(
                draw,
                "Area under these curves by epoch, with 95 % bootstrap bands.",
                alt="AUC by epoch",
            )
        )
    return pictures
