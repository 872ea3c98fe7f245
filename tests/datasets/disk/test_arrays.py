"""Files of arrays: what does not fit is refused before it takes memory."""

from __future__ import annotations

import io
import pickle
import resource
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from changed_detectors import Bomb, bomb, header

from oddjet.datasets.disk.arrays import open_zip, read_arrays, unpacked_size
from oddjet.errors import BadFileError, DetectorError

MIB = 2**20


def archive(path: Path, members: dict[str, bytes], packing: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", packing) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return path


def test_arrays_come_back_bit_by_bit(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    given: dict[str, Any] = {
        "f8": rng.normal(size=(3, 4)),
        "f4": rng.normal(size=7).astype(np.float32),
        "u8": rng.integers(2**63, size=5, dtype=np.uint64),
        "flag": np.array(True),
        "text": np.array(["a", "bc"]),
        "none": np.zeros((0, 9)),
        "turned": np.asfortranarray(rng.normal(size=(4, 3))),
    }
    for save in (np.savez, np.savez_compressed):
        save(tmp_path / "a.npz", **given)
        read = read_arrays(tmp_path / "a.npz")
        assert list(read) == list(given)
        for name, array in given.items():
            assert read[name].dtype == array.dtype
            np.testing.assert_array_equal(read[name], array)
            assert read[name].flags.writeable


def test_shapes_are_checked_against_each_other(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", centres=np.zeros((2, 3)), sizes=np.ones(2, int), base=1.0)
    shapes = {"centres": "float k m", "sizes": "float k", "base": "float", "scale?": "float m"}
    assert set(read_arrays(tmp_path / "a.npz", shapes, m=3)) == {"centres", "sizes", "base"}
    assert set(read_arrays(tmp_path / "a.npz", {"centres": "float 2 ..."})) == {"centres"}
    for changed, message in (
        (
            {"sizes": "float m"},
            r"expected sizes as 'float m', m = 3. Received: int64 of shape \(2,\)",
        ),
        ({"sizes": "float k k"}, "sizes"),
        ({"centres": "int k m"}, "float64 of shape"),
        ({"centres": "float 3 m"}, "centres"),
        ({"base": "bool"}, "base"),
        ({"more": "float"}, "lacks 'more'"),
    ):
        with pytest.raises(DetectorError, match=message):
            read_arrays(tmp_path / "a.npz", shapes | changed, error=DetectorError)
    with pytest.raises(BadFileError, match="m = 4"):
        read_arrays(tmp_path / "a.npz", shapes, m=4)


def test_a_file_that_unpacks_to_gigabytes_is_refused_in_no_memory(tmp_path: Path) -> None:
    path = bomb(tmp_path / "bomb.npz", 3 * 1024)
    assert path.stat().st_size < 10 * MIB
    code = (
        "import sys; from oddjet.datasets.disk.arrays import *; from oddjet.errors import BadFileError\n"
        "try: read_arrays(sys.argv[1])\n"
        "except BadFileError as error: print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (2**31, 2**31)),
    )
    assert "would unpack to 3,072 MiB" in done.stdout


def test_pickles_are_not_opened(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    np.savez(tmp_path / "a.npz", a=np.array([Bomb(mark)], dtype=object))
    (tmp_path / "b.npz").write_bytes(pickle.dumps(Bomb(mark)))
    inside = header("(1,)", "|O") + pickle.dumps(np.array([Bomb(mark)], dtype=object))
    archive(tmp_path / "c.npz", {"a.npy": inside, "b.npy": pickle.dumps(Bomb(mark))})
    for name in "abc":
        with pytest.raises(BadFileError, match=r"no pickle|is no array"):
            read_arrays(tmp_path / f"{name}.npz")
    assert not mark.exists()


@pytest.mark.parametrize(
    "content",
    [
        header("(10**18,)"),
        header(f"({10**18},)"),
        header("(-1,)") + bytes(8),
        header("(1.5,)") + bytes(8),
        header("5") + bytes(40),
        header("(2,)") + bytes(8),
        header("(1,)") + bytes(16),
        header("(1,)", "V8") + bytes(8),
        header("(1,)", "c16") + bytes(16),
        header("(1,)", "|O") + bytes(8),
        header("(1,)", version=(3, 0)) + bytes(8),
        header("(1,)", version=(9, 9)) + bytes(8),
        header("(" + "1," * 30_000 + ")"),
        b"",
        b"\x93NUMPY",
        b"not an array",
    ],
    ids=range(16),
)
def test_headers_that_lie_are_refused(tmp_path: Path, content: bytes) -> None:
    archive(tmp_path / "a.npz", {"a.npy": content})
    with pytest.raises(BadFileError, match="is no array"):
        read_arrays(tmp_path / "a.npz")


@pytest.mark.parametrize("packing", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_packings_are_refused(tmp_path: Path, packing: int) -> None:
    archive(tmp_path / "a.npz", {"a.npy": header("(1,)") + bytes(8)}, packing)
    with pytest.raises(BadFileError, match="packed in another way"):
        read_arrays(tmp_path / "a.npz")


def test_zip_files_with_odd_directories_are_refused(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.npz", {"a.npy": header("(1,)") + bytes(8)})
    content = bytearray(path.read_bytes())
    at = content.index(b"PK\x01\x02")
    content[at + 8] |= 1  # encrypted
    path.write_bytes(content)
    with pytest.raises(BadFileError, match="encrypted"):
        read_arrays(path)
    path = archive(path, {"a.npy": b"1", "b.npy": b"2"})
    path.write_bytes(path.read_bytes().replace(b"b.npy", b"a.npy"))
    with pytest.raises(BadFileError, match="a name of its own"):
        read_arrays(path)
    for damaged in (b"", b"PK\x05\x06", path.read_bytes()[:-30]):
        path.write_bytes(damaged)
        with pytest.raises(BadFileError, match="cannot be loaded"):
            read_arrays(path)


def test_every_flipped_bit_is_noticed_or_changes_nothing(tmp_path: Path) -> None:
    """A zip file has checksums of what it holds, and they are looked at."""
    given = np.random.default_rng(2).normal(size=50)
    np.savez(tmp_path / "a.npz", a=given)
    content = (tmp_path / "a.npz").read_bytes()
    rng = np.random.default_rng(3)
    for place in rng.integers(8 * len(content), size=200):
        damaged = bytearray(content)
        damaged[place // 8] ^= 1 << place % 8
        try:
            read = read_arrays(io.BytesIO(bytes(damaged)), {"a": "float n"})
        except BadFileError:
            continue
        np.testing.assert_array_equal(read["a"], given)


def test_sizes_are_known_without_unpacking(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "a.npz", a=np.zeros(10_000))
    assert 80_000 < unpacked_size(tmp_path / "a.npz") < 81_000
    (tmp_path / "a.json").write_text("{}")
    assert unpacked_size(tmp_path / "a.json") == 2
    with open_zip(tmp_path / "a.npz") as file:
        assert file.namelist() == ["a.npy"]
    with (
        pytest.raises(BadFileError, match=r"gone\.npz cannot be loaded"),
        open_zip(tmp_path / "gone.npz"),
    ):
        pass
