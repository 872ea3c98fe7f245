"""Zip files and arrays of numbers: what they unpack to is known before anything is unpacked."""

from __future__ import annotations

import contextlib
import math
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from oddjet.errors import BadFileError, OddjetError

__all__ = ["ARRAY_ERRORS", "open_zip", "read_array", "read_arrays", "unpacked_size"]

Arrays = dict[str, npt.NDArray[Any]]

SMALL = 2**28
"""What may always be unpacked: 256 MiB."""
EXPANSION = 20
"""What more may unpack to, in units of what it takes on disk. Arrays of measured numbers hardly shrink."""
MOST_MEMBERS = 10_000

KINDS = {"float": "fiu", "int": "iu", "bool": "b", "text": "U", "any": "fiubU"}
"""Kind of an array in a shape → the kinds of numpy's types that it may have."""

ARRAY_ERRORS = (
    OSError, ValueError, KeyError, TypeError, EOFError, IndexError, OverflowError, MemoryError, NotImplementedError, RuntimeError,
    SyntaxError, RecursionError, struct.error, tokenize.TokenError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip
"""What zipfile and numpy raise at files that they do not expect."""


@contextlib.contextmanager
def open_zip(
    source: Path | str | IO[bytes], *, where: str = "", error: type[OddjetError] = BadFileError
) -> Iterator[zipfile.ZipFile]:
    """Open a zip file, if it can be unpacked in memory.

    Args:
        source: The file, or its content.
        where: What messages call it; by default its path.
        error: What is raised.

    Raises:
        OddjetError: As `error` says: it cannot be read as a zip file, or what it holds is encrypted,
            packed in another way than by zlib, there twice, or unpacks to absurdly much.
    """
    where = where or str(source)
    try:
        file = zipfile.ZipFile(source)
    except ARRAY_ERRORS as problem:
        msg = f"{where} cannot be loaded (no zip file: {problem}), and no pickle is opened. Copy it again."
        raise error(msg) from problem
    with file:
        members = file.infolist()
        packed = sum(member.compress_size for member in members)
        unpacked = sum(member.file_size for member in members)
        if unpacked > max(SMALL, EXPANSION * packed):
            msg = (
                f"{where}: {packed / 2**20:.3g} MiB would unpack to {unpacked / 2**20:,.0f} MiB, more than"
                f" {EXPANSION} times as much: it is not unpacked. oddjet writes no such file; do not use it."
            )
            raise error(msg)
        names = {member.filename for member in members}
        if len(members) > MOST_MEMBERS or len(names) < len(members):
            msg = (
                f"{where}: expected at most {MOST_MEMBERS} parts, each with a name of its own. Received:"
                f" {len(members)} with {len(names)} names. Copy it again."
            )
            raise error(msg)
        for member in members:
            is_plain = member.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
            if not is_plain or member.flag_bits & 1:
                msg = (
                    f"{where}: {member.filename!r:.60} is encrypted, or packed in another way than by zlib."
                    " oddjet writes no such file; do not use it."
                )
                raise error(msg)
        yield file


def unpacked_size(path: Path, *, error: type[OddjetError] = BadFileError) -> int:
    """Give what a file of arrays or of a network takes in memory [bytes]: of a zip file, unpacked.

    Raises:
        OddjetError: As of `open_zip`.
    """
    if path.suffix not in (".npz", ".keras", ".zip"):
        return path.stat().st_size
    with open_zip(path, error=error) as file:
        return sum(member.file_size for member in file.infolist())


def read_arrays(
    source: Path | str | IO[bytes],
    shapes: Mapping[str, str] | None = None,
    *,
    where: str = "",
    error: type[OddjetError] = BadFileError,
    **sizes: int,
) -> Arrays:
    """Read an `.npz` file whose arrays have the kinds and shapes that they should have.

    A shape is the kind of number (float, int, bool, text, any), and then its axes: a number, or a name that
    stands for the same number wherever it is. ``...`` at the end stands for any further axes. An array whose
    name ends in ``?`` may be missing.

    Args:
        source: The file, or its content.
        shapes: Name → kind and shape, such as ``"float k m"``; None for whatever there is.
        where: What messages call it; by default its path.
        error: What is raised.
        **sizes: Numbers that names of axes stand for.

    Returns:
        Name → array.

    Raises:
        OddjetError: As `error` says: the file cannot be read or unpacks to absurdly much; an array is
            missing, holds objects, or has another kind or shape.

    >>> from io import BytesIO
    >>> np.savez(file := BytesIO(), centres=np.zeros((2, 3)), weights=np.ones(2))
    >>> sorted(read_arrays(file, {"centres": "float k m", "weights": "float k"}, m=3))
    ['centres', 'weights']
    """
    where = where or str(source)
    with open_zip(source, where=where, error=error) as file:
        members = {name.removesuffix(".npy"): name for name in file.namelist()}
        wanted = members if shapes is None else {name.removesuffix("?"): "" for name in shapes}
        optional = {name[:-1] for name in shapes or () if name.endswith("?")}
        if missing := sorted(set(wanted) - set(members) - optional):
            msg = f"{where} lacks {_listed(missing)}: it is another file, or of another version of oddjet."
            raise error(msg)
        arrays = {}
        for name in wanted:
            if name in members:
                try:
                    arrays[name] = read_array(file, members[name])
                except ARRAY_ERRORS as problem:
                    msg = f"{where} cannot be loaded ({name:.60} is no array: {problem}). Copy the file again."
                    raise error(msg) from problem
    _check_shapes(arrays, shapes or {}, dict(sizes), where, error)
    return arrays


def _check_shapes(
    arrays: Arrays,
    shapes: Mapping[str, str],
    known: dict[str, int],
    where: str,
    error: type[OddjetError],
) -> None:
    for key, shape in shapes.items():
        name = key.removesuffix("?")
        if name in arrays and not _fits(arrays[name], shape, known):
            came = f"{arrays[name].dtype} of shape {arrays[name].shape}"
            named = ", ".join(f"{axis} = {size}" for axis, size in known.items() if axis in shape)
            msg = (
                f"{where}: expected {name} as {shape!r}{f', {named}' if named else ''}. Received: {came}. It is"
                " not what oddjet wrote; copy the file again."
            )
            raise error(msg)


def read_array(file: zipfile.ZipFile, name: str) -> npt.NDArray[Any]:
    """Read an array, a `.npy` file in a zip file, whose header says as much as there is.

    Raises:
        ValueError: If it does not, or holds anything but numbers and text; others of `ARRAY_ERRORS` too.
    """
    with file.open(name) as member:
        version = np.lib.format.read_magic(member)
        headers = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }
        shape, _, dtype = headers[version](member)
        if dtype.kind not in KINDS["any"] or any(size < 0 for size in shape):
            msg = f"it holds {dtype}, of shape {shape}; numbers and text alone are read, no pickle"
            raise ValueError(msg)
        n_bytes = file.getinfo(name).file_size - member.tell()
        if math.prod(shape) * dtype.itemsize != n_bytes:
            msg = f"its header says {dtype} of shape {shape}, and it has {n_bytes} bytes"
            raise ValueError(msg)
    with file.open(name) as member:
        return np.lib.format.read_array(member, allow_pickle=False)


def _fits(array: npt.NDArray[Any], shape: str, known: dict[str, int]) -> bool:
    """Whether an array has a kind and shape; sizes of axes that were not known are then."""
    kind, *axes = shape.split()
    if array.dtype.kind not in KINDS[kind]:
        return False
    if axes[-1:] == ["..."]:
        axes.pop()
    elif array.ndim != len(axes):
        return False
    return array.ndim >= len(axes) and all(
        size == (int(axis) if axis.isdigit() else known.setdefault(axis, size))
        for axis, size in zip(axes, array.shape, strict=False)
    )


def _listed(names: Collection[str], most: int = 5) -> str:
    shown = ", ".join(repr(name)[:60] for name in list(names)[:most])
    return shown + (f" and {len(names) - most} more" if len(names) > most else "")
