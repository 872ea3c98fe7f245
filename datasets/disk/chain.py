"""Files to which lines are added and of which none is changed: each line holds the hash of the one before.

A line is a JSON object with the SHA-256 of what it says, that of the line before among it. So a line
that was changed, taken out or put in shows. Lines that were cut off at the end do not: for these, keep
the number of lines and the last hash elsewhere.
"""

from __future__ import annotations

import errno
import fcntl
import json
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from oddjet.datasets.disk.digest import content_key
from oddjet.datasets.disk.documents import read_text
from oddjet.datasets.disk.state import SEAL
from oddjet.errors import OddjetError
from oddjet.parsing import parse_json

__all__ = ["Chain", "add_line", "read_chain"]

logger = logging.getLogger(__name__)

PREVIOUS = "previous"
"""Key of the hash of the line before; empty in the first."""

_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL}


@dataclass(frozen=True)
class Chain:
    """What such a file says.

    Attributes:
        lines: What each line says, without hashes; lines that cannot be read are left out.
        problems: What is wrong, a sentence each; none where the file is as it was written.
        seals: The hash of each whole line, in order.
    """

    lines: tuple[dict[str, Any], ...] = ()
    problems: tuple[str, ...] = ()
    seals: tuple[str, ...] = ()

    @property
    def last(self) -> str:
        """Hash of the last line; empty without one."""
        return self.seals[-1] if self.seals else ""


def read_chain(path: Path | str) -> Chain:
    """Read such a file; one that is not there has no lines.

    Raises:
        ConfigError: It cannot be read, or is no text.
    """
    return _chain(read_text(path)) if Path(path).exists() else Chain()


def add_line(path: Path | str, content: Mapping[str, Any]) -> None:
    """Add a line, after those of others who add some now; what is there is kept, damaged or not.

    Raises:
        OSError: It cannot be written.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b") as file, _locked(file, path):
        file.seek(0)
        text = file.read().decode("utf-8", errors="replace")
        plain = json.loads(json.dumps(content)) | {PREVIOUS: _chain(text).last}
        line = json.dumps({**plain, SEAL: content_key(plain, length=64)})
        # What a writer that was killed left behind stays a line of its own.
        begin = "\n" if text and not text.endswith("\n") else ""
        file.write(f"{begin}{line}\n".encode())
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def _locked(file: IO[bytes], path: Path) -> Iterator[None]:
    """Wait until nobody else writes; the kernel frees the lock with the file."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        logger.warning("%s: no locks here (%s): let one process at a time write it", path, error)
    yield


def _chain(text: str) -> Chain:
    if not text:
        return Chain()
    lines: list[dict[str, Any]] = []
    problems, seals = [], []
    last = ""
    for number, line in enumerate(text.removesuffix("\n").split("\n"), start=1):
        try:
            content = parse_json(line)
        except OddjetError:
            content = None
        if not isinstance(content, dict) or not isinstance(content.get(SEAL), str):
            problems.append(f"line {number} is not whole: it is no JSON object with its SHA-256")
            continue
        seal = content.pop(SEAL)
        previous = content.get(PREVIOUS)
        if seal != content_key(content, length=64):
            problems.append(f"line {number} was changed after it was written")
        if previous != last:
            problems.append(
                f"line {number} does not follow the one before: lines between were taken out, put in or changed"
            )
        del content[PREVIOUS]
        lines.append(content)
        seals.append(seal)
        last = seal
    return Chain(tuple(lines), tuple(problems), tuple(seals))
