from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
import uproot

from oddjet.datasets.files.rootfiles import inspect_root, is_remote
from oddjet.errors import BadFileError


def test_whole_file(v15: Any) -> None:
    file = inspect_root(v15.path)
    assert file.n_entries == len(v15.branches["run"])
    assert set(v15.branches) <= file.branches
    assert file.size == v15.path.stat().st_size
    with uproot.open(v15.path) as opened:
        assert file.uuid == str(opened.file.uuid)


@pytest.mark.parametrize("cut", [1, 10, 100, 1000, 5000])
def test_truncated_by_some_bytes(v15: Any, tmp_path: Path, cut: int) -> None:
    whole = v15.path.read_bytes()
    path = tmp_path / "short.root"
    path.write_bytes(whole[:-cut])
    with pytest.raises(
        BadFileError, match=rf"truncated: {len(whole) - cut} bytes on disk, header says"
    ):
        inspect_root(path)


@pytest.mark.parametrize("left", [4, 12, 19, 64, 500])
def test_only_the_beginning_is_left(v15: Any, tmp_path: Path, left: int) -> None:
    path = tmp_path / "short.root"
    path.write_bytes(v15.path.read_bytes()[:left])
    with pytest.raises(BadFileError, match="truncated"):
        inspect_root(path)


@pytest.mark.samples
@pytest.mark.parametrize("cut", [1, 200, 20_000, 200_000])
def test_truncated_real_file(samples: Path, tmp_path: Path, cut: int) -> None:
    path = tmp_path / "short.root"
    path.write_bytes((samples / "nano_dy.root").read_bytes()[:-cut])
    with pytest.raises(BadFileError, match="truncated"):
        inspect_root(path)


def test_header_of_a_big_file_has_64_bit_positions(tmp_path: Path) -> None:
    path = tmp_path / "big.root"
    header = b"root" + struct.pack(">iiq", 1_062_400, 100, 5_000_000_000)
    path.write_bytes(header.ljust(1000, b"\0"))
    with pytest.raises(BadFileError, match="1000 bytes on disk, header says 5000000000"):
        inspect_root(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (b"<!DOCTYPE html><html>", "not a ROOT file.*DOCTYPE"),
        (b"PK\3\4", "not a ROOT"),
    ],
)
def test_what_is_not_root(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "a.root"
    path.write_bytes(content)
    with pytest.raises(BadFileError, match=message):
        inspect_root(path)


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(BadFileError, match="does not exist"):
        inspect_root(tmp_path / "nothing.root")
    with pytest.raises(BadFileError, match="cannot be opened"):
        inspect_root(tmp_path)


def test_damage_inside(v15: Any, tmp_path: Path) -> None:
    content = bytearray(v15.path.read_bytes())
    content[100:400] = b"\xff" * 300
    path = tmp_path / "damaged.root"
    path.write_bytes(content)
    with pytest.raises(BadFileError, match=r"damaged\.root"):
        inspect_root(path)


def test_missing_tree_lists_the_trees(tmp_path: Path) -> None:
    path = tmp_path / "a.root"
    with uproot.recreate(path) as file:
        file["Event"] = {"x": np.arange(3)}
        file["Runs"] = {"run": np.arange(1)}
        file["h"] = np.histogram([1, 2])
    with pytest.raises(
        BadFileError, match=r"no tree 'Events'; its trees are Event, Runs\. Did you mean 'Event'"
    ):
        inspect_root(path)
    assert inspect_root(path, "Event").n_entries == 3
    with uproot.recreate(path) as file:
        file["h"] = np.histogram([1, 2])
    with pytest.raises(BadFileError, match="it has no trees"):
        inspect_root(path)


def test_unreachable_url() -> None:
    assert is_remote("root://host//store/a.root")
    assert not is_remote("/store/a.root")
    with pytest.raises(BadFileError, match="cannot be read as ROOT"):
        inspect_root("nosuchprotocol://host/a.root")


def test_url_that_says_its_size(v15: Any) -> None:
    content = v15.path.read_bytes()
    memory = fsspec.filesystem("memory")
    memory.pipe("/oddjet/whole.root", content)
    memory.pipe("/oddjet/short.root", content[:-1])
    whole = inspect_root("memory://oddjet/whole.root")
    assert (whole.n_entries, whole.size) == (len(v15.branches["run"]), len(content))
    with pytest.raises(BadFileError, match="truncated"):
        inspect_root("memory://oddjet/short.root")
