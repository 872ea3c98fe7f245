"""Folders of files whose hashes are written down: how detectors are kept on disk.

A folder appears whole or not at all: it is written beside its place and then renamed. Its JSON
file holds the SHA-256 of every other file and a fingerprint of itself, both checked on reading.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import logging
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from oddjet.datasets.disk.arrays import EXPANSION, unpacked_size
from oddjet.datasets.disk.checksums import checksum_of
from oddjet.datasets.disk.documents import read_json
from oddjet.datasets.disk.validation import validate
from oddjet.errors import ConfigError, DetectorError, OddjetError

__all__ = [
    "SCHEMA_VERSION",
    "DetectorInfo",
    "FoldsInfo",
    "Info",
    "applying",
    "move_unusable",
    "read_info",
    "reading",
    "replace_folder",
    "require_place",
    "require_same",
    "write_info",
]

logger = logging.getLogger(__name__)

SCHEMA_VERSION = 1
"""Raised when the layout of saved folders changes; a newer one is refused."""
LARGEST_INFO = 16 * 2**20
LARGEST_FOLDER = 2**30
"""What a folder may unpack to in any case: 1 GiB."""
DEEPEST = 8
"""Folders inside each other."""
MOST_SHOWN = 300


class Info(BaseModel):
    """What the JSON file of every folder says.

    Attributes:
        files: Path of a file in the folder → its SHA-256.
        fingerprint: SHA-256 of all that the file says otherwise.
    """

    model_config = ConfigDict(strict=True)

    schema_version: int
    files: dict[str, Annotated[str, Field(pattern="^[0-9a-f]{64}$")]] = Field(min_length=1)
    fingerprint: str


class DetectorInfo(Info):
    """What the JSON file of a detector says; see `oddjet.ml.detectors.base`."""

    detector: str
    hyper_parameters: dict[str, Any]
    representation: dict[str, Any]
    score_names: list[str]
    seed: int
    trained_on_events: dict[str, int]
    versions: dict[str, str]


class DecorrelationInfo(BaseModel):
    """The decorrelations of a folded detector: names of the methods, and column of the mass."""

    methods: list[str]
    mass: str


class FoldsInfo(Info):
    """What the JSON file of a folded detector says; see `oddjet.ml.folds`."""

    label: str
    detector: str
    hyper_parameters: dict[str, Any]
    seed: int
    k: int = Field(ge=2)
    held_out: float | None = Field(default=None, ge=0, le=1)
    learned: dict[str, dict[str, Any]] = {}
    score_names: list[str] = Field(min_length=1)
    decorrelation: DecorrelationInfo | None = None


@contextlib.contextmanager
def replace_folder(folder: Path, *, marker: str) -> Iterator[Path]:
    """Give a temporary folder that takes the place of `folder` when the block succeeds.

    What is there, in `folder`, is replaced only if it is empty or holds the JSON file `marker`.

    Raises:
        DetectorError: If `folder` holds something else.
    """
    folder = Path(folder)
    require_place(folder, marker=marker)
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        # mkdtemp makes folders for the owner only; the result gets the ordinary permissions.
        new = temporary / "new"
        new.mkdir()
        yield new
        if os.path.lexists(folder):
            folder.rename(temporary / "old")
        new.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def require_place(folder: Path, *, marker: str) -> None:
    """Refuse to save in a folder that holds something else than what was saved there.

    Raises:
        DetectorError: If it does.
    """
    if not _is_replaceable(folder, marker):
        msg = (
            f"{folder} exists and does not look like a saved folder (it has no {marker}): it is "
            f"left alone. Save somewhere else, or move it away."
        )
        raise DetectorError(msg)


def _is_replaceable(folder: Path, marker: str) -> bool:
    if not os.path.lexists(folder):  # not so for links that lead nowhere
        return True
    return folder.is_dir() and ((folder / marker).is_file() or not any(folder.iterdir()))


def move_unusable(folder: Path, *, marker: str) -> None:
    """Move what cannot be used in the place of a saved folder aside, to `FOLDER.unusable-1` and so on.

    That is all that is there, if it is no saved folder; else what was not saved with it, such as files
    of a file manager. Warnings say so.
    """
    strays = list(_strays(folder, marker)) if _is_replaceable(folder, marker) else [folder]
    if not strays:
        return
    numbers = (folder.with_name(f"{folder.name}.unusable-{n}") for n in itertools.count(1))
    aside = next(path for path in numbers if not os.path.lexists(path))
    for path in strays:
        target = aside / path.relative_to(folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        path.rename(target)
    what = (
        f"{folder} holds no {marker}" if strays == [folder] else f"{strays[0]} was not saved there"
    )
    more = f", nor were {len(strays) - 1} others" if len(strays) > 1 else ""
    logger.warning("%s%s: moved to %s", what, more, aside)


def _strays(folder: Path, name: str) -> Iterator[Path]:
    """Give what is in a saved folder, and in those in it, but in no name of its JSON file `name`."""
    try:
        files = [name, *read_json(folder / name, largest=LARGEST_INFO)["files"]]
    except (OSError, OddjetError, TypeError, KeyError):
        return  # nobody knows what was saved
    known = {path for file in files for path in (Path(file), *Path(file).parents)}
    for place, folders, others in os.walk(folder):
        for entry in [*folders, *others]:
            path = Path(place, entry)
            if path.relative_to(folder) not in known:
                yield path
        folders[:] = [entry for entry in folders if Path(place, entry).relative_to(folder) in known]


def write_info(folder: Path, name: str, info: dict[str, Any]) -> str:
    """Write the JSON file of a folder, last: `info`, hashes of all its files, and a fingerprint.

    Files in subfolders count too. The fingerprint is the SHA-256 of all the file says, so of all
    that the folder holds.
    """
    files = {
        path.relative_to(folder).as_posix(): _sha256_of(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    content = {"schema_version": SCHEMA_VERSION, **info, "files": files}
    content["fingerprint"] = _fingerprint(content)
    path = folder / name
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return str(content["fingerprint"])


def read_info(folder: Path, name: str, model: type[Info] = Info) -> dict[str, Any]:
    """Read the JSON file of a folder and check that the folder holds what it says, and nothing else.

    Args:
        folder: The folder.
        name: Of its JSON file.
        model: What that says.

    Raises:
        DetectorError: If the file is missing, unreadable or of a newer layout, or if it or any
            file it names is missing or not as it was written; or if the folder holds a link, or a file
            that is not named.
    """
    folder = Path(folder)
    path = folder / name
    if not _is_plain_file(path):
        msg = f"{folder} holds no {name}: nothing was saved there, or not completely."
        raise DetectorError(msg)
    try:
        content = read_json(path, largest=LARGEST_INFO)
    except ConfigError as error:
        msg = f"{error}: the file cannot be read. Copy the folder again."
        raise DetectorError(msg) from error
    if not isinstance(content, dict) or not isinstance(content.get("schema_version"), int):
        msg = f"{path} is not a file oddjet wrote: it has no 'schema_version'."
        raise DetectorError(msg)
    if content["schema_version"] > SCHEMA_VERSION:
        msg = (
            f"{path} has schema_version {content['schema_version']:.9g}, newer than the "
            f"{SCHEMA_VERSION} this oddjet knows. Update oddjet."
        )
        raise DetectorError(msg)
    fingerprint = content.pop("fingerprint", None)
    if fingerprint != _fingerprint(content):
        _refuse_changed(path)
    content["fingerprint"] = fingerprint
    try:
        info = validate(model, content, str(path))
    except ConfigError as error:
        msg = f"{error}\n{folder} cannot be loaded: copy the folder again, or train anew."
        raise DetectorError(msg) from error
    _check_files(folder, name, info.files)
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
    except OddjetError as error:
        if isinstance(error, DetectorError):
            raise
        raise DetectorError(str(error)) from error
    except Exception as error:
        msg = (
            f"{folder} cannot be loaded ({_shown(error)}): its files are not those"
            " that oddjet writes. Copy the folder again or train anew."
        )
        raise DetectorError(msg) from error


@contextlib.contextmanager
def applying(what: str) -> Iterator[None]:
    """Turn what libraries raise where arrays do not fit each other into a `DetectorError`.

    Yields:
        Nothing; the block applies what was fitted or loaded, `what`, to jets.

    Raises:
        DetectorError: If the block raises anything but an error of oddjet's.
    """
    try:
        yield
    except OddjetError:
        raise
    except Exception as error:
        msg = (
            f"{what} cannot be applied to these jets ({_shown(error)}): its code is wrong, or its files are"
            " not those that oddjet wrote. Copy its folder again, or train anew; --debug shows where."
        )
        raise DetectorError(msg) from error


def require_same(where: str, what: str, expected: object, received: object) -> None:
    """Refuse what a file says if it is not what is there.

    Raises:
        DetectorError: If they differ.
    """
    if received != expected:
        msg = (
            f"{where}: expected the {what} {expected!r:.200}. Received: {received!r:.200}. Copy the folder"
            " again, or use the version of its code that saved it."
        )
        raise DetectorError(msg)


def _shown(error: Exception) -> str:
    """Name an error and what it says, on one line."""
    text = " ".join(f"{type(error).__name__}: {error}".split())
    return text if len(text) <= MOST_SHOWN else text[: MOST_SHOWN - 1] + "…"


def _check_files(folder: Path, name: str, files: Mapping[str, str]) -> None:
    """Refuse a folder that holds other files than those with hashes, and its JSON file `name`."""
    present = set(_walk(folder)) - {name}
    if missing := sorted(set(files) - present):
        path = folder / missing[0]
        if ".." in Path(missing[0]).parts or Path(missing[0]).is_absolute():
            msg = f"{folder} names a file outside itself, {missing[0]!r:.80}: it is refused."
            raise DetectorError(msg)
        msg = f"{path} is missing: the folder was saved with it. Copy the whole folder again."
        raise DetectorError(msg)
    if extra := sorted(present - set(files)):
        msg = (
            f"{folder} holds {len(extra)} files that were not saved with it, {extra[0]!r:.80} for one: it is"
            " refused. Remove them, or copy the folder again."
        )
        raise DetectorError(msg)
    unpacked = packed = 0
    for file, expected in files.items():
        path = folder / file
        if _sha256_of(path) != expected:
            _refuse_changed(path)
        unpacked += unpacked_size(path, error=DetectorError)
        packed += path.stat().st_size
    if unpacked > max(LARGEST_FOLDER, EXPANSION * packed):
        msg = (
            f"{folder}: {packed / 2**20:.3g} MiB would unpack to {unpacked / 2**20:,.0f} MiB: oddjet writes no"
            " such folder, and it is refused."
        )
        raise DetectorError(msg)


def _walk(folder: Path, prefix: str = "") -> Iterator[str]:
    """Name the files in a folder and in those in it."""
    with os.scandir(folder) as scanned:
        entries = list(scanned)
    for entry in entries:
        name = prefix + entry.name
        if entry.is_symlink():
            msg = (
                f"{folder}: {entry.name!r:.80} is a link, perhaps to a file outside itself: the folder is"
                " refused. Copy it with `cp -rL`."
            )
            raise DetectorError(msg)
        if entry.is_dir(follow_symlinks=False):
            if prefix.count("/") == DEEPEST:
                msg = f"{folder}: folders inside folders, deeper than oddjet writes: it is refused."
                raise DetectorError(msg)
            yield from _walk(folder / entry.name, f"{name}/")
        elif entry.is_file(follow_symlinks=False):
            yield name
        else:
            msg = f"{folder}: {entry.name!r:.80} is neither a file nor a folder: it is refused."
            raise DetectorError(msg)


def _is_plain_file(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        return False


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


def _sha256_of(path: Path) -> str:
    return checksum_of(path, "sha256").partition(":")[2]
