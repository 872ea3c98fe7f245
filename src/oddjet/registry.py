"""Things by name: those of this package, and those that other packages add through entry points.

A package adds, for example, a detector with these lines in its `pyproject.toml`::

    [project.entry-points."oddjet.detectors"]
    flow = "their_package.flow:FlowDetector"

The groups are `oddjet.detectors`, `oddjet.representations`, `oddjet.decorrelations`, `oddjet.readers`
and `oddjet.functions` (families of background functions).
"""

from __future__ import annotations

import functools
import importlib
import importlib.metadata
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Generic, TypeVar

from oddjet.errors import ConfigError, OddjetError, did_you_mean

__all__ = ["GROUPS", "PlugIn", "Registry", "load_object", "plug_ins"]

T = TypeVar("T")

GROUPS = ("detectors", "representations", "decorrelations", "readers", "functions")
"""What other packages can add; each is a group of entry points, `oddjet.detectors` and so on."""

PlugIn = importlib.metadata.EntryPoint
"""Name, value (`module:object`) and dist (the package that adds it)."""


class Registry(Mapping[str, T], Generic[T]):
    """Name to thing, this package's own first; those of other packages are loaded when asked for.

    Args:
        group: One of `GROUPS`.
        own: This package's, by name.
        load: Makes a thing of `"module:object"`, as an entry point gives it.
        aliases: Other names of things, which are not listed.
    """

    def __init__(
        self,
        group: str,
        own: Mapping[str, T],
        *,
        load: Callable[[str], T],
        aliases: Mapping[str, str] | None = None,
    ) -> None:
        self.group = group
        self.own = dict(own)
        self._load = functools.cache(load)
        self._aliases = dict(aliases or {})

    @property
    def added(self) -> dict[str, PlugIn]:
        """What other packages add, by name.

        Raises:
            ConfigError: Two packages add the same name, or one that this package has itself.
        """
        return _added(self.group, frozenset(self.own) | frozenset(self._aliases), tuple(sys.path))

    def __getitem__(self, name: str) -> T:
        name = self._aliases.get(name, name)
        return self.own[name] if name in self.own else self._load(self.added[name].value)

    def __iter__(self) -> Iterator[str]:
        yield from self.own
        yield from self.added

    def __len__(self) -> int:
        return len(self.own) + len(self.added)

    def __contains__(self, name: object) -> bool:
        return name in self.own or name in self._aliases or name in self.added

    def provider(self, name: str) -> str:
        """Name the package that adds a thing, with its version; empty for this package."""
        return _provider(self.added[name]) if name in self.added else ""


def plug_ins() -> dict[str, dict[str, str]]:
    """List everything that other packages add.

    Returns:
        Group to name to the package that adds it, with its version.
    """
    path = tuple(sys.path)
    return {
        group: {point.name: _provider(point) for point in _points(group, path)} for group in GROUPS
    }


def load_object(path: str, error: type[OddjetError] = ConfigError) -> Any:
    """Import an object by its path.

    Args:
        path: `"package.module:object"`.
        error: What is raised if that fails.

    Raises:
        OddjetError: If the path cannot be read, the module not imported, or the object not found.
    """
    module_name, _, name = path.partition(":")
    if not module_name or not name.isidentifier():
        msg = f"expected 'package.module:Class'. Received: {path!r}."
        raise error(msg)
    try:
        module = importlib.import_module(module_name)
    except Exception as problem:
        msg = (
            f"cannot import {module_name!r}, named by {path!r}: {problem}. Is it installed in the "
            f"environment that runs this, workers included?"
        )
        raise error(msg) from problem
    if not hasattr(module, name):
        hint = did_you_mean(name, vars(module))
        msg = f"module {module_name!r} has no {name!r}, named by {path!r}.{hint}"
        raise error(msg)
    return getattr(module, name)


@functools.lru_cache(maxsize=64)
def _points(group: str, path: tuple[str, ...]) -> list[PlugIn]:  # noqa: ARG001
    """Read the entry points of a group; the path of imports decides which there are."""
    points = importlib.metadata.entry_points(group=f"oddjet.{group}")
    # A package that is on the path twice, such as an editable one, gives the same twice.
    return list({(_provider(point), point.name): point for point in points}.values())


@functools.lru_cache(maxsize=64)
def _added(group: str, taken: frozenset[str], path: tuple[str, ...]) -> dict[str, PlugIn]:
    added: dict[str, PlugIn] = {}
    for point in _points(group, path):
        if point.name in taken or point.name in added:
            other = _provider(added[point.name]) if point.name in added else "oddjet itself"
            msg = (
                f"{group}: {_provider(point)} adds {point.name!r} ({point.value}), a name that "
                f"{other} has: remove one of the packages, or name the class by "
                f"'package.module:Class'"
            )
            raise ConfigError(msg)
        added[point.name] = point
    return added


def _provider(point: PlugIn) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist else "an unknown package"
