"""Folders of files whose hashes are written down: how detectors are kept on disk.

A folder appears whole or not at all: it is written beside its place and then renamed. Its JSON
file holds the SHA-256 of every other file and a fingerprint of itself, both checked on reading.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from oddjet.errors import DetectorError, OddjetError

__all__ = ["SCHEMA_VERSION", "read_info", "reading", "replace_folder", "write_info"]

SCHEMA_VERSION = 1
"""Raised when the layout of saved folders changes; a newer one is refused."""


@contextlib.contextmanager
def replace_folder(folder: Path, *, marker: str) -> Iterator[Path]:
    """Give a temporary folder that takes the place of `folder` when the block succeeds.

    What is there, in `folder`, is replaced only if it is empty or holds the JSON file `marker`.

    Raises:
        DetectorError: If `folder` holds something else.
    """
    folder = Path(folder)
    if folder.exists() and not _is_replaceable(folder, marker):
        msg = (
            f"{folder} exists and does not look like a saved folder (it has no {marker}): it is "
            f"left alone. Save somewhere else, or move it away."
        )
        raise DetectorError(msg)
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        # mkdtemp makes folders for the owner only; the result gets the ordinary permissions.
        new = temporary / "new"
        new.mkdir()
        yield new
        if folder.exists():
            folder.rename(temporary / "old")
        new.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _is_replaceable(folder: Path, marker: str) -> bool:
    return folder.is_dir() and ((folder / marker).is_file() or not any(folder.iterdir()))


def write_info(folder: Path, name: str, info: dict[str, Any]) -> str:
    """Write the JSON file of a folder, last: `info`, hashes of all its files, and a fingerprint.

    Files in subfolders count too. The fingerprint is the SHA-256 of all the file says, so of all
    that the folder holds.
    """
    files = {
        path.relative_to(folder).as_posix(): _sha256(path.read_bytes())
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    content = {"schema_version": SCHEMA_VERSION, **info, "files": files}
    content["fingerprint"] = _fingerprint(content)
    path = folder / name
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return str(content["fingerprint"])


def read_info(folder: Path, name: str) -> dict[str, Any]:
    """Read the JSON file of a folder and check every file against it.

    Raises:
        DetectorError: If the file is missing, unreadable or of a newer layout, or if it or any
            file it names is missing or not as it was written.
    """
    path = Path(folder) / name
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        msg = f"{folder} holds no {name}: nothing was saved there, or not completely."
        raise DetectorError(msg) from error
    except (OSError, ValueError) as error:
        msg = f"{path} cannot be read: {error}."
        raise DetectorError(msg) from error
    if not isinstance(content, dict) or not isinstance(content.get("schema_version"), int):
        msg = f"{path} is not a file oddjet wrote: it has no 'schema_version'."
        raise DetectorError(msg)
    if content["schema_version"] > SCHEMA_VERSION:
        msg = (
            f"{path} has schema_version {content['schema_version']}, newer than the "
            f"{SCHEMA_VERSION} this oddjet knows. Update oddjet."
        )
        raise DetectorError(msg)
    fingerprint = content.pop("fingerprint", None)
    if fingerprint != _fingerprint(content):
        _refuse_changed(path)
    content["fingerprint"] = fingerprint
    _check_files(Path(folder), content.get("files", {}))
    return content


@contextlib.contextmanager
def reading(folder: Path) -> Iterator[None]:
    """Turn what libraries raise at files they do not expect into a `DetectorError`.

    Yields:
        Nothing; the block reads the folder's files.

    Raises:
        DetectorError: If a file holds something else than was written, a pickle for one.
    """
    try:
        yield
    except OddjetError:
        raise
    except (ValueError, KeyError, TypeError, OSError, zipfile.BadZipFile) as error:
        msg = (
            f"{folder} cannot be loaded ({type(error).__name__}: {error}): its files are not those"
            " that oddjet writes. Copy the folder again or train anew."
        )
        raise DetectorError(msg) from error


def _check_files(folder: Path, files: dict[str, str]) -> None:
    root = os.path.realpath(folder)
    for name, expected in files.items():
        path = folder / name
        if not os.path.realpath(path).startswith(root + os.sep):
            msg = f"{folder} names a file outside itself, {name!r}: it is refused."
            raise DetectorError(msg)
        if not path.is_file():
            msg = f"{path} is missing: the folder was saved with it. Copy the whole folder again."
            raise DetectorError(msg)
        if _sha256(path.read_bytes()) != expected:
            _refuse_changed(path)


def _refuse_changed(path: Path) -> None:
    msg = (
        f"{path} is not the file that was saved: its SHA-256 differs from the one written down. "
        f"It was changed or damaged; copy the folder again or train anew."
    )
    raise DetectorError(msg)


def _fingerprint(content: dict[str, Any]) -> str:
    return _sha256(json.dumps(content, sort_keys=True, ensure_ascii=False).encode())


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
