from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from oddjet.datasets.disk.atomic import atomic_write, write_text
from oddjet.faults import describe_fault


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


def test_a_folder_in_the_place_is_named_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError) as caught, atomic_write(tmp_path):
        pytest.fail("it was not seen")
    assert caught.value.filename == str(tmp_path)
    assert str(describe_fault(caught.value)).startswith(f"{tmp_path}: Is a directory\n")
    assert "move it away" in str(describe_fault(caught.value))


def test_errors_name_the_file_and_not_the_temporary_one(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="too long") as caught, atomic_write(tmp_path / ("a" * 250)):
        pass
    assert caught.value.filename == str(tmp_path / ("a" * 250))

    def come_between() -> None:
        with atomic_write(tmp_path / "a") as temporary:
            (tmp_path / "a").mkdir()
            temporary.write_text("")

    with pytest.raises(IsADirectoryError) as caught:
        come_between()
    assert caught.value.filename == str(tmp_path / "a")
    assert "a." not in str(caught.value)
