"""The report: one self-contained HTML file, and every number of it in a JSON file beside it.

A `Report` is plain data: cards, and sections of paragraphs, tables and pictures. The builders in
`oddjet.analysis.report.sections` make sections from results; `write_report` renders them. All text is
escaped, pictures are inside the file, and nothing is loaded from anywhere.
"""

from __future__ import annotations

import base64
import dataclasses
import functools
import math
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import jinja2
import numpy as np
from matplotlib.figure import Figure

from oddjet.analysis.report.figures.encode import data_uri
from oddjet.datasets.disk.atomic import write_text
from oddjet.datasets.disk.numbers import jsonable, write_json
from oddjet.errors import ConfigError

__all__ = [
    "Block",
    "Card",
    "Picture",
    "Report",
    "Section",
    "Table",
    "cell_text",
    "is_number",
    "p_text",
    "templates",
    "write_report",
]

CSS_PIXELS_PER_INCH = 88

Cell = str | int | float | None


@dataclasses.dataclass(frozen=True)
class Card:
    """A headline number.

    Attributes:
        value: The number as it is shown.
        note: A line below: interval, unit, condition.
        tone: ``plain``, ``strong`` or ``warning``.
    """

    title: str
    value: str
    note: str = ""
    tone: Literal["plain", "strong", "warning"] = "plain"


@dataclasses.dataclass(frozen=True)
class Table:
    """A table; cells that are numbers are aligned to the right.

    Attributes:
        rows: Cells; floats are shown with four digits, None as a dash.
    """

    headers: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    caption: str = ""

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.headers):
                msg = f"a table of {len(self.headers)} columns has a row of {len(row)} cells: {row}"
                raise ConfigError(msg)

    @classmethod
    def from_records(cls, records: Sequence[Mapping[str, Cell]], caption: str = "") -> Table:
        """Make a table of its lines, heading → cell, all with the same headings."""
        headers = tuple(records[0]) if records else ()
        return cls(headers, tuple(tuple(record.values()) for record in records), caption)


@dataclasses.dataclass(frozen=True)
class Picture:
    """A picture with its caption. It is drawn when it is first shown or written.

    Attributes:
        source: A function that draws the figure; or a ``data:`` URI.
        caption: What it shows.
        hint: How to read it.
        alt: A few words for screen readers; by default the caption.
        name: Of a file with this picture alone, without its suffix.
    """

    source: Callable[[], Figure] | str
    caption: str
    hint: str = ""
    alt: str = ""
    name: str = ""

    def __post_init__(self) -> None:
        if isinstance(self.source, str) and not self.source.startswith("data:image/"):
            msg = f"a report's pictures are inside it: expected a data URI, received {self.source:.40}"
            raise ConfigError(msg)

    @functools.cached_property
    def _drawn(self) -> tuple[str, int]:
        if isinstance(self.source, str):
            return self.source, 0
        figure = self.source()
        # The same scale for all, so that letters have one size throughout the page.
        return data_uri(figure), round(CSS_PIXELS_PER_INCH * figure.get_figwidth())

    @property
    def uri(self) -> str:
        """The picture as a ``data:`` URI."""
        return self._drawn[0]

    @property
    def width(self) -> int:
        """Width on the page [CSS pixels], 0 for the picture's own."""
        return self._drawn[1]

    @property
    def png(self) -> bytes:
        """The content of the picture's file."""
        return base64.b64decode(self.uri.partition(",")[2])


@dataclasses.dataclass(frozen=True)
class Block:
    """Text of fixed width that unfolds, such as a configuration."""

    title: str
    text: str


@dataclasses.dataclass(frozen=True)
class Section:
    """One section: a result for a page, the command line and files.

    Attributes:
        anchor: Name in links and in the JSON: lower case letters, digits, hyphens.
        warnings: Plain text that must not be overlooked.
        statements: What came out, in sentences; the command line prints them too.
        tables: Shown after the sentences.
        pictures: Shown after the tables.
        gallery: Small pictures, several in a row.
        folded: Tables of detail that unfold together.
        folded_title: The line they unfold from.
        blocks: Folded text at the end.
        numbers: What goes into the JSON.
    """

    title: str
    anchor: str
    paragraphs: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    statements: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    pictures: tuple[Picture, ...] = ()
    gallery: tuple[Picture, ...] = ()
    folded: tuple[Table, ...] = ()
    folded_title: str = "Details"
    blocks: tuple[Block, ...] = ()
    numbers: Any = None

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z][a-z0-9-]*", self.anchor):
            msg = f"a section's anchor is of lower case letters and hyphens, received {self.anchor}"
            raise ConfigError(msg)


@dataclasses.dataclass(frozen=True)
class Report:
    """A whole report.

    Attributes:
        lead: A few sentences on what was done and what came out.
        footer: The last line: versions, when it was made.
        summary: Headline numbers for the JSON.
    """

    title: str
    lead: str
    sections: tuple[Section, ...]
    cards: tuple[Card, ...] = ()
    footer: str = ""
    summary: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        anchors = [section.anchor for section in self.sections]
        twice = sorted({anchor for anchor in anchors if anchors.count(anchor) > 1})
        if twice:
            msg = f"sections of a report share the anchors {', '.join(twice)}: rename one of each"
            raise ConfigError(msg)

    def to_dict(self) -> dict[str, Any]:
        """Every number, ready for JSON: what is not a finite number is null."""
        content = {
            "title": self.title,
            "summary": dict(self.summary),
            "sections": {
                section.anchor: section.numbers
                for section in self.sections
                if section.numbers is not None
            },
        }
        return dict(jsonable(content))


def p_text(value: float) -> str:
    r"""A p-value as text without line breaks.

    >>> p_text(0.0312), p_text(1.6e-7), p_text(0.0)
    ('0.031', '1.6\u202f×\u202f10⁻⁷', '<\u202f10⁻³⁰⁰')
    """
    if value <= 1e-300:
        return "<\u202f10⁻³⁰⁰"
    if value >= 1e-3:
        return f"{value:.2g}"
    mantissa, exponent = f"{value:.1e}".split("e")
    raised = str(int(exponent)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"{mantissa}\u202f×\u202f10{raised}"


def cell_text(value: Cell) -> str:
    """A cell as it is shown: four digits, thin spaces between thousands, a dash for nothing.

    >>> cell_text(None), cell_text(0.123456), cell_text(12345)
    ('–', '0.1235', '12\u202f345')
    """
    if value is None:
        return "–"
    if isinstance(value, str):
        return value
    if isinstance(value, int | np.integer):
        return f"{value:,}".replace(",", "\u202f")
    if not math.isfinite(value):
        return "∞" if value > 0 else "–"
    if value != 0 and abs(value) < 1e-3:
        return p_text(value) if value > 0 else f"{value:.2e}"
    if abs(value) >= 1e4 or (abs(value) >= 1e3 and value == round(value)):
        return f"{value:,.0f}".replace(",", "\u202f")
    return f"{value:.4g}"


def is_number(value: Cell) -> bool:
    """Whether a cell is aligned to the right."""
    return value is None or not isinstance(value, str)


@functools.cache
def templates() -> jinja2.Environment:
    """Give the templates of pages; what they show is escaped."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("oddjet.analysis.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["cell"] = cell_text
    environment.tests["number"] = is_number
    return environment


def write_report(path: Path | str, report: Report) -> Path:
    """Write a report, and its numbers beside with the suffix ``.json``, each atomically.

    Returns:
        The path of the HTML file.
    """
    path = Path(path)
    page = templates().get_template("report.html.j2").render(report=report)
    write_json(path.with_suffix(".json"), report.to_dict())
    write_text(path, page)
    return path
