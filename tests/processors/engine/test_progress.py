from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from oddjet.processors.engine.progress import watch_parts
from oddjet.processors.events.source import ChunkSource

SOURCE = ChunkSource("a", "data", (), "f", "u", "Events", 0, 10, "nanoaod_v15")
CHUNKS = [
    replace(SOURCE, entry_start=10 * i, entry_stop=10 * i + 10, key=f"k{i}") for i in range(3)
]


def test_parts_are_seen_as_they_appear(tmp_path: Path) -> None:
    seen: list[tuple[int, int, int]] = []
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "k0.json").touch()
    with watch_parts(tmp_path, CHUNKS, lambda *done: seen.append(done), interval=0.01):
        assert seen == [(1, 3, 10)]
        (tmp_path / "a" / "k1.parquet").touch()
        (tmp_path / "a" / "other.json").touch()
        time.sleep(0.1)
        assert seen == [(1, 3, 10)]
        (tmp_path / "a" / "k1.json").touch()
        deadline = time.monotonic() + 5
        while len(seen) < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
        (tmp_path / "a" / "k2.json").touch()
    assert seen[0] == (1, 3, 10)
    assert seen[1] == (2, 3, 20)
    assert seen[-1] == (3, 3, 30)


def test_errors_pass_and_end_the_watch(tmp_path: Path) -> None:
    seen: list[tuple[int, int, int]] = []
    sizes = {f"k{i}": 1 for i in range(3)}

    def fail() -> None:
        with watch_parts(tmp_path, CHUNKS, lambda *done: seen.append(done), sizes=sizes):
            msg = "x"
            raise ValueError(msg)

    with pytest.raises(ValueError, match="x"):
        fail()
    assert seen == [(0, 3, 0)]
