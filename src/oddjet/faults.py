"""Failures that are nobody's mistake in the analysis: full disks, permissions, memory, closed pipes.

`describe_fault` says what each is and how to mend it; the command line shows that in place of a traceback.
"""

from __future__ import annotations

import errno
import functools
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ParamSpec, TypeVar

from oddjet.errors import MachineError, shortened

__all__ = ["describe_fault", "explained", "mend_full_disk"]

P = ParamSpec("P")
T = TypeVar("T")

_ELSEWHERE = "write elsewhere (-o, or output: in the configuration)"
_MENDED: dict[int, str] = {
    errno.ENOSPC: f"the disk is full: free some space, or {_ELSEWHERE}; what is finished is kept",
    errno.EDQUOT: f"your quota is used up: delete files, or {_ELSEWHERE}; what is finished is kept",
    errno.EROFS: f"this file system can only be read: {_ELSEWHERE}",
    errno.EACCES: f"you may not do this there: change the permissions, or {_ELSEWHERE}",
    errno.EPERM: f"you may not do this there: change the permissions, or {_ELSEWHERE}",
    errno.ENOTDIR: f"a file is where a folder should be: move it away, or {_ELSEWHERE}",
    errno.EEXIST: f"something is there already: move it away, or {_ELSEWHERE}",
    errno.EISDIR: f"a folder is where a file should be: move it away, or {_ELSEWHERE}",
    errno.ENOENT: "it is not there: look for a misspelt name, or a folder that was moved",
    errno.ENAMETOOLONG: "the name is longer than the file system takes: write a shorter one",
    errno.ELOOP: "links there lead in a circle: remove one",
    errno.EMFILE: "too many files are open: raise the limit with `ulimit -n`, or use fewer workers",
    errno.ENFILE: "too many files are open on this machine: use fewer workers, or wait",
    errno.EAGAIN: "too many processes: raise the limit with `ulimit -u`, or use fewer workers",
    errno.ENOMEM: "not enough memory: use smaller chunks (chunk_size) or fewer workers",
    errno.EIO: "the disk or its server reports an error: repeat the command, or ask who runs it",
    errno.ESTALE: "the file server has lost the file: repeat the command",
    errno.EFBIG: f"the file is larger than may be written there: {_ELSEWHERE}",
}
_FULL = re.compile(r"No space left|errno[ =]+28\b|\d+ requested and \d+ written")
"""How libraries say that a disk is full, where they keep no errno."""
_MEMORY = "ResourceExhaustedError", "ArrowMemoryError"


def describe_fault(error: BaseException) -> str | None:
    """Say what a failure of the machine is and how to mend it.

    Args:
        error: What was raised; what it was raised from counts too.

    Returns:
        One or two lines; None where it is no such failure.

    >>> print(describe_fault(OSError(28, "No space left on device", "/data/x.parquet")))
    /data/x.parquet: No space left on device
    the disk is full: free some space, or write elsewhere (-o, or output: in the configuration); what is finished is kept
    >>> describe_fault(KeyError("x")) is None
    True
    """
    for cause in _causes(error):
        if (text := _described(cause)) is not None:
            return text
    return None


def _causes(error: BaseException) -> Iterator[BaseException]:
    current: BaseException | None = error
    while current is not None:
        yield current
        current = current.__cause__


def explained(function: Callable[P, T]) -> Callable[P, T]:
    """Make a public function say what a failure of the machine is, by a `MachineError` with the remedy."""

    @functools.wraps(function)
    def call(*args: P.args, **options: P.kwargs) -> T:
        try:
            return function(*args, **options)
        except (OSError, MemoryError, RecursionError, UnicodeError) as error:
            if (text := describe_fault(error)) is None:
                raise
            raise MachineError(text) from error

    return call


def mend_full_disk(text: str) -> str:
    """Give how to mend a full disk, where a message of failures tells of one; else nothing.

    >>> mend_full_disk("2 of 2 chunks failed")
    ''
    """
    return f"\n{_MENDED[errno.ENOSPC]}" if _FULL.search(text) else ""


def _described(error: BaseException) -> str | None:
    name, text = type(error).__name__, shortened(str(error))
    if isinstance(error, BrokenPipeError):
        return "what read the output has ended: nothing more can be written to it"
    if isinstance(error, OSError):
        number = error.errno or (errno.ENOSPC if _FULL.search(str(error)) else None)
        if number in _MENDED:
            files = [os.fsdecode(f) for f in (error.filename, error.filename2) if _is_path(f)]
            if number == errno.EEXIST and any(map(_leads_nowhere, files)):
                return f"{shortened(files[0])}: this link leads nowhere, or in a circle\nremove it, or {_ELSEWHERE}"
            what = error.strerror or text
            where = f"{' and '.join(map(shortened, files))}: " if files else ""
            return f"{where}{shortened(what)}\n{_MENDED[number]}"
        return f"a file or connection failed: {text or name}: repeat the command"
    if isinstance(error, MemoryError) or name in _MEMORY:
        return f"{text or 'Cannot allocate memory'}\n{_MENDED[errno.ENOMEM]}"
    if isinstance(error, RecursionError):
        return "something is nested too deeply: lists and mappings inside each other, or links in a circle"
    if isinstance(error, UnicodeError):
        return f"a name or text cannot be read or written in this encoding: {text}\nuse letters that UTF-8 has, and PYTHONUTF8=1"
    return None


def _leads_nowhere(path: str) -> bool:
    return Path(path).is_symlink() and not Path(path).exists()


def _is_path(name: object) -> bool:
    return isinstance(name, str | bytes)
