"""Checksums against independent values, and every flipped bit found."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from oddjet.datasets.disk.checksums import checksum_of, file_sha256, fits, verify_checksum
from oddjet.datasets.files.dataset import Dataset
from oddjet.datasets.files.fileset import check_fileset, load_fileset
from oddjet.datasets.skims.skim import open_skim
from oddjet.errors import BadFileError, ConfigError
from oddjet.processors.engine.options import RunOptions


def test_known_values(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"Wikipedia")
    assert checksum_of(path) == "adler32:11e60398"  # RFC 1950's algorithm on the usual example
    path.write_bytes(b"")
    assert checksum_of(path) == "adler32:00000001"
    path.write_bytes(b"abc")
    assert checksum_of(path, "sha256") == (
        "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-2
    )


def test_files_longer_than_a_piece(tmp_path: Path) -> None:
    content = np.random.default_rng(1).bytes(20 * 2**20 + 3)
    path = tmp_path / "a"
    path.write_bytes(content)
    a = np.frombuffer(content, np.uint8).astype(np.int64)
    low = (1 + int(a.sum())) % 65521
    high = (len(a) + int((a * np.arange(len(a), 0, -1)).sum())) % 65521
    assert checksum_of(path) == f"adler32:{high << 16 | low:08x}"
    assert checksum_of(path, "sha256") == f"sha256:{hashlib.sha256(content).hexdigest()}"


@pytest.mark.parametrize("algorithm", ["adler32", "sha256"])
def test_every_single_flipped_bit_is_caught(tmp_path: Path, algorithm: str) -> None:
    path = tmp_path / "a.root"
    content = bytearray(np.random.default_rng(2).bytes(5000))
    path.write_bytes(content)
    expected = checksum_of(path, algorithm)
    verify_checksum(path, expected)
    caught = 0
    for bit in np.random.default_rng(3).choice(len(content) * 8, 200, replace=False):
        content[bit // 8] ^= 1 << (bit % 8)
        path.write_bytes(content)
        content[bit // 8] ^= 1 << (bit % 8)
        with pytest.raises(BadFileError, match=r"a\.root has checksum"):
            verify_checksum(path, expected)
        caught += 1
    assert caught == 200


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(BadFileError, match="cannot be computed"):
        checksum_of(tmp_path / "none")


def test_in_a_fileset(tmp_path: Path) -> None:
    (tmp_path / "a.root").write_bytes(b"Wikipedia")
    text = "datasets: {q: {kind: background, files: [a.root], checksums: {a.root: 'ADLER32:11E60398'}}}"
    (tmp_path / "f.yaml").write_text(text)
    dataset = load_fileset(tmp_path / "f.yaml").datasets["q"]
    assert dataset.checksums == {str(tmp_path / "a.root"): "adler32:11e60398"}
    moved = dataset.with_files([tmp_path / "b.root"])
    assert moved.checksums == {}


@pytest.mark.parametrize(
    ("checksums", "match"),
    [
        ({"a.root": "md5:00"}, "adler32: and 8 or sha256: and 64"),
        ({"a.root": "adler32:123"}, "adler32: and 8"),
        ({"b.root": "adler32:00000001"}, "not among `files`: .*b.root"),
    ],
)
def test_wrong_checksums_in_a_fileset(
    tmp_path: Path, checksums: dict[str, str], match: str
) -> None:
    entries = ", ".join(f"{p}: '{c}'" for p, c in checksums.items())
    text = f"datasets: {{q: {{kind: background, files: [a.root], checksums: {{{entries}}}}}}}"
    (tmp_path / "f.yaml").write_text(text)
    with pytest.raises(ConfigError, match=match):
        load_fileset(tmp_path / "f.yaml")


def test_redirectors(tmp_path: Path) -> None:
    text = """
datasets:
  q:
    kind: background
    files: [/store/mc/a.root, root://own.org//store/mc/b.root]
    redirectors: [root://one.org/, root://two.org:1094]
    timeout: 5
"""
    (tmp_path / "f.yaml").write_text(text)
    dataset: Dataset = load_fileset(tmp_path / "f.yaml").datasets["q"]
    a, b = dataset.files
    assert dataset.places(a) == (
        "root://one.org//store/mc/a.root",
        "root://two.org:1094//store/mc/a.root",
    )
    assert dataset.places(b) == (
        "root://own.org//store/mc/b.root",
        "root://one.org//store/mc/b.root",
        "root://two.org:1094//store/mc/b.root",
    )
    for old, new, match in [
        ("/store/mc/a.root", "store/a.root", "logical name"),
        ("/store/mc/a.root", "/store/*.root", "logical name"),
        ("root://one.org/", "one.org", "expected servers"),
        ("timeout: 5", "timeout: 0", "timeout"),
    ]:
        (tmp_path / "f.yaml").write_text(text.replace(old, new))
        with pytest.raises(ConfigError, match=match):
            load_fileset(tmp_path / "f.yaml")


def test_a_server_that_does_not_answer_is_asked_for_two_files_alone() -> None:
    """Nobody listens on port 1 of loopback: refused at once, and then not asked again."""
    from oddjet.datasets.files.dataset import Fileset  # noqa: PLC0415
    from oddjet.errors import UnreachableError  # noqa: PLC0415

    files = [f"root://127.0.0.1:1//f{n}.root" for n in range(30)]
    fileset = Fileset(datasets={"q": Dataset(files=files, kind="background", timeout=2)})
    problems: dict[str, Exception] = {}
    assert check_fileset(fileset, problems=problems) == {}  # type: ignore[arg-type]
    assert len(problems) == 30
    assert {type(error) for error in problems.values()} == {UnreachableError}
    assert sum("for other files" in str(error) for error in problems.values()) >= 10


@pytest.mark.parametrize("verify", ["garbage", "First", None, True, ["first"]])
def test_when_files_are_compared_is_one_of_three_words(tmp_path: Path, verify: Any) -> None:
    words = "verify: expected always, first or never, received"
    for call in (
        lambda: open_skim(tmp_path, verify=verify),
        lambda: fits(tmp_path / "a", "0" * 64, verify),
        lambda: RunOptions(verify=verify),
    ):
        with pytest.raises(ConfigError, match=words):
            call()


def test_a_file_is_compared_always_first_or_never(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a"
    path.write_bytes(np.random.default_rng(1).bytes(3 * 2**20 + 5))
    expected = hashlib.sha256(path.read_bytes()).hexdigest()
    assert file_sha256(path) == expected
    reads: list[Path] = []

    def counted(path: Path) -> str:
        reads.append(path)
        return file_sha256(path)

    monkeypatch.setattr("oddjet.datasets.disk.checksums.file_sha256", counted)
    assert all(fits(path, expected) for _ in range(3))
    assert len(reads) == 1
    assert all(fits(path, expected, "always") for _ in range(2))
    assert len(reads) == 3
    assert fits(path, "0" * 64, "never")
    assert fits(path, None, "always")  # nothing was written down
    assert not fits(path, "0" * 64)
    assert not fits(tmp_path / "nowhere", expected)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    assert not fits(path, expected)  # another file by its time
