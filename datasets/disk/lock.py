"""One writer at a time in an output folder."""

from __future__ import annotations

import errno
import fcntl
import json
import logging
import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from oddjet.errors import ProcessingError

__all__ = ["LOCK", "lock_folder"]

logger = logging.getLogger(__name__)

LOCK = ".lock"
"""File that a writer locks. The kernel frees it with its process, however that ends."""

_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL}


@contextmanager
def lock_folder(folder: Path | str) -> Iterator[None]:
    """Keep others from writing into a folder while the block runs.

    Where the file system has no locks, nothing is kept from anybody, and a warning says so.

    The folder is made if it is not there, and removed again if it stays empty.

    Raises:
        ProcessingError: If another process has it.
    """
    path = Path(folder) / LOCK
    is_new = not path.parent.exists()
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = _open_locked(path)
    try:
        yield
    finally:
        # Removed first, then freed: a process that opened it in between sees that it is another file.
        try:
            path.unlink(missing_ok=True)
        finally:
            os.close(descriptor)
        if is_new:
            with suppress(OSError):  # not empty: it is being used
                path.parent.rmdir()


def _open_locked(path: Path) -> int:
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in _NO_LOCKS:
                logger.warning(
                    "%s: no locks here (%s): run nothing else into it", path.parent, error
                )
                return descriptor
            os.close(descriptor)
            msg = f"{path.parent}: {_tell(path)} writes here: wait for it, or give another output"
            raise ProcessingError(msg) from error
        if _is_same(descriptor, path):
            break
        os.close(descriptor)
    about = {
        "pid": os.getpid(),
        "host": platform.node(),
        "since": time.strftime("%Y-%m-%d %H:%M:%S"),
    }
    os.truncate(descriptor, 0)
    os.write(descriptor, json.dumps(about).encode())
    return descriptor


def _is_same(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _tell(path: Path) -> str:
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
        return "process {pid} on {host}, since {since}, also".format(**about)
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return "another process"
