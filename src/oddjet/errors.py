"""Every error oddjet raises on purpose, in one tree.

::

    OddjetError
    ├── ConfigError            a configuration or fileset that is invalid
    ├── InputError             something is wrong with an input file or array
    │   ├── BadFileError         not a ROOT file, truncated, unreadable
    │   ├── MissingBranchError   branches the job needs are not in the file
    │   ├── NoConstituentsError  the format does not keep jet constituents
    │   ├── LinkError            an index points outside its collection
    │   ├── BalanceError         constituents do not add up to their jets
    │   ├── DuplicateFileError   the same file (by uuid) given twice
    │   ├── DuplicateEventError  the same event (run, luminosityBlock, event) twice
    │   ├── UnreachableError     a server that does not answer in time
    │   └── NonFiniteError       NaN or infinity in weights, candidates, scores
    ├── SkimError              a skim folder that is incomplete, newer or other than asked for
    ├── ProcessingError        chunks failed, or planned ≠ processed + failed
    │   ├── ChunkTooLargeError   a chunk needs more memory than a worker has
    │   └── MissingDataError     a result that needs whole data, asked of a run with parts missing
    ├── DetectorError          a detector is unknown, broken or misused
    │   ├── UnknownDetectorError
    │   ├── TooFewJetsError      not enough jets to train, calibrate or evaluate
    │   └── TrainedOnError       asked to score events it was trained on
    ├── MachineError           full disk, no permission, too little memory: nothing is wrong with the analysis
    └── FitError               a fit failed, or its input allows none

A message says what was expected, what came, where, and what to do about it.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from typing import TypeVar

__all__ = [
    "BadFileError",
    "BalanceError",
    "ChunkTooLargeError",
    "ConfigError",
    "DetectorError",
    "DuplicateEventError",
    "DuplicateFileError",
    "FitError",
    "InputError",
    "LinkError",
    "MachineError",
    "MissingBranchError",
    "MissingDataError",
    "NoConstituentsError",
    "NonFiniteError",
    "OddjetError",
    "ProcessingError",
    "SkimError",
    "TooFewJetsError",
    "TrainedOnError",
    "UnknownDetectorError",
    "UnreachableError",
    "did_you_mean",
    "look_up",
    "shortened",
    "without_queries",
]

T = TypeVar("T")

_WORD, _LINE, _LINES = 300, 1200, 200
"""Longest word and line of a message, and most lines: a list of names may be long, a value may not."""
_LONGEST_NAME = 200
"""Of what a closest known name is looked for."""
_LONG_WORD = re.compile(rf"\S{{{_WORD + 1},}}")

_PASSWORD = re.compile(r"""([a-z][a-z0-9+.-]*://[^\s/?#@:'"]*):[^\s/?#@'"]*@""", re.IGNORECASE)
# A comma, bracket or full stop belongs to the query only where more of it follows.
_QUERY = re.compile(
    r"""([a-z][a-z0-9+.-]*://[^\s?'"]+)\?[^\s'"]*?(?=[:.,;)\]}]*(?:[\s'"]|$))""", re.IGNORECASE
)


def without_queries(text: str) -> str:
    """Leave out the queries and passwords of URLs, which may be tokens: for what is shown or stored.

    >>> without_queries("root://eos.org//a.root?authz=secret: cannot be read")
    'root://eos.org//a.root: cannot be read'
    """
    return _QUERY.sub(r"\1", _PASSWORD.sub(r"\1@", text)) if "://" in text else text


def shortened(text: str, longest: int = 100) -> str:
    """Leave out the middle of what is longer than a line.

    >>> shortened("a" * 50 + "b" * 50, 11)
    'aaaaa…bbbbb'
    """
    half = (longest - 1) // 2
    return text if len(text) <= longest else f"{text[:half]}…{text[-half:]}"


class OddjetError(Exception):
    """Base of every error raised on purpose; the command line turns it into exit code 1."""

    def __str__(self) -> str:
        """Give the message, without the queries of URLs, and without the middles of endless values."""
        return _bounded(without_queries(super().__str__()))


def _bounded(text: str) -> str:
    """Bound what a message shows, wherever its values come from: words, lines, and their number."""
    if len(text) <= _WORD:
        return text
    text = _LONG_WORD.sub(lambda word: shortened(word[0], _WORD), text)
    lines = [shortened(line, _LINE) for line in text.splitlines()]
    more = len(lines) - _LINES
    return "\n".join(lines if more <= 0 else [*lines[:_LINES], f"and {more} lines more"])


class ConfigError(OddjetError):
    """A configuration or fileset that is invalid: unknown key, wrong value, bad name."""


class InputError(OddjetError):
    """Something is wrong with an input file or array."""


class BadFileError(InputError):
    """A file that is missing, is not ROOT, was cut short or cannot be read."""


class MissingBranchError(InputError):
    """Branches the job needs are not in the file; the message lists them all."""


class NoConstituentsError(InputError):
    """The file's format does not keep jet constituents."""


class LinkError(InputError):
    """An index points outside the collection it belongs to."""


class BalanceError(InputError):
    """The constituents linked to jets do not add up to these jets."""


class DuplicateFileError(InputError):
    """The same file, recognised by its uuid, was given more than once."""


class DuplicateEventError(InputError):
    """The same event, by run, luminosityBlock and event, was read from two places."""


class UnreachableError(InputError):
    """A server that files are read from did not answer in time."""


class NonFiniteError(InputError):
    """NaN or infinity where a finite number is needed."""


class SkimError(OddjetError):
    """A skim folder that is incomplete, newer than this version, or not the one asked for."""


class ProcessingError(OddjetError):
    """Chunks failed, or planned and processed entries do not add up."""


class ChunkTooLargeError(ProcessingError):
    """A chunk needs more memory than a worker has; smaller chunks help."""


class MissingDataError(ProcessingError):
    """A result that is true of whole data alone was asked of a run in which parts are missing."""


class DetectorError(OddjetError):
    """A detector is broken or misused."""


class UnknownDetectorError(DetectorError):
    """No detector has that name."""


class TooFewJetsError(DetectorError):
    """Not enough jets to train, calibrate or evaluate."""


class TrainedOnError(DetectorError):
    """A detector was asked to score events it was trained on."""


class MachineError(OddjetError):
    """The machine refuses: a full disk, no permission, too little memory."""


class FitError(OddjetError):
    """A fit failed, or its input allows none."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Hint at the closest known word.

    Args:
        word: What was written.
        known: What could have been meant.

    Returns:
        A sentence with a leading space, or an empty string when nothing is close.

    >>> did_you_mean("luni_ifb", ["lumi_ifb", "year"])
    " Did you mean 'lumi_ifb'?"
    >>> did_you_mean("qqq", ["lumi_ifb"])
    ''
    """
    names = list(known) if len(word) <= _LONGEST_NAME else []
    close = [name for name in names if name.casefold() == word.casefold()]
    close = close or difflib.get_close_matches(word, names, n=1, cutoff=0.6)
    return f" Did you mean '{close[0]}'?" if close else ""


def look_up(
    known: Mapping[str, T],
    name: str,
    what: str,
    *,
    error: type[OddjetError] = ConfigError,
    more: str = "",
) -> T:
    """Give what has a name.

    Args:
        known: Name → thing.
        name: Which.
        what: What such a thing is called in the message, and where it is looked for.
        error: Raised if there is no such name; its message lists those that there are.
        more: A further possibility, for the end of the message.

    Raises:
        OddjetError: As `error` says.
    """
    if name not in known:
        names = ", ".join(known) or "none"
        msg = f"unknown {what} {name!r}.{did_you_mean(name, known)} Known: {names}{more}."
        raise error(msg)
    return known[name]
