"""Tables of a section on a terminal."""

from __future__ import annotations

from collections.abc import Sequence

import rich.table
from rich.text import Text

from oddjet.analysis.report.page import Table, cell_text, is_number

__all__ = ["rich_table"]

STYLES = {"PASS": "green", "FAIL": "bold red", "INCONCLUSIVE": "yellow"}


def rich_table(table: Table, *, width: int | None = None) -> rich.table.Table:
    """Give a table for a terminal; numbers are aligned to the right.

    A table that is too wide is turned, so that each of its rows becomes a column, if that fits.
    """
    numeric = [is_number(cell) for cell in table.rows[0]] if table.rows else []
    columns: list[Sequence[str]] = [
        [header, *(cell_text(row[place]) for row in table.rows)]
        for place, header in enumerate(table.headers)
    ]
    turned = list(zip(*columns, strict=True))
    if width is not None and _width(turned) <= width < _width(columns):
        columns, numeric = [list(column) for column in turned], []
    title = Text(table.caption, "table.title") if table.caption else None
    shown = rich.table.Table(title=title, title_justify="left")
    for place, (header, *_) in enumerate(columns):
        right = bool(numeric and numeric[place])
        shown.add_column(Text(header), justify="right" if right else "left", overflow="fold")
    for row in list(zip(*columns, strict=True))[1:]:
        # As text: brackets in a cell are no markup.
        shown.add_row(*(Text(text, STYLES.get(text, "")) for text in row))
    return shown


def _width(columns: Sequence[Sequence[str]]) -> int:
    """Characters of a line in which nothing is folded."""
    return 1 + sum(3 + max(map(len, column)) for column in columns)
