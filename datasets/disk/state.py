"""State that oddjet writes and reads back: JSON objects that hold the SHA-256 of what they say.

What cannot be read, is not what was written, or has another shape counts as absent, so that it is made
again; nobody has to remove a file by hand.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError

from oddjet.datasets.disk.atomic import write_text
from oddjet.datasets.disk.digest import content_key
from oddjet.datasets.disk.documents import read_text
from oddjet.errors import ConfigError
from oddjet.parsing import parse_json
from oddjet.problems import describe_problem

__all__ = [
    "SEAL",
    "DamagedStateError",
    "read_state",
    "require_state",
    "sealed_text",
    "unseal",
    "write_state",
]

logger = logging.getLogger(__name__)

T = TypeVar("T")

SEAL = "sha256"
"""Key of the SHA-256 of everything else that the object says, as `content_key` writes it down."""


class DamagedStateError(ValueError):
    """A file that is no JSON object, or not the one that was written."""


def sealed_text(content: Mapping[str, Any]) -> str:
    """Give an object as JSON text with its seal, which is put last."""
    plain = json.loads(
        json.dumps(content)
    )  # what a reader gets: tuples are lists, keys are strings
    return json.dumps({**plain, SEAL: content_key(plain, length=64)}, indent=1) + "\n"


def write_state(path: Path | str, content: BaseModel | Mapping[str, Any]) -> None:
    """Write an object with its seal, atomically."""
    plain = json.loads(content.model_dump_json()) if isinstance(content, BaseModel) else content
    write_text(path, sealed_text(plain))


def unseal(
    path: Path | str, *, is_old: Callable[[dict[str, Any]], bool] | None = None
) -> dict[str, Any]:
    """Read an object, and compare it with its seal.

    Args:
        path: The file.
        is_old: Says of an object without a seal that older code wrote it, which had none; the others
            are refused.

    Returns:
        The object, without its seal.

    Raises:
        OSError: If it cannot be read.
        DamagedStateError: If it is not JSON, no object, or not the one that was written.
    """
    try:
        Path(path).stat()
        content = parse_json(read_text(path))
    except ConfigError as error:
        if isinstance(error.__cause__, FileNotFoundError):  # removed since
            raise error.__cause__ from None
        msg = f"it is not JSON: {error}"
        raise DamagedStateError(msg) from error
    if not isinstance(content, dict):
        msg = f"expected a JSON object, received {type(content).__name__}"
        raise DamagedStateError(msg)
    seal = content.pop(SEAL, None)
    if seal is None and is_old is not None and is_old(content):
        return content
    if seal != content_key(content, length=64):
        why = "has no SHA-256 of what it says" if seal is None else "is not what was written"
        msg = f"it {why}: it was damaged or changed, or another version of oddjet wrote it"
        raise DamagedStateError(msg)
    return content


def read_state(
    path: Path | str,
    kind: type[T],
    *,
    is_old: Callable[[dict[str, Any]], bool] | None = None,
) -> T | None:
    """Read what `write_state` wrote.

    Args:
        path: The file.
        kind: What it holds: a model, a dataclass, or a type such as ``dict[str, float]``.
        is_old: As of `unseal`.

    Returns:
        The content; None if the file is absent, or, with a warning, if it cannot be used.
    """
    try:
        return TypeAdapter(kind).validate_python(unseal(path, is_old=is_old))
    except FileNotFoundError:
        return None
    except (OSError, DamagedStateError) as error:
        reason = str(error)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"])) or "(top level)"
        reason = f"{place}: {describe_problem(first)}"
    logger.warning("%s cannot be used and counts as absent: %s", path, reason)
    return None


def require_state(path: Path | str, *, remedy: str) -> dict[str, Any]:
    """Read what cannot be made again from elsewhere, such as the description of a job; a seal is optional.

    Raises:
        ConfigError: If it is absent, or not what was written; the message ends with the remedy.
    """
    try:
        return unseal(path, is_old=lambda _: True)
    except OSError as error:
        msg = f"cannot read {path} ({error.strerror}): {remedy}"
        raise ConfigError(msg) from error
    except DamagedStateError as error:
        msg = f"{path} cannot be used ({error}): {remedy}"
        raise ConfigError(msg) from error
