from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from oddjet.datasets.disk.atomic import atomic_write, write_text


def test_target_appears_at_the_end_only(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "a.npy"
    with atomic_write(target) as temporary:
        temporary.write_bytes(b"half")
        assert not target.exists()
        assert temporary.parent == target.parent
        assert temporary.suffix == ".npy"
        assert temporary.name.startswith(".")
    assert target.read_bytes() == b"half"
    assert list(target.parent.iterdir()) == [target]


def test_failure_leaves_the_old_file_and_no_rubbish(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    write_text(target, "old")

    def fail() -> None:
        with atomic_write(target) as temporary:
            temporary.write_text("new")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_permissions_follow_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_text(tmp_path / "a.txt", "x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a.txt").stat().st_mode) == 0o640


def test_text_is_utf8(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", "τ21")
    assert (tmp_path / "a.txt").read_bytes() == "τ21".encode()
