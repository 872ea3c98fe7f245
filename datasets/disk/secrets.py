"""What is secret in URLs, queries (`?authz=…`) and passwords, kept out of files that others may read.

In such a file a mark stands in place of each. Where a job needs them, they are in a file beside it
that only its owner can read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from oddjet.datasets.disk.atomic import atomic_write
from oddjet.datasets.disk.state import require_state, sealed_text, write_state

__all__ = [
    "hide_secrets",
    "is_hidden",
    "private_file",
    "read_with_secrets",
    "without_secrets",
    "write_with_secrets",
]

_URL = re.compile(
    r"(?P<start>[a-z][a-z0-9+.-]*://)(?:(?P<user>[^/?#@:]*):(?P<password>[^/?#@]*)@)?"
    r"(?P<rest>[^?]*)(?:\?(?P<query>.*))?",
    re.IGNORECASE | re.DOTALL,
)
_MARK = re.compile(r"not-stored-[0-9]+")


def hide_secrets(content: Any) -> tuple[Any, dict[str, str]]:
    """Put marks in place of the queries and passwords of all URLs in nested dicts and lists.

    Args:
        content: In JSON types; keys may be URLs as well.

    Returns:
        The same with marks; and mark to secret.

    >>> hide_secrets({"root://h//a.root?authz=x": ["https://me:pw@h/b.root", "/c?d"]})[0]
    {'root://h//a.root?not-stored-1': ['https://me:not-stored-2@h/b.root', '/c?d']}
    """
    marks: dict[str, str] = {}

    def mark(secret: str) -> str:
        if _MARK.fullmatch(secret):  # hidden before
            return secret
        return marks.setdefault(secret, f"not-stored-{len(marks) + 1}")

    return _replaced(content, mark), {name: secret for secret, name in marks.items()}


def without_secrets(content: Any) -> Any:
    """Give the first of what `hide_secrets` gives: for what is stored for good."""
    return hide_secrets(content)[0]


def is_hidden(url: str) -> bool:
    """Whether something of a URL was put away by `hide_secrets`.

    >>> is_hidden("root://h//a.root?not-stored-1"), is_hidden("root://h//a.root?authz=x")
    (True, False)
    """
    match = _URL.fullmatch(url)
    parts = (match["password"], match["query"]) if match else ()
    return any(_MARK.fullmatch(part) for part in parts if part)


def private_file(path: Path) -> Path:
    """Name the file of the secrets that belong to a JSON file."""
    return path.with_suffix(".secrets.json")


def write_with_secrets(path: Path, content: Any) -> bool:
    """Write JSON without secrets, and these, if there are any, beside it for the owner's eyes alone.

    Returns:
        Whether there are any.
    """
    content, secrets = hide_secrets(content)
    private = private_file(path)
    if secrets:
        with atomic_write(private) as temporary:
            temporary.chmod(0o600)
            temporary.write_text(sealed_text(secrets), encoding="utf-8")
    else:
        private.unlink(missing_ok=True)
    write_state(path, content)
    return bool(secrets)


def read_with_secrets(path: Path) -> Any:
    """Read what `write_with_secrets` wrote; marks stay where the secrets are gone.

    Raises:
        ConfigError: If it cannot be read, or is not what was written.
    """
    remedy = "give the folder of `oddjet submit`, or submit again into another"
    content = require_state(path, remedy=remedy)
    private = private_file(path)
    secrets = require_state(private, remedy=remedy) if private.exists() else {}
    if not secrets:
        return content
    return _replaced(content, lambda name: str(secrets.get(name, name)))


def _replaced(content: Any, change: Any) -> Any:
    """Change the queries and passwords of URLs."""
    if isinstance(content, Mapping):
        return {_replaced(k, change): _replaced(v, change) for k, v in content.items()}
    if isinstance(content, list | tuple):
        return [_replaced(item, change) for item in content]
    if not isinstance(content, str) or not (match := _URL.fullmatch(content)):
        return content
    user = "" if match["password"] is None else f"{match['user']}:{change(match['password'])}@"
    query = f"?{change(match['query'])}" if match["query"] else ""
    return f"{match['start']}{user}{match['rest']}{query}"
