"""Names of a package that are imported when they are used first, so that the package stays light."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

__all__ = ["lazy_names"]


def lazy_names(package: str, homes: Mapping[str, str]) -> Callable[[str], Any]:
    """Make the `__getattr__` of a package.

    Args:
        package: Its `__name__`.
        homes: Name → module below the package that has it.

    Returns:
        A function that imports a name; it raises AttributeError for others.

    >>> lazy_names("oddjet", {"did_you_mean": "errors"})("did_you_mean").__module__
    'oddjet.errors'
    """

    def load(name: str) -> Any:
        if name not in homes:
            msg = f"module {package!r} has no attribute {name!r}"
            raise AttributeError(msg)
        return getattr(import_module(f"{package}.{homes[name]}"), name)

    return load
