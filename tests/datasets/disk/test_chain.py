from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from oddjet.datasets.disk.chain import add_line, read_chain
from oddjet.datasets.disk.state import SEAL

WRITER = """
import sys
from oddjet.datasets.disk.chain import add_line
for number in range(20):
    add_line(sys.argv[1], {"writer": sys.argv[2], "number": number})
"""


@pytest.fixture
def chain(tmp_path: Path) -> Path:
    path = tmp_path / "new" / "a.jsonl"
    for number in range(4):
        add_line(path, {"number": number, "p": 0.1 * number, "name": "§\u2028"})
    return path


def test_lines_come_back_in_order_and_each_names_the_one_before(chain: Path) -> None:
    read = read_chain(chain)
    assert [line["number"] for line in read.lines] == [0, 1, 2, 3]
    assert read.lines[1] == {"number": 1, "p": 0.1, "name": "§\u2028"}
    assert read.problems == ()
    raw = [json.loads(line) for line in chain.read_text().splitlines()]
    assert [line["previous"] for line in raw] == ["", *(line[SEAL] for line in raw[:-1])]
    assert read.last == raw[-1][SEAL]
    assert read_chain(chain.with_name("nothing")).lines == ()


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (lambda lines: [lines[0], *lines[2:]], "line 2 does not follow the one before"),
        (lambda lines: [*lines[:2], lines[0], *lines[2:]], "line 3 does not follow"),
        (lambda lines: [lines[1], lines[0], *lines[2:]], "line 1 does not follow"),
        (lambda lines: [lines[0].replace("0.0", "0.5"), *lines[1:]], "line 1 was changed"),
        (lambda lines: [*lines[:3], lines[3][:30]], "line 4 is not whole"),
        (lambda lines: [*lines[:3], "no JSON"], "line 4 is not whole"),
    ],
)
def test_a_broken_chain_is_named_and_the_rest_is_read(chain: Path, damage, problem) -> None:  # type: ignore[no-untyped-def]
    chain.write_text("\n".join(damage(chain.read_text().splitlines())))
    assert any(problem in text for text in read_chain(chain).problems)
    before = len(read_chain(chain).lines)
    add_line(chain, {"number": 9})
    after = read_chain(chain)
    assert len(after.lines) == before + 1
    assert any(problem in text for text in after.problems)


def test_writers_at_the_same_time_lose_no_line(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    command = [sys.executable, "-c", WRITER, str(path)]
    writers = [subprocess.Popen([*command, name]) for name in "ab"]
    assert [writer.wait() for writer in writers] == [0, 0]
    read = read_chain(path)
    assert read.problems == ()
    for name in "ab":
        numbers = [line["number"] for line in read.lines if line["writer"] == name]
        assert numbers == list(range(20))
