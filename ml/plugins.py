"""Classes named by a string, `"package.module:Class"`: by the user, who is obeyed, or by a file.

What a file names is looked up among the classes that are known already, and nothing is imported for it
that is not: classes of this package, of entry points, those that the user named in a configuration
(`allow_classes`), and those that are imported anyway.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from oddjet.errors import DetectorError, OddjetError, look_up
from oddjet.registry import REGISTRIES, load_class

__all__ = ["allow_classes", "class_path", "import_class", "named_class", "named_in", "saved_class"]

_ALLOWED: dict[str, None] = {}


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
    """Import the class of a registered name, or one that the user names by its path.

    Raises:
        OddjetError: If there is no such name, as `error` says; else as of `import_class`.
    """
    if ":" not in name:
        more = "; or write 'their_package.module:Class'"
        name = look_up(known, name, what, error=error, more=more)
    return import_class(name, base)


def allow_classes(paths: Iterable[str]) -> None:
    """Let files name these classes from now on: the user named them, as `"package.module:Class"`."""
    _ALLOWED.update(dict.fromkeys(paths))


def named_in(value: object) -> Iterator[str]:
    """Give the paths of classes in what a configuration says, keys and nested values included.

    >>> list(named_in({"name": "theirs.flow:Flow", "hyper_parameters": {"k": 3}}))
    ['theirs.flow:Flow']
    """
    if isinstance(value, str):
        module, colon, name = value.partition(":")
        if colon and name.isidentifier() and all(map(str.isidentifier, module.split("."))):
            yield value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from named_in(key)
            yield from named_in(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from named_in(inner)


def saved_class(group: str, path: object, base: type[Any], *, where: str) -> type[Any]:
    """Find a class that a file names by its path or registered name, without trusting the file.

    Args:
        group: Of the registry of such classes: detectors, representations or decorrelations.
        path: What the file says.
        base: What the class must be derived from, or be.
        where: The file, for messages.

    Raises:
        DetectorError: If the class is of no known package, cannot be imported, or is of another kind.
    """
    if not isinstance(path, str):
        msg = f"{where}: expected the path of a class. Received: {path!r:.80}. Copy it again."
        raise DetectorError(msg)
    registry = REGISTRIES[group]
    if ":" not in path and path in registry:
        path = str(registry[path])
    if path in registry.own.values():
        return import_class(path, base)
    # Classes that share a path are those of a module that was read again: the last one is in use.
    if imported := [cls for cls in _subclasses(_root(base)) if class_path(cls) == path]:
        if issubclass(imported[-1], base):
            return imported[-1]
        msg = (
            f"{where} is of a {imported[-1].__name__}, which is no subclass of {base.__name__}: load it with"
            " oddjet.ml.load."
        )
        raise DetectorError(msg)
    allowed = dict.fromkeys([*(point.value for point in registry.added.values()), *_ALLOWED])
    if path in allowed:
        return import_class(path, base)
    package = path.partition(":")[0].partition(".")[0]
    for other in allowed:
        # A package may offer at its top what it defines below.
        if other.partition(":")[0].partition(".")[0] == package:
            with contextlib.suppress(DetectorError):
                cls = import_class(other, base)
                if class_path(cls) == path:
                    return cls
    msg = (
        f"{where} is of the class {path!r:.100}, which is neither oddjet's, nor of an installed plug-in, nor"
        " named by the configuration: it is not imported, since importing runs its code. If you trust it,"
        " import its module first, or name the class in the configuration."
    )
    raise DetectorError(msg)


def _root(base: type) -> type:
    """Give the class of this package that a class is derived from."""
    return next(cls for cls in reversed(base.__mro__) if cls.__module__.startswith("oddjet."))


def _subclasses(base: type) -> Iterator[type]:
    yield base
    subclasses: list[type] = base.__subclasses__()
    for cls in subclasses:
        yield from _subclasses(cls)
