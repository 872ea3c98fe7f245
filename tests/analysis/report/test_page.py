"""The report: one file, nothing from outside, everything escaped, numbers beside it."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from oddjet.analysis.report.page import (
    Block,
    Card,
    Picture,
    Report,
    Section,
    Table,
    p_text,
    write_report,
)
from oddjet.errors import ConfigError

VOID = {"meta", "img", "br", "link"}


class Page(HTMLParser):
    """Collects tags, addresses and text, and checks that tags close."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.ids: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            if name in {"src", "href", "action", "data", "srcset"}:
                self.addresses.append(value or "")
            if name == "id":
                self.ids.append(value or "")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def a_picture() -> Picture:
    figure = Figure(figsize=(2, 1))
    figure.subplots().plot([0, 1], [0, 1])
    return Picture(lambda: figure, "A line", hint="it rises")


def a_report() -> Report:
    evil = "<script>alert('x')</script> & \"co\""
    section = Section(
        title=f"Selection {evil}",
        anchor="selection",
        paragraphs=(evil,),
        warnings=(evil,),
        tables=(Table(("Dataset", "Jets", "p"), ((evil, 12345, 2e-7), ("w", None, float("nan")))),),
        pictures=(a_picture(),),
        gallery=(Picture("data:image/png;base64,AAAA", evil),),
        folded=(Table(("a",), ((1,),)),),
        blocks=(Block(evil, evil),),
        numbers={"p": float("nan"), "counts": np.arange(2)},
    )
    return Report(
        title=f"Title {evil}",
        lead=evil,
        cards=(Card(evil, evil, evil, "strong"),),
        sections=(section, Section("Bump hunt", "bump-hunt", numbers=[1, float("inf")])),
        footer=evil,
        summary={"global_p": np.float64(0.5)},
    )


@pytest.fixture
def page(tmp_path: Path) -> Page:
    path = write_report(tmp_path / "new" / "report.html", a_report())
    parsed = Page()
    parsed.feed(path.read_text(encoding="utf-8"))
    parsed.close()
    return parsed


def test_page_is_whole_and_escaped(page: Page) -> None:
    assert page.open == []
    assert "script" not in page.tags
    # The hostile text stands there as text: in title, heading, contents, cells, captions, blocks.
    assert page.text.count("<script>alert('x')</script> & \"co\"") >= 12


def test_nothing_comes_from_outside(page: Page, tmp_path: Path) -> None:
    assert page.addresses
    assert all(address.startswith(("data:image/", "#")) for address in page.addresses)
    source = (tmp_path / "new" / "report.html").read_text(encoding="utf-8")
    assert not re.search(r"https?://|@import|url\(", source)


def test_contents_lead_to_sections(page: Page) -> None:
    links = [address[1:] for address in page.addresses if address.startswith("#")]
    assert links == ["selection", "bump-hunt"]
    assert set(links) <= set(page.ids)


def test_numbers_are_readable(page: Page) -> None:
    assert "12\u202f345" in page.text
    assert "2.0\u202f×\u202f10⁻⁷" in page.text
    assert "How to read it: it rises" in page.text


def test_json_beside_it_is_strict(tmp_path: Path) -> None:
    write_report(tmp_path / "report.html", a_report())
    content = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert content["summary"] == {"global_p": 0.5}
    assert content["sections"]["selection"] == {"p": None, "counts": [0, 1]}
    assert content["sections"]["bump-hunt"] == [1, None]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.html", "report.json"]


def test_same_report_gives_the_same_file(tmp_path: Path) -> None:
    first, second = (
        write_report(tmp_path / name, a_report()).read_bytes() for name in ("a.html", "b.html")
    )
    assert first == second


def test_picture_must_be_inside() -> None:
    with pytest.raises(ConfigError, match="data URI"):
        Picture("https://example.org/x.png", "x")


def test_table_rows_must_fit() -> None:
    with pytest.raises(ConfigError, match="2 columns has a row of 1"):
        Table(("a", "b"), (("x",),))


def test_anchors_are_distinct_and_plain() -> None:
    with pytest.raises(ConfigError, match="share the anchors fit"):
        Report("t", "l", (Section("A", "fit"), Section("B", "fit")))
    with pytest.raises(ConfigError, match="lower case"):
        Section("A", "Not an anchor")


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.5, "0.5"), (0.00123, "0.0012"), (4.56e-12, "4.6\u202f×\u202f10⁻¹²"), (1.0, "1")],
)
def test_p_text(value: float, text: str) -> None:
    assert p_text(value) == text
