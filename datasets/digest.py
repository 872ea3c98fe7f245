"""Keys made of content: what went into a file decides whether it can be used again."""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import json
from pathlib import Path
from typing import Any

__all__ = ["content_key", "source_digest"]


def content_key(content: Any, *, length: int = 20) -> str:
    """Hash anything JSON can hold.

    Args:
        content: Mappings, sequences, strings, numbers, ``None``; other objects by their ``str``.
        length: Number of hexadecimal digits returned.

    Returns:
        The first digits of the SHA-256 of the canonical JSON text.

    >>> content_key({"a": 1, "b": 2}) == content_key({"b": 2, "a": 1})
    True
    """
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:length]


@functools.cache
def source_digest(*modules: str) -> str:
    """Hash the source of modules and whole packages.

    Args:
        modules: Importable names; a package counts with every ``.py`` file below it.

    Returns:
        Hexadecimal SHA-256 over file names and contents, in sorted order.

    Raises:
        ModuleNotFoundError: A name cannot be found.
    """
    digest = hashlib.sha256()
    for module in sorted(modules):
        spec = importlib.util.find_spec(module)
        if spec is None or spec.origin is None:
            msg = f"no source for module {module!r}"
            raise ModuleNotFoundError(msg)
        origin = Path(spec.origin)
        is_package = origin.name == "__init__.py"
        for path in sorted(origin.parent.rglob("*.py")) if is_package else [origin]:
            digest.update(f"{module}:{path.relative_to(origin.parent)}\0".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()
