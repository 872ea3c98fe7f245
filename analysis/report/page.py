"""The report: one self-contained HTML file, and every number of it in a JSON file beside it.

A `Report` is plain data: cards, and sections of paragraphs, tables and pictures. The builders in
`oddjet.analysis.report.sections` make sections from results; `write_report` renders them. All text is
escaped, pictures are inside the file, and nothing is loaded from anywhere.
"""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from oddjet.analysis.report.figures.encode import data_uri
from oddjet.datasets.disk.atomic import write_text
from oddjet.errors import ConfigError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "Block",
    "Card",
    "Picture",
    "Report",
    "Section",
    "Table",
    "jsonable",
    "make_picture",
    "p_text",
    "write_report",
]

CSS_PIXELS_PER_INCH = 88

Cell = str | int | float | None


@dataclasses.dataclass(frozen=True)
class Card:
    """A headline number.

    Attributes:
        title: What it is.
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
        headers: Names of the columns.
        rows: Cells; floats are shown with four digits, None as a dash.
        caption: What the table says.
    """

    headers: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    caption: str = ""

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.headers):
                msg = f"a table of {len(self.headers)} columns has a row of {len(row)} cells: {row}"
                raise ConfigError(msg)


@dataclasses.dataclass(frozen=True)
class Picture:
    """A picture with its caption.

    Attributes:
        uri: A ``data:`` URI.
        caption: What is to be seen.
        hint: How to read it.
        alt: A few words for those who cannot see it.
        width: Width on the page [CSS pixels], 0 for the picture's own.
    """

    uri: str
    caption: str
    hint: str = ""
    alt: str = ""
    width: int = 0

    def __post_init__(self) -> None:
        if not self.uri.startswith("data:image/"):
            msg = f"a report's pictures are inside it: expected a data URI, received {self.uri:.40}"
            raise ConfigError(msg)


@dataclasses.dataclass(frozen=True)
class Block:
    """Text of fixed width that unfolds, such as a configuration.

    Attributes:
        title: The line that is always visible.
        text: The text.
    """

    title: str
    text: str


@dataclasses.dataclass(frozen=True)
class Section:
    """One section.

    Attributes:
        title: Heading.
        anchor: Name in links and in the JSON: lower case letters, digits, hyphens.
        paragraphs: Plain text.
        warnings: Plain text that must not be overlooked.
        tables: Shown after the paragraphs.
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
        title: Heading and name of the page.
        lead: A few sentences that say what was done and what came out.
        cards: Headline numbers.
        sections: The sections in order.
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


def make_picture(figure: Figure, caption: str, *, hint: str = "", alt: str = "") -> Picture:
    """Render a figure into a report's picture.

    Args:
        figure: The figure.
        caption: What is to be seen.
        hint: How to read it.
        alt: A few words for those who cannot see it; by default the caption.
    """
    # The same scale for all, so that letters have one size throughout the page.
    width = round(CSS_PIXELS_PER_INCH * figure.get_figwidth())
    return Picture(data_uri(figure), caption, hint, alt or caption, width)


def jsonable(value: Any) -> Any:
    """Turn results into what JSON knows: NaN and infinity become null, arrays lists.

    >>> jsonable({"p": float("nan"), 3: (np.float32(0.5), None)})
    {'p': None, '3': [0.5, None]}
    """
    if isinstance(value, Mapping):
        return {str(key): jsonable(each) for key, each in value.items()}
    if isinstance(value, np.ndarray):
        return jsonable(value.tolist())
    if isinstance(value, np.generic):
        return jsonable(value.item())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, Sequence | set | frozenset):
        return [jsonable(each) for each in value]
    return str(value)


def p_text(value: float) -> str:
    r"""A p-value as people write it, in one piece.

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


def _cell(value: Cell) -> str:
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


def _is_number(value: Cell) -> bool:
    return value is None or not isinstance(value, str)


def _render(report: Report) -> str:
    import jinja2  # noqa: PLC0415

    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["cell"] = _cell
    environment.tests["number"] = _is_number
    source = resources.files("oddjet.analysis.report") / "templates" / "report.html.j2"
    return environment.from_string(source.read_text(encoding="utf-8")).render(report=report)


def write_report(path: Path | str, report: Report) -> Path:
    """Write a report and its numbers, each atomically.

    Args:
        path: The HTML file; the JSON gets the same name with ``.json``.
        report: What to write.

    Returns:
        The path of the HTML file.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    page = _render(report)
    numbers = json.dumps(report.to_dict(), indent=1, allow_nan=False, ensure_ascii=False)
    write_text(path.with_suffix(".json"), numbers + "\n")
    write_text(path, page)
    return path
