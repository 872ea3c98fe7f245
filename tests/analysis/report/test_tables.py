"""Tables of sections on a terminal."""

from __future__ import annotations

from rich.console import Console

from oddjet.analysis.report.page import Table
from oddjet.analysis.report.tables import rich_table


def test_numbers_are_aligned_and_brackets_are_text() -> None:
    table = Table(("Score", "p"), (("a[bold]", 0.123456), ("b", None)), "What came out")
    console = Console(width=60)
    with console.capture() as capture:
        console.print(rich_table(table))
    text = capture.get()
    assert "What came out" in text
    assert "a[bold]" in text
    assert "0.1235" in text
    assert [column.justify for column in rich_table(table).columns] == ["left", "right"]


def test_a_wide_table_is_turned() -> None:
    table = Table(("Mass [GeV]", "Expected events", "Observed events"), (("85", "1–2", "blinded"),))
    turned = rich_table(table, width=30)
    assert [str(column.header) for column in turned.columns] == ["Mass [GeV]", "85"]
    assert turned.row_count == 2
    assert len(rich_table(table, width=80).columns) == 3
    assert len(rich_table(table, width=10).columns) == 3
