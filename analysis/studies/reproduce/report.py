"""The report of a reproduction: HTML with pictures, Markdown, JSON."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from oddjet.analysis.report.page import (
    Cell,
    Picture,
    Report,
    Section,
    Table,
    write_report,
)
from oddjet.analysis.report.write import write_pictures
from oddjet.analysis.studies.reproduce.choose import Choice
from oddjet.analysis.studies.reproduce.document import Document, Scale, Trend
from oddjet.analysis.studies.reproduce.table import Row, to_markdown
from oddjet.analysis.studies.study import interval_text
from oddjet.datasets.disk.atomic import write_text

__all__ = ["Chapter", "choice_table", "trend_table", "write_reproduction"]


LEAD = (
    "Every figure is of oddjet's own simulated jets, which no training and no choice has seen; "
    "published ones belong to other samples. Intervals are 95 % bootstrap over the jets; they hold "
    "no variation between trainings."
)


@dataclasses.dataclass(frozen=True)
class Chapter:
    """What came out of one document."""

    document: Document
    rows: Sequence[Row]
    tables: Sequence[Table]
    trends: Sequence[Trend]
    drawings: Sequence[Picture]


def choice_table(choices: Sequence[Choice], caption: str) -> Table:
    """Make the table of chosen detectors."""
    return Table.from_records([_choice_record(choice) for choice in choices], caption)


def _choice_record(choice: Choice) -> dict[str, Cell]:
    fixed = choice.measured.at_fixed_mass
    return {
        "task": choice.task.title,
        "detector and score": choice.detector,
        "AUC": interval_text(choice.measured.auc),
        "AUC at fixed mass": None if fixed is None else interval_text(fixed.auc),
        "1/ε_b(0.2)": interval_text(choice.measured.rejection, digits=1),
        "ceiling": choice.ceiling,
        "share of ceiling": interval_text(choice.share, digits=2) if choice.share else None,
        "to reach": choice.task.wanted,
        "chosen from": choice.n_candidates,
    }


def trend_table(trends: Sequence[Trend]) -> Table:
    """Make the table of statements."""
    rows = tuple(
        (trend.statement, trend.verdict, interval_text(trend.difference), trend.meaning)
        for trend in trends
    )
    return Table(("statement", "here", "difference", "which is"), rows, "Statements in print")


def write_reproduction(
    output: Path,
    chapters: Sequence[Chapter],
    choices: Sequence[Table],
    *,
    scale: Scale,
    footer: str,
) -> Path:
    """Write `reproduce.html`, `.json` and `.md`, and the pictures in `figures/`.

    Returns:
        The path of the HTML file.
    """
    sections = [_choices_section(choices)] if choices else []
    for chapter in chapters:
        sections.append(_section(chapter))
        write_pictures(output / "figures", sections[-1].pictures)
    title = f"Reproduction at scale '{scale}'"
    summary = {"scale": scale, "documents": [chapter.document.name for chapter in chapters]}
    report = Report(title, LEAD, tuple(sections), footer=footer, summary=summary)
    path = write_report(output / "reproduce.html", report)
    write_text(output / "reproduce.md", _markdown(title, chapters, choices, footer))
    return path


def _choices_section(choices: Sequence[Table]) -> Section:
    return Section(
        title="The best detector for each signal, and one for all",
        anchor="chosen",
        paragraphs=(
            (
                "Chosen by the AUC on one half of the signal, measured on the other half. The share is that of "
                "AUC − ½ of boosted trees trained on the very signal, on the same jets."
            ),
        ),
        tables=tuple(choices),
    )


def _section(chapter: Chapter) -> Section:
    document = chapter.document
    return Section(
        title=document.title,
        anchor=document.name,
        paragraphs=(document.reference, *document.remarks),
        tables=_tables(chapter),
        pictures=tuple(chapter.drawings),
        numbers={
            "rows": [dataclasses.asdict(row) for row in chapter.rows],
            "trends": [
                dataclasses.asdict(trend) | {"verdict": trend.verdict} for trend in chapter.trends
            ],
        },
    )


def _markdown(
    title: str, chapters: Sequence[Chapter], choices: Sequence[Table], footer: str
) -> str:
    parts = [f"# {title}", LEAD, *_captioned(choices)]
    for chapter in chapters:
        parts += [f"## {chapter.document.title}", chapter.document.reference]
        parts += [*chapter.document.remarks, *_captioned(_tables(chapter))]
    return "\n\n".join([*parts, footer]) + "\n"


def _tables(chapter: Chapter) -> tuple[Table, ...]:
    trends = [trend_table(chapter.trends)] if chapter.trends else []
    records = [row.record() for row in chapter.rows]
    every = Table.from_records(records, "Every score of every training")
    return (*chapter.tables, *trends, every)


def _captioned(tables: Sequence[Table]) -> list[str]:
    return [part for table in tables for part in (f"**{table.caption}**", to_markdown(table))]
