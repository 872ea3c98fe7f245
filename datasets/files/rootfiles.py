"""Looking at ROOT files before work is built on them."""

from __future__ import annotations

import functools
import struct
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import uproot
from uproot.behaviors.RNTuple import HasFields

from oddjet.datasets.disk.atomic import atomic_write
from oddjet.datasets.disk.remote import TIMEOUT, is_remote, is_unreachable, open_root
from oddjet.datasets.files.fields import flat_names
from oddjet.datasets.files.history import FileHistory, read_history
from oddjet.errors import BadFileError, ConfigError, InputError, UnreachableError, did_you_mean

__all__ = ["RootFile", "inspect_root", "is_remote", "write_root"]

_BIG_FILE = 1_000_000
"""Files of 2 GB and more add this to their version and have 64-bit positions."""


@dataclass(frozen=True)
class RootFile:
    """A ROOT file that can be read.

    Attributes:
        path: Path or URL as it was asked for.
        uuid: The file's own uuid; a copy has the same.
        size: Bytes, None if a remote source does not state it.
        tree: Name of the tree looked at.
        place: Where it was found: the path, or one of its other places.
        branch_bytes: Uncompressed bytes of each branch of `sorted(branches)`; empty if unknown.
        is_rntuple: Whether the tree is an RNTuple, read through `NtupleFields`.
        titles: What the file says of its jets, by collection: `Jet` are CHS or PUPPI jets.
        history: What it says of the events it was made from.
    """

    path: str
    uuid: str
    size: int | None
    tree: str
    n_entries: int
    branches: frozenset[str]
    place: str = ""
    branch_bytes: Sequence[int] = field(default=(), compare=False, repr=False)
    is_rntuple: bool = False
    titles: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)
    history: FileHistory = field(default_factory=FileHistory)


def inspect_root(
    path: Path | str,
    tree: str = "Events",
    *,
    places: Sequence[str] = (),
    timeout: float = TIMEOUT,
) -> RootFile:
    """Check a ROOT file and describe what is in it.

    Local files are measured first: one that was cut short, by a byte or by half, can often be read
    without an error.

    Args:
        path: Path, or URL for uproot (root://…).
        tree: Name of the tree.
        places: Where to look for it, in this order; the path alone by default.
        timeout: Seconds a server has for an answer.

    Returns:
        What the file is, at the first place where it is whole.

    Raises:
        BadFileError: If the file is missing, empty, not ROOT, shorter than its header says, cannot
            be read, or has no such tree; the message names the trees there are.
        UnreachableError: If no server answered in time.
    """
    problems: list[InputError] = []
    for place in places or (str(path),):
        try:
            return replace(_inspect(place, tree, timeout), path=str(path), place=place)
        except (BadFileError, UnreachableError) as error:
            problems.append(error)
    if len(problems) == 1:
        raise problems[0]
    silent = all(isinstance(problem, UnreachableError) for problem in problems)
    lines = [f"{path} was found at none of {len(problems)} places:", *map(str, problems)]
    raise (UnreachableError if silent else BadFileError)("\n  ".join(lines))


def _inspect(place: str, tree: str, timeout: float) -> RootFile:
    if not is_remote(place):
        _check_header(Path(place))
    try:
        with open_root(place, timeout=timeout) as file:
            size = getattr(file.file.source, "num_bytes", None)
            if size is not None and size < file.file.fEND:
                raise BadFileError(_truncated(place, int(size), int(file.file.fEND)))
            events = _get_tree(file, tree, place)
            fields = flat_names(events)
            names = sorted(fields)
            return RootFile(
                path=place,
                uuid=str(file.file.uuid),
                size=None if size is None else int(size),
                tree=tree,
                n_entries=int(events.num_entries),
                branches=_shared(frozenset(names)),
                branch_bytes=_branch_bytes(events, [fields[name] for name in names]),
                is_rntuple=isinstance(events, HasFields),
                titles=_titles(events),
                history=read_history(file, int(events.num_entries), names),
            )
    except (BadFileError, ConfigError):
        raise
    except Exception as error:
        if is_remote(place) and is_unreachable(error):
            msg = (
                f"{place}: its server does not answer ({_first_line(error)}; timeout {timeout:g} s). What is done so far is"
                " kept: repeat the command once the server is back, or list another under `redirectors`"
            )
            raise UnreachableError(msg) from error
        # uproot has no common base: damage shows as ValueError, TypeError, KeyError,
        # DeserializationError, OSError…
        msg = f"{place} cannot be read as ROOT: {_first_line(error)}"
        raise BadFileError(msg) from error


@functools.lru_cache(maxsize=256)
def _shared(names: frozenset[str]) -> frozenset[str]:
    """Ten thousand files of one kind keep their two thousand names once."""
    return names


def _branch_bytes(events: Any, names: Sequence[str]) -> Sequence[int]:
    try:
        return array("q", [int(events[name].uncompressed_bytes) for name in names])
    except (AttributeError, NotImplementedError, TypeError):
        return ()  # RNTuple does not tell


def _titles(events: Any) -> dict[str, str]:
    """NanoAOD describes a collection in the title of its counter, and of an RNTuple's field."""
    titles = {}
    for jet in ("Jet", "FatJet"):
        name = next((name for name in (f"n{jet}", jet) if name in events), None)
        title = (
            getattr(events[name], "title", "") or getattr(events[name], "description", "")
            if name
            else ""
        )
        if title and not title.startswith(f"n{jet}/"):  # ROOT's own: name and type
            titles[jet] = str(title)
    return titles


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
        known = f"its trees are {', '.join(trees)}" if trees else "it has no trees"
        msg = f"{path} has no tree {tree!r}; {known}.{did_you_mean(tree, trees)}"
        raise BadFileError(msg)
    return file[tree]


def _first_line(error: Exception) -> str:
    text = str(error).strip()
    return f"{type(error).__name__}: {text.splitlines()[0] if text else ''}"


def write_root(path: Path | str, histograms: Mapping[str, Any] | Iterable[tuple[str, Any]]) -> None:
    """Write histograms to a ROOT file, atomically.

    Args:
        path: The file.
        histograms: Name, with folders as in ``signal/mass``, to any histogram that uproot writes:
            of hist or boost-histogram, or a tuple (contents, edges).
    """
    pairs = histograms.items() if isinstance(histograms, Mapping) else histograms
    with atomic_write(path) as temporary, uproot.recreate(temporary) as file:
        for name, histogram in pairs:
            file[name] = histogram
