"""Classes named by a string: `"package.module:Class"`."""

from __future__ import annotations

import importlib

from oddjet.errors import DetectorError, did_you_mean

__all__ = ["class_path", "import_class"]


def class_path(cls: type) -> str:
    """Write a class as `"module:Class"`, which `import_class` reads back."""
    return f"{cls.__module__}:{cls.__qualname__}"


def import_class(path: str, base: type) -> type:
    """Import a class by its path and check what it is.

    Args:
        path: `"package.module:Class"`.
        base: What the class must be derived from.

    Raises:
        DetectorError: If the path cannot be read, the module not imported, the class not found,
            or if it is not a subclass of `base`.
    """
    module_name, _, class_name = path.partition(":")
    if not module_name or not class_name.isidentifier():
        msg = f"expected 'package.module:Class'. Received: {path!r}."
        raise DetectorError(msg)
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        msg = (
            f"cannot import {module_name!r}, named by {path!r}: {error}. Is it installed in the "
            f"environment that runs this, workers included?"
        )
        raise DetectorError(msg) from error
    found = getattr(module, class_name, None)
    if found is None:
        hint = did_you_mean(class_name, vars(module))
        msg = f"module {module_name!r} has no {class_name!r}, named by {path!r}.{hint}"
        raise DetectorError(msg)
    if not (isinstance(found, type) and issubclass(found, base)):
        msg = f"{path!r} must be a subclass of {class_path(base)}. Received: {found!r}."
        raise DetectorError(msg)
    return found
