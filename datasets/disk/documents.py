"""JSON and YAML files, read with limits of size and depth: settings, records and state alike."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from oddjet.errors import ConfigError, OddjetError
from oddjet.parsing import parse_json, parse_yaml

__all__ = ["LARGEST_JSON", "LARGEST_YAML", "read_json", "read_text", "read_yaml"]

LARGEST_JSON = 512 * 2**20
"""Length of JSON, unpacked [bytes]; a chunk's record in a manifest is about 1000."""
LARGEST_YAML = 16 * 2**20
"""Length of YAML, unpacked [bytes]."""


def read_json(
    path: Path | str, *, error: type[OddjetError] = ConfigError, largest: int = LARGEST_JSON
) -> Any:
    """Read a JSON file, also compressed by gzip (.gz), as nested dicts and lists.

    Args:
        path: The file.
        error: What to raise.
        largest: Length of the text, at most [bytes].

    Raises:
        OddjetError: As `error` says: the file is missing, is longer, is no UTF-8 or no JSON, or `parse_json`
            refuses it.
    """
    return _parsed(parse_json, path, error, largest)


def read_yaml(
    path: Path | str, *, error: type[OddjetError] = ConfigError, largest: int = LARGEST_YAML
) -> Any:
    """Read a YAML file, also compressed by gzip (.gz), as nested dicts and lists.

    Args:
        path: The file.
        error: What to raise.
        largest: Length of the text, at most [bytes].

    Raises:
        OddjetError: As `error` says: the file is missing, is longer, is no UTF-8 or no YAML, or `parse_yaml`
            refuses it.
    """
    return _parsed(parse_yaml, path, error, largest)


def _parsed(
    parse: Callable[[str], Any], path: Path | str, error: type[OddjetError], largest: int
) -> Any:
    text = read_text(path, error=error, largest=largest)
    try:
        return parse(text)
    except ConfigError as problem:
        msg = f"{path}: {problem}"
        raise error(msg) from problem


def read_text(
    path: Path | str, *, error: type[OddjetError] = ConfigError, largest: int = LARGEST_JSON
) -> str:
    """Read a text in UTF-8, also compressed by gzip (.gz).

    Raises:
        OddjetError: As `error` says: the file cannot be read, is no UTF-8, or is longer than `largest` bytes.
    """
    path = Path(path)
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            content = file.read(largest + 1)
        if len(content) <= largest:
            return content.decode()
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as problem:
        msg = f"cannot read {path}: {problem}"
        raise error(msg) from problem
    msg = f"{path}: longer than {largest // 2**20} MiB, which no such file should be"
    raise error(msg)
