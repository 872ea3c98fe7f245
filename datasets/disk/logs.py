"""A log file in each output folder: what was run there, when, and what was worth a message."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path

from oddjet.errors import without_queries

__all__ = ["LOG", "DiscreetFormatter", "write_log"]

LOG = "oddjet.log"
"""Name of the log in an output folder."""

_logger = logging.getLogger("oddjet")


class DiscreetFormatter(logging.Formatter):
    """A formatter that leaves out the queries and passwords of URLs, which may be tokens."""

    def format(self, record: logging.LogRecord) -> str:
        """Format a record."""
        return without_queries(super().format(record))


class _LogFile(logging.FileHandler):
    """A log that ends where the disk is full: what the step itself cannot write, the step says."""

    def handleError(self, record: logging.LogRecord) -> None:
        """Print no traceback."""

    def close(self) -> None:
        with suppress(OSError):
            super().close()


@contextmanager
def write_log(path: Path | str) -> Iterator[None]:
    """Append the messages of oddjet's loggers to a file while the block runs.

    The first line names the version and the command; an exception that ends the block is the last.
    A folder that was made for the log and holds nothing else after an exception is removed.
    Which messages there are is decided by the level of the logger ``oddjet``, which the command
    line sets to INFO.

    The file is `oddjet.log` of a folder, or another one; it is made if it does not exist.
    """
    path = Path(path)
    if path.suffix != ".log":
        path = path / LOG
    is_new = not path.parent.exists()
    path.parent.mkdir(parents=True, exist_ok=True)
    handler = _LogFile(path, encoding="utf-8")
    handler.setFormatter(DiscreetFormatter("%(asctime)s %(levelname)s %(message)s"))

    def note(level: int, message: str) -> None:
        record = logging.LogRecord(_logger.name, level, __file__, 0, message, None, None)
        handler.handle(record)

    _logger.addHandler(handler)
    try:
        note(logging.INFO, f"oddjet {version('oddjet')}: {' '.join(sys.argv)}")
        yield
    except BaseException as error:
        note(logging.ERROR, f"{type(error).__name__}: {error}")
        if is_new and [*path.parent.iterdir()] == [path]:
            path.unlink()  # nothing was made: no folder is left behind
            path.parent.rmdir()
        raise
    finally:
        _logger.removeHandler(handler)
        handler.close()
