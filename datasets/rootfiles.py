"""Looking at ROOT files before work is built on them."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import uproot

from oddjet.errors import BadFileError, did_you_mean

__all__ = ["RootFile", "inspect_root", "is_remote", "runs_sumw"]

_BIG_FILE = 1_000_000
"""Files of 2 GB and more add this to their version and have 64-bit positions."""


@dataclass(frozen=True)
class RootFile:
    """A ROOT file that can be read.

    Attributes:
        path: Path or URL.
        uuid: The file's own uuid; a copy has the same.
        size: Bytes, None where a remote source does not say.
        tree: Name of the tree looked at.
        n_entries: Its entries.
        branches: Its branches.
    """

    path: str
    uuid: str
    size: int | None
    tree: str
    n_entries: int
    branches: frozenset[str]


def is_remote(path: str) -> bool:
    """Tell whether a path is a URL.

    Args:
        path: Path or URL.

    Returns:
        Whether it names a protocol, such as root://.
    """
    return "://" in path


def inspect_root(path: Path | str, tree: str = "Events") -> RootFile:
    """Check a ROOT file and tell what is in it.

    Local files are measured first: one that was cut short, by a byte or by half, can often be read
    without an error.

    Args:
        path: Path, or URL for uproot (root://…).
        tree: Name of the tree.

    Returns:
        What the file is.

    Raises:
        BadFileError: If the file is missing, empty, not ROOT, shorter than its header says, cannot
            be read, or has no such tree; the message names the trees there are.
    """
    path = str(path)
    if not is_remote(path):
        _check_header(Path(path))
    try:
        with uproot.open(path) as file:
            size = getattr(file.file.source, "num_bytes", None)
            if size is not None and size < file.file.fEND:
                raise BadFileError(_truncated(path, int(size), int(file.file.fEND)))
            events = _get_tree(file, tree, path)
            return RootFile(
                path=path,
                uuid=str(file.file.uuid),
                size=None if size is None else int(size),
                tree=tree,
                n_entries=int(events.num_entries),
                branches=frozenset(events.keys(recursive=False)),
            )
    except BadFileError:
        raise
    except Exception as error:
        # uproot has no common base: damage shows as ValueError, TypeError, KeyError,
        # DeserializationError, OSError…
        msg = f"{path} cannot be read as ROOT: {_first_line(error)}"
        raise BadFileError(msg) from error


def runs_sumw(path: Path | str) -> float | None:
    """Sum the generator weights that NanoAOD's Runs tree keeps of all events before any filter.

    Args:
        path: Path, or URL for uproot.

    Returns:
        Σ genEventSumw, or None if the file has no Runs tree or no such branch (data, slimmed
        files).

    Raises:
        BadFileError: If the file cannot be read.
    """
    try:
        with uproot.open(str(path)) as file:
            if "Runs" not in file:
                return None
            runs = file["Runs"]
            # Early NanoAOD wrote an underscore at the end.
            for branch in ("genEventSumw", "genEventSumw_"):
                if branch in runs:
                    return float(np.sum(runs[branch].array(library="np"), dtype=np.float64))
            return None
    except Exception as error:
        msg = f"{path}: the Runs tree cannot be read: {_first_line(error)}"
        raise BadFileError(msg) from error


def _check_header(path: Path) -> None:
    """Compare a local file's size with the end its header gives.

    References:
        ROOT's TFile class documentation, table "header information": bytes 1-4 "root", 5-8 version,
        9-12 fBEGIN, then fEND with 4 bytes, or 8 in files of version 1,000,000 and above.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            header = file.read(20)
    except FileNotFoundError:
        msg = f"{path} does not exist"
        raise BadFileError(msg) from None
    except OSError as error:
        msg = f"{path} cannot be opened: {error.strerror or error}"
        raise BadFileError(msg) from error
    if size == 0:
        msg = f"{path} is empty (0 bytes); fetch it again"
        raise BadFileError(msg)
    if header[:4] != b"root":
        msg = (
            f"{path} is not a ROOT file: it begins with {header[:12]!r}, expected b'root'; a failed download is"
            " often a web page"
        )
        raise BadFileError(msg)
    if len(header) < 20:
        raise BadFileError(_truncated(str(path), size, None))
    version = struct.unpack(">i", header[4:8])[0]
    end = struct.unpack(
        ">q" if version >= _BIG_FILE else ">i", header[12 : 20 if version >= _BIG_FILE else 16]
    )[0]
    if size < end:
        raise BadFileError(_truncated(str(path), size, end))


def _truncated(path: str, size: int, end: int | None) -> str:
    says = "its header is not even whole" if end is None else f"header says {end}"
    return f"{path} is truncated: {size} bytes on disk, {says}; fetch or write it again"


def _get_tree(file: Any, tree: str, path: str) -> Any:
    classes = file.classnames(cycle=False)
    trees = [name for name, kind in classes.items() if kind in {"TTree", "ROOT::RNTuple"}]
    if tree not in trees:
        there = f"its trees are {', '.join(trees)}" if trees else "it has no trees"
        msg = f"{path} has no tree {tree!r}; {there}.{did_you_mean(tree, trees)}"
        raise BadFileError(msg)
    return file[tree]


def _first_line(error: Exception) -> str:
    text = str(error).strip()
    return f"{type(error).__name__}: {text.splitlines()[0] if text else ''}"
