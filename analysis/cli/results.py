"""Printing of results: the tables, sentences and warnings of their sections."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.text import Text

from oddjet.analysis.cli.console import err, out, print_place
from oddjet.analysis.report.page import Section
from oddjet.analysis.report.tables import rich_table

__all__ = ["print_result"]


def print_result(section: Section, written: Sequence[Path] = ()) -> None:
    """Print tables, sentences, and files that were written; warnings go to the error stream."""
    for table in section.tables:
        out.print(rich_table(table, width=out.width))
    for statement in section.statements:
        out.print(Text(statement), soft_wrap=True)
    for warning in section.warnings:
        err.print(Text(warning), style="bold yellow", soft_wrap=True)
    if written:
        print_place("written", written[0], f" and {len(written) - 1} more")
