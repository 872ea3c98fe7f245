"""Classes named by a string: `"package.module:Class"`."""

from __future__ import annotations

from oddjet.errors import DetectorError
from oddjet.registry import load_class

__all__ = ["class_path", "import_class"]


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
