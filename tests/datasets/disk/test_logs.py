from __future__ import annotations

import logging
from pathlib import Path

import pytest

from oddjet.datasets.disk.logs import LOG, write_log


def test_messages_are_appended_with_their_level(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("oddjet"), "level", logging.INFO)
    logger = logging.getLogger("oddjet.processors")
    logger.warning("before")
    for _ in range(2):
        with write_log(tmp_path / "new"):
            logger.info("42 chunks")
            logging.getLogger("other").warning("not ours")
    logger.warning("after")
    lines = (tmp_path / "new" / LOG).read_text().splitlines()
    assert [line.split()[2] for line in lines] == ["INFO"] * 4
    assert "oddjet" in lines[0]
    assert lines[1].endswith("42 chunks")


def test_what_ends_the_block_is_the_last_line(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="invalid literal"), write_log(tmp_path / "detector.log"):
        int("broken")
    assert (tmp_path / "detector.log").read_text().endswith(": 'broken'\n")
    assert not logging.getLogger("oddjet").handlers
