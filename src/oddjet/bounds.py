"""How large settings may be: what a machine can do, and a file name can hold.

Limits are far beyond what analyses use. They are there so that a slip (a bin width of 1e-7, 10¹¹ toys) is refused
when it is read, with the limit, and not after hours or by the system.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, TypeAlias

from pydantic import AfterValidator, Field

__all__ = [
    "LARGEST_SEED",
    "MOST_BINS",
    "MOST_CELLS",
    "MOST_EVENTS",
    "MOST_PROCESSES",
    "MOST_TOYS",
    "MOST_WINDOWS",
    "MOST_WORKERS",
    "FolderPath",
    "Line",
    "Luminosity",
    "Name",
    "Seed",
    "refuse_long_path",
    "refuse_more",
]

LARGEST_SEED = 2**32 - 1
MOST_TOYS = 10_000_000
MOST_BINS = 10_000
"""Of one axis."""
MOST_CELLS = 10_000_000
"""Of one histogram."""
MOST_WINDOWS = 200_000
"""Of one scan."""
MOST_WORKERS = 10_000
"""Jobs of a pool."""
MOST_PROCESSES = 512
"""Workers on one machine."""
MOST_EVENTS = 10**12
_LONGEST_PART, _LONGEST_PATH = 240, 3000
"""Of paths, below what file systems take (255, 4096): names of files and endings come behind [bytes]."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def _is_line(text: str) -> str:
    if _CONTROL.search(text):
        msg = "expected one line without control characters"
        raise ValueError(msg)
    return text


def refuse_long_path(path: Path) -> Path:
    """Give a path back that file systems take, with names of files below it.

    Raises:
        ValueError: It is too long, or a part of it, or it has control characters.
    """
    _is_line(str(path))
    longest = max((len(part.encode(errors="replace")) for part in path.parts), default=0)
    if longest > _LONGEST_PART or len(str(path)) > _LONGEST_PATH:
        msg = (
            f"a path is longer than file systems take: expected at most {_LONGEST_PATH} characters, "
            f"and {_LONGEST_PART} bytes from / to /"
        )
        raise ValueError(msg)
    return path


def refuse_more(n: int, most: int, what: str) -> None:
    """Refuse more than there may be.

    Raises:
        ValueError: There are; the message says what, how many, and the limit.
    """
    if n > most:
        msg = f"{n} {what}: expected at most {most}"
        raise ValueError(msg)


Seed: TypeAlias = Annotated[int, Field(ge=0, le=LARGEST_SEED)]
Luminosity: TypeAlias = Annotated[float, Field(gt=0, le=1e6, allow_inf_nan=False)]
"""[1/fb]."""
Line: TypeAlias = Annotated[str, Field(max_length=200), AfterValidator(_is_line)]
"""Text for a title or a legend."""
Name: TypeAlias = Annotated[str, Field(max_length=200, pattern=r"^[A-Za-z0-9_.:-]*$")]
"""Of a thing in a registry, or of a score."""
FolderPath: TypeAlias = Annotated[Path, AfterValidator(refuse_long_path)]
"""Folder that is written to."""
