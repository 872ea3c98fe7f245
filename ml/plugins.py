"""Classes named by a string: `"package.module:Class"`."""

from __future__ import annotations

from collections.abc import Mapping

from oddjet.errors import DetectorError, OddjetError, look_up
from oddjet.registry import load_class

__all__ = ["class_path", "import_class", "named_class"]


def class_path(cls: type) -> str:
    """Write a class as `"module:Class"`, which `import_class` reads back."""
    return f"{cls.__module__}:{cls.__qualname__}"


def import_class(path: str, base: type) -> type:
    """Import a class by its path `package.module:Class`, and check that it is a subclass of `base`.

    Raises:
        DetectorError: If the path cannot be read, the module not imported, the class not found,
            or if it is not a subclass of `base` or lacks methods of it.
    """
    return load_class(path, base, DetectorError)


def named_class(
    known: Mapping[str, str],
    name: str,
    base: type,
    what: str,
    *,
    error: type[OddjetError] = DetectorError,
) -> type:
    """Import the class of a registered name, or one that is named by its path.

    Raises:
        OddjetError: If there is no such name, as `error` says; else as of `import_class`.
    """
    if ":" not in name:
        more = "; or write 'their_package.module:Class'"
        name = look_up(known, name, what, error=error, more=more)
    return import_class(name, base)
