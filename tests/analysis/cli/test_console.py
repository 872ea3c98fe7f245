"""What is printed is what was said: names of a user are never markup, emoji or highlighted."""

from __future__ import annotations

import ast
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner

from oddjet.analysis.cli import console
from oddjet.analysis.cli.app import app
from oddjet.analysis.cli.results import print_result
from oddjet.analysis.report.page import Section, Table
from oddjet.errors import ConfigError

ROOT = Path(__file__).resolve().parents[3]
NAME = "[v1] [/b] [bold]x[/] :top: :warning: 12"


def track() -> None:
    with console.RichReporter(console.err).track(NAME, 1, "jets") as update:
        update(1)


def fail() -> None:
    with console.exit_on_error():
        raise ConfigError(NAME)


SECTION = Section(
    NAME, "s", statements=(NAME,), warnings=(NAME,), tables=(Table((NAME,), ((NAME,),), NAME),)
)


@pytest.mark.parametrize(
    ("say", "times"),
    [
        (lambda: console.print_table(NAME, (NAME,), [(NAME,)]), 3),
        (lambda: console.print_rows(NAME, (NAME, ""), [(NAME, "")]), 3),
        (lambda: console.print_note(NAME), 1),
        (lambda: console.print_place(NAME, Path(NAME), NAME), 3),
        (lambda: console.RichReporter().log(NAME), 1),
        (lambda: console.RichReporter(Console(stderr=True)).log(NAME), 1),
        (lambda: print_result(SECTION, [Path(NAME), Path(NAME)]), 6),
        (track, 1),
        (fail, 1),
    ],
)
def test_text_is_shown_as_it_is(
    say: Callable[[], None],
    times: int,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(console.out, "width", 200)
    monkeypatch.setattr(console.err, "width", 200)
    with suppress(typer.Exit):
        say()
    said = capsys.readouterr()
    assert (said.out + said.err).count(NAME) == times


def test_a_command_shows_what_it_was_given(tmp_path: Path) -> None:
    place = tmp_path / "[v1] :top:.yaml"
    place.write_text("name: 'a'\nouput: x\nfileset: y\n")
    said = CliRunner().invoke(app, ["check", str(place)])
    assert said.exit_code == 1
    assert str(place) in said.output


def test_only_the_console_module_decides_how_text_is_read() -> None:
    """No other module makes a console, reads markup, or passes text to one that would."""
    wrong = []
    for path in sorted(p for p in (ROOT / "analysis").rglob("*.py") if p.is_file()):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        names = {
            n.func.attr if isinstance(n.func, ast.Attribute) else getattr(n.func, "id", "")
            for n in ast.walk(tree)
            if isinstance(n, ast.Call)
        }
        texts = {
            n.value
            for n in ast.walk(tree)
            if isinstance(n, ast.Constant) and isinstance(n.value, str)
        }
        marked = [text for text in texts if "[/]" in text or "[bold" in text]
        if names & {"from_markup", "Console"} | set(marked) and path.name != "console.py":
            wrong.append(path.name)
    assert wrong == []
