from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from oddjet.datasets.disk.documents import read_json, read_yaml
from oddjet.errors import BadFileError, ConfigError


def test_both_are_read_also_compressed(tmp_path: Path) -> None:
    for name, text in (("a.json", '{"a": [1]}'), ("a.yaml", "a: [1]")):
        path, packed = tmp_path / name, tmp_path / f"{name}.gz"
        path.write_text(text)
        packed.write_bytes(gzip.compress(text.encode()))
        read = read_json if "json" in name else read_yaml
        assert read(path) == read(packed) == {"a": [1]}


@pytest.mark.parametrize("content", [b"\xff\xfe", b'{"a": ', b"[" * 10_000, b""])
def test_a_file_that_is_no_json_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(content)
    with pytest.raises(BadFileError, match=r"a\.json: "):
        read_json(path, error=BadFileError)


def test_what_is_no_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "b.json.gz").write_bytes(b"no gzip")
    for path in (tmp_path, tmp_path / "none.json", tmp_path / "b.json.gz", tmp_path / ("x" * 300)):
        with pytest.raises(ConfigError, match="cannot read"):
            read_json(path)


def test_long_files_are_refused_before_they_are_unpacked(tmp_path: Path) -> None:
    with gzip.open(tmp_path / "zeros.yaml.gz", "wb", compresslevel=1) as file:
        for _ in range(40):
            file.write(bytes(2**20))
    (tmp_path / "endless.yaml").symlink_to("/dev/zero")
    for path in sorted(tmp_path.iterdir()):
        with pytest.raises(ConfigError, match="longer than 16 MiB"):
            read_yaml(path)
