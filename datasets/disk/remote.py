"""Files on other machines: opened with timeouts, behind redirectors that may be tried in turn."""

from __future__ import annotations

import asyncio
import concurrent.futures
import errno
import os
import sys
import threading
from collections.abc import Iterator, Sequence
from importlib import import_module
from typing import Any
from urllib.parse import urlsplit

import uproot
from uproot.source.xrootd import XRootDSource

from oddjet.errors import ConfigError, OddjetError, UnreachableError
from oddjet.extras import install_command

__all__ = [
    "TIMEOUT",
    "alternatives",
    "is_remote",
    "is_transient",
    "is_unreachable",
    "open_options",
    "open_root",
    "server_of",
]

TIMEOUT = 60.0
"""Seconds a server has for an answer, unless a dataset says otherwise."""

_LOADING = threading.Lock()
_XROOTD = ("root://", "roots://", "xroot://", "xroots://")
_SILENT = ("operation expired", "connection error", "socket", "stream", "unable to connect")
# These stay as they are however often they are tried: the file or the disk has to be mended first.
_LASTING = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.ENAMETOOLONG}
_LASTING_ERRORS = (
    FileNotFoundError,
    FileExistsError,
    PermissionError,
    IsADirectoryError,
    NotADirectoryError,
)
# asyncio's and concurrent's are classes of their own before Python 3.11.
_SILENCES = (
    UnreachableError,
    ConnectionError,
    TimeoutError,
    asyncio.TimeoutError,
    concurrent.futures.TimeoutError,
)


def is_remote(path: str) -> bool:
    """Whether a path is a URL: names a protocol, such as root://."""
    return "://" in path


def server_of(path: str) -> str:
    """Name the server of a path or URL: protocol, host and port; empty for local files.

    >>> server_of("root://eos.example.org:1094//store/a.root"), server_of("/store/a.root")
    ('root://eos.example.org:1094', '')
    """
    if not is_remote(path):
        return ""
    parts = urlsplit(path)
    return f"{parts.scheme}://{parts.netloc}"


def alternatives(path: str, redirectors: Sequence[str]) -> tuple[str, ...]:
    """Give the places a file can be read from, in the order in which to try them.

    Args:
        path: URL, local path, or a logical name such as /store/… that begins with a slash.
        redirectors: Servers as root://host/ or root://host:port/; none leaves the path alone.

    Returns:
        URLs: the path's own first where it is one.

    >>> alternatives("/store/a.root", ["root://one.org/", "root://two.org"])
    ('root://one.org//store/a.root', 'root://two.org//store/a.root')
    >>> alternatives("root://one.org//store/a.root", ["root://two.org/"])
    ('root://one.org//store/a.root', 'root://two.org//store/a.root')
    >>> alternatives("root://one.org//store/a.root?token=x", ["root://two.org/"])[1]
    'root://two.org//store/a.root?token=x'
    """
    if not redirectors:
        return (path,)
    name = urlsplit(path)._replace(scheme="", netloc="").geturl() if is_remote(path) else path
    behind = [f"{server.rstrip('/')}//{name.lstrip('/')}" for server in redirectors]
    return tuple(dict.fromkeys([path, *behind] if is_remote(path) else behind))


def open_options(path: str, *, timeout: float = TIMEOUT) -> dict[str, Any]:
    """Give the options with which uproot opens a file, so that no read waits for ever.

    XRootD's own limits, half an hour and more by default, are set for the process. uproot's own
    reader is taken: fsspec's keeps handles that stay dead after a server was away.

    Args:
        path: Path or URL.
        timeout: Seconds the server has for an answer.

    Returns:
        Keyword arguments for `uproot.open`.

    Raises:
        ConfigError: If the packages for XRootD are not installed.
    """
    if not path.startswith(_XROOTD):
        return {}
    _limit_xrootd(timeout)
    return {"handler": XRootDSource, "timeout": max(1, round(timeout))}


def open_root(path: str, *, timeout: float = TIMEOUT) -> Any:
    """Open a ROOT file, local or remote: uproot's file, a context manager."""
    # As a key, or uproot would take what follows a colon for the name of an object.
    return uproot.open({path: None}, **open_options(path, timeout=timeout))


def is_transient(error: BaseException) -> bool:
    """Whether trying again may help: after errors of disks and networks, not of contents.

    The errors that caused it count too. False for every error raised on purpose (but
    `UnreachableError`), for missing files, and for full or forbidden disks.
    """
    for cause in _chain(error):
        if isinstance(cause, _SILENCES):
            return True
        if isinstance(cause, (OddjetError, *_LASTING_ERRORS)):
            return False
        if isinstance(cause, OSError):
            return cause.errno not in _LASTING
    return False


def is_unreachable(error: BaseException) -> bool:
    """Whether an error, or one that caused it, is a timeout or a lost connection to a server."""
    for cause in _chain(error):
        if isinstance(cause, _SILENCES):
            return True
        if isinstance(cause, OSError) and any(word in str(cause).lower() for word in _SILENT):
            return True
    return False


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        current = current.__cause__ or current.__context__


def _limit_xrootd(timeout: float) -> None:
    """Set XrdCl's limits; a variable XRD_… that is set in the environment stays as it is."""
    client = _xrootd_client()
    seconds = max(1, round(timeout))
    limits = {
        "RequestTimeout": seconds,
        "StreamTimeout": seconds,
        "ConnectionWindow": seconds,
        "ConnectionRetry": 1,
        "StreamErrorWindow": 0,  # else a server that was away stays away for half an hour
        "TimeoutResolution": 1,
    }
    for name, value in limits.items():
        if f"XRD_{name.upper()}" not in os.environ:
            client.EnvPutInt(name, value)


def _xrootd_client() -> Any:
    """Import XRootD's client so that it looks for symbols in its own libraries first.

    TensorFlow exports symbols of what it bundles to the whole process; a client loaded after it
    would call those and die (xrootd/xrootd#2682).
    """
    deep = getattr(os, "RTLD_DEEPBIND", 0)  # Linux alone has it, and needs it
    with _LOADING:
        flags = sys.getdlopenflags()
        sys.setdlopenflags(flags | deep)
        try:
            return import_module("XRootD.client")
        except ImportError as error:
            msg = f"reading root:// needs more packages: {install_command('xrootd')}"
            raise ConfigError(msg) from error
        finally:
            sys.setdlopenflags(flags)
