"""Saved detectors that somebody changed, hashes and all; each change is drawn from a seed."""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
import random
import shutil
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

MODULE = "lies_about_here"
"""A module that leaves a mark when it is imported."""

VALUES: tuple[Any, ...] = (
    *(
        None,
        True,
        -1,
        0,
        1,
        2.5,
        10**6,
        10**30,
        -1e308,
        float("nan"),
        float("inf"),
        "",
        "x" * 10**5,
    ),
    *(
        "../../etc/passwd",
        "os:system",
        f"{MODULE}:Theirs",
        "antigravity:x",
        "khanal",
        "\0",
        "{}",
        "%s",
    ),
    *([], {}, [[]], [None] * 3, {"class": f"{MODULE}:Theirs"}, {"jet_image": {"pixels": 10**9}}),
)
OBJECTS: tuple[dict[str, Any], ...] = (
    {"module": "keras.layers", "class_name": "Lambda", "config": {"function": "os.system"}},
    {"module": "os", "class_name": "system", "config": {}},
    {"module": MODULE, "class_name": "Theirs", "config": {}},
    {"module": "builtins", "class_name": "function", "config": "eval"},
    {
        "module": "keras.layers",
        "class_name": "StringLookup",
        "config": {"vocabulary": "/etc/passwd"},
    },
    {"module": "keras.layers", "class_name": "TFSMLayer", "config": {"filepath": "/tmp"}},
    {"module": "keras.layers", "class_name": "TorchModuleWrapper", "config": {"module": "gASu"}},
    {"module": "keras.layers", "class_name": "JaxLayer", "config": {"call_fn": "x"}},
    {
        "module": "keras.utils",
        "class_name": "get_file",
        "config": {"origin": "http://127.0.0.1:9/"},
    },
    {"module": "keras.config", "class_name": "enable_unsafe_deserialization", "config": {}},
    {"module": "keras.layers", "class_name": "UpSampling2D", "config": {"size": [10**5, 10**5]}},
    {"module": "keras.layers", "class_name": "Dense", "config": {"units": 10**9}},
    {"class_name": "__lambda__", "config": {"value": "4wEAAAA="}},
    {"class_name": "Dense", "config": {"units": 10**9}},
)


class Bomb:
    """Leaves a mark when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return Path.touch, (self.mark,)  # type: ignore[return-value]


def header(shape: str, dtype: str = "<f8", version: tuple[int, int] = (1, 0)) -> bytes:
    """What a `.npy` file begins with, whatever it says."""
    text = f"{{'descr': {dtype!r}, 'fortran_order': False, 'shape': {shape}, }}"
    text = text + " " * (-(len(text) + 11) % 64) + "\n"
    size = struct.pack("<H" if version == (1, 0) else "<I", len(text))
    return b"\x93NUMPY" + bytes(version) + size + text.encode("latin1")


def bomb(path: Path, mebibytes: int) -> Path:
    """Write a zip file with an array of zeros of that size, packed once and repeated."""
    head = header(f"({mebibytes * 2**17},)")
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    content = packer.compress(head) + packer.flush(zlib.Z_FULL_FLUSH)
    zeros = packer.compress(bytes(2**24)) + packer.flush(zlib.Z_FULL_FLUSH)
    content += mebibytes // 16 * zeros + packer.flush()
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("knots.npy", content)
    raw = bytearray(path.read_bytes())
    directory = raw.rindex(b"PK\x01\x02")
    for method, size in ((8, 22), (directory + 10, directory + 24)):
        raw[method : method + 2] = struct.pack("<H", zipfile.ZIP_DEFLATED)
        raw[size : size + 4] = struct.pack("<I", mebibytes * 2**20 + len(head))
    path.write_bytes(raw)
    return path


def plant(folder: Path, mark: Path) -> None:
    """Write the module that leaves a mark."""
    text = (
        f"open({str(mark)!r}, 'w').close()\nfrom oddjet.ml.detectors.kmeans import KMeansDetector\n"
    )
    (folder / f"{MODULE}.py").write_text(f"{text}class Theirs(KMeansDetector): pass\n")


def change(saved: Path, target: Path, *, seed: int, mark: Path) -> str:
    """Copy a saved detector and change one thing in it; gives in words which."""
    shutil.copytree(saved, target)
    draw = random.Random(seed)
    files = sorted(path for path in target.rglob("*") if path.is_file())
    path = draw.choice(files)
    said = CHANGES[path.suffix](path, draw, mark) if draw.random() < 0.85 else _raw(path, draw)
    if draw.random() < 0.05:
        said += ", " + _around(target, draw)
    rehash(target)
    return f"{path.relative_to(target)}: {said}"


def rehash(folder: Path) -> None:
    """Write hashes that fit what is there, inner folders first, as an attacker would."""
    infos = [*folder.rglob("detector.json"), *folder.rglob("folds.json")]
    for info in sorted(infos, key=lambda path: -len(path.parts)):
        try:
            content = json.loads(info.read_text())
            content.pop("fingerprint", None)
            if isinstance(content.get("files"), dict):
                content["files"] = {
                    path.relative_to(info.parent).as_posix(): _sha256(path.read_bytes())
                    for path in sorted(info.parent.rglob("*"))
                    if path.is_file() and path != info
                }
            text = json.dumps(content, sort_keys=True, ensure_ascii=False)
            content["fingerprint"] = _sha256(text.encode())
            info.write_text(json.dumps(content, ensure_ascii=False))
        except (ValueError, AttributeError, RecursionError):
            continue  # it is no JSON any more


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _raw(path: Path, draw: random.Random) -> str:
    content = bytearray(path.read_bytes())
    how = draw.choice(("flip", "cut", "append", "empty", "zeros"))
    if how == "flip":
        for _ in range(draw.randint(1, 4)):
            place = draw.randrange(8 * len(content))
            content[place // 8] ^= 1 << place % 8
    elif how == "cut":
        del content[draw.randrange(len(content)) :]
    elif how == "append":
        content += draw.randbytes(50)
    elif how == "empty":
        content.clear()
    else:
        at = draw.randrange(len(content))
        content[at : at + 64] = bytes(64)
    path.write_bytes(content)
    return how


def _around(folder: Path, draw: random.Random) -> str:
    how = draw.choice(("file", "link", "pipe", "gone"))
    if how == "file":
        (folder / "more.py").write_text("raise SystemExit")
    elif how == "link":
        (folder / "link").symlink_to("/etc/passwd")
    elif how == "pipe":
        os.mkfifo(folder / "pipe")
    else:
        draw.choice(sorted(path for path in folder.rglob("*") if path.is_file())).unlink()
    return how


def _json(path: Path, draw: random.Random, mark: Path) -> str:
    content = json.loads(path.read_text())
    said = _change_value(content, draw, VALUES)
    path.write_text(json.dumps(content))
    return said


def _change_value(content: Any, draw: random.Random, values: tuple[Any, ...]) -> str:
    """Change one value of nested lists and mappings."""
    places = list(_places(content))
    holder, key = draw.choice(places)
    how = draw.choice(("set", "set", "set", "delete", "deep", "more"))
    value = draw.choice(values)
    if how == "delete":
        del holder[key]
    elif how == "deep":
        for _ in range(draw.choice((10, 100, 900))):
            value = [value]
        holder[key] = value
    elif how == "more" and isinstance(holder, dict):
        holder[f"more{draw.randrange(9)}"] = value
    else:
        holder[key] = value
    return f"{how} {key!r} {str(value)[:60]!r}"


def _places(content: Any) -> Any:
    keys = content if isinstance(content, dict) else range(len(content))
    for key in list(keys):
        yield content, key
        if isinstance(content[key], dict | list):
            yield from _places(content[key])


def _npz(path: Path, draw: random.Random, mark: Path) -> str:
    with np.load(path, allow_pickle=False) as data:
        arrays = dict(data)
    name = draw.choice(list(arrays))
    array = arrays[name]
    text = np.array(json.dumps({"class": f"{MODULE}:Theirs", "hyper_parameters": {}}))
    changes: dict[str, Callable[[], Any]] = {
        "nan": lambda: np.full(array.shape, np.nan),
        "zeros": lambda: np.zeros(array.shape),
        "negative": lambda: np.full(
            array.shape, -1, array.dtype if array.dtype.kind in "fi" else int
        ),
        "huge": lambda: np.full(array.shape, 2**62),
        "float16": lambda: np.ones(array.shape, np.float16),
        "complex": lambda: np.ones(array.shape, complex),
        "text": lambda: np.full(array.shape, "x"),
        "objects": lambda: np.array([Bomb(mark)], dtype=object),
        "empty": lambda: array.ravel()[:0],
        "one": lambda: array.ravel()[:1],
        "flat": array.ravel,
        "turned": lambda: array.T,
        "longer": lambda: np.concatenate([np.atleast_1d(array)] * 2),
        "shuffled": lambda: np.random.default_rng(draw.randrange(99)).permutation(
            np.atleast_1d(array)
        ),
        "class": lambda: text,
    }
    how = draw.choice([*changes, "gone", "more", "pickle"])
    if how == "gone":
        del arrays[name]
    elif how == "more":
        arrays["more"] = array
    elif how != "pickle":
        arrays[name] = changes[how]()
    np.savez(path, **arrays)
    if how == "pickle":
        path.write_bytes(pickle.dumps(Bomb(mark)))
    return f"{name} {how}"


def _keras(path: Path, draw: random.Random, mark: Path) -> str:
    with zipfile.ZipFile(path) as file:
        members = {name: file.read(name) for name in file.namelist()}
    how = draw.choice(("config", "config", "config", "weights", "weights", "gone", "more"))
    said = how
    if how == "config":
        config = json.loads(members["config.json"])
        said = _change_value(config, draw, (*VALUES, *OBJECTS, *OBJECTS))
        members["config.json"] = json.dumps(config).encode()
    elif how == "weights":
        members["model.weights.h5"], said = _h5(members["model.weights.h5"], draw)
    elif how == "gone":
        said += " " + (name := draw.choice(list(members)))
        del members[name]
    else:
        members[draw.choice(("assets/../../x", "model.weights.npz", "_layer_checkpoint"))] = (
            b"x" * 99
        )
    with zipfile.ZipFile(path, "w") as file:
        for name, content in members.items():
            file.writestr(name, content)
    return said


def _h5(content: bytes, draw: random.Random) -> tuple[bytes, str]:
    buffer = io.BytesIO(content)
    names: list[str] = []
    with h5py.File(buffer, "r+") as file:
        file.visititems(lambda name, item: names.append(name) if hasattr(item, "shape") else None)
        name = draw.choice(names)
        shape = file[name].shape
        del file[name]
        how = draw.choice(
            ("gone", "soft", "outside", "raw", "sparse", "packed", "shape", "text", "nan")
        )
        if how == "soft":
            file[name] = h5py.SoftLink("/")
        elif how == "outside":
            file[name] = h5py.ExternalLink("/etc/hosts", "/")
        elif how == "raw":
            file.create_dataset(name, (4,), "u1", external=[("/etc/passwd", 0, 4)])
        elif how == "sparse":
            file.create_dataset(name, (10**11,), "f4", chunks=(10**6,))
        elif how == "packed":
            file.create_dataset(name, data=np.zeros((1000, 1000)), compression="gzip")
        elif how == "shape":
            file[name] = np.zeros((*shape, 2), np.float32)
        elif how == "text":
            file[name] = "x"
        elif how == "nan":
            file[name] = np.full(shape, np.nan, np.float32)
    return buffer.getvalue(), f"{name} {how}"


CHANGES: dict[str, Callable[[Path, random.Random, Path], str]] = {
    ".json": _json,
    ".npz": _npz,
    ".keras": _keras,
}
