"""Writing files so that a reader never meets half of one."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["atomic_write", "require_no_folder", "write_text"]


@contextmanager
def atomic_write(path: Path | str) -> Iterator[Path]:
    """Give a temporary path in the same folder, and put it in place when the block ends well.

    The temporary name starts with a dot and ends as the final name does, so that writers that look
    at the suffix work. If the block raises, the temporary file is removed and what was at `path`
    stays. Folders are made as needed.

    Yields:
        The path to write to.

    Raises:
        OSError: If nothing can be written there, before the block where that is known; it names `path`.

    >>> import tempfile
    >>> target = Path(tempfile.mkdtemp()) / "new" / "a.txt"
    >>> with atomic_write(target) as temporary:
    ...     _ = temporary.write_text("whole")
    >>> target.read_text(), len(list(target.parent.iterdir()))
    ('whole', 1)
    """
    path = Path(path)
    require_no_folder(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        handle, name = tempfile.mkstemp(
            prefix=f".{path.stem}.", suffix=path.suffix, dir=path.parent
        )
    except OSError as error:
        error.filename = str(path)  # a name that its owner knows
        raise
    os.close(handle)
    temporary = Path(name)
    try:
        # mkstemp makes files that only their owner can read; results are to be shared.
        temporary.chmod(0o666 & ~_umask())
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.replace(path)
    except OSError as error:
        if str(error.filename) == name:
            error.filename, error.filename2 = str(path), None
        raise
    finally:
        temporary.unlink(missing_ok=True)


def require_no_folder(path: Path) -> None:
    """Refuse a folder in the place of a file that is to be written.

    Raises:
        IsADirectoryError: If there is one.
    """
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))


def write_text(path: Path | str, text: str) -> None:
    """Write a text file atomically, in UTF-8."""
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _umask() -> int:
    umask = os.umask(0)
    os.umask(umask)
    return umask
