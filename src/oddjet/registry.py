"""Things by name: those of this package, and those that other packages add through entry points.

A package adds, for example, a detector with these lines in its `pyproject.toml`::

    [project.entry-points."oddjet.detectors"]
    flow = "their_package.flow:FlowDetector"

The groups are `oddjet.detectors`, `oddjet.representations`, `oddjet.decorrelations`, `oddjet.readers`
and `oddjet.functions` (families of background functions).
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.metadata
import logging
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Generic, TypeVar

from oddjet.errors import ConfigError, OddjetError, did_you_mean

__all__ = ["GROUPS", "REGISTRIES", "PlugIn", "Registry", "load_class", "load_object", "plug_ins"]

logger = logging.getLogger(__name__)

T = TypeVar("T")

GROUPS = ("detectors", "representations", "decorrelations", "readers", "functions")
"""What other packages can add; each is a group of entry points, `oddjet.detectors` and so on."""

NAMED_BY_PATH = ("detectors", "representations", "decorrelations")
"""Groups of which a configuration may also name `package.module:Class`."""

PlugIn = importlib.metadata.EntryPoint
"""Name, value (`module:object`) and dist (the package that adds it)."""

REGISTRIES: dict[str, Registry[Any]] = {}
"""The first registry that was made of each group: this package's."""


class Registry(Mapping[str, T], Generic[T]):
    """Name to thing, this package's own first; those of other packages are loaded when asked for.

    A name that this package has stays its own whatever others add, and one that two others add means
    neither: see `clashes`.

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
        REGISTRIES.setdefault(group, self)

    @property
    def added(self) -> dict[str, PlugIn]:
        """What other packages add, by name; without `clashes`."""
        return self._others[0]

    @property
    def clashes(self) -> dict[str, str]:
        """Name to why what another package adds under it is not used."""
        return self._others[1]

    @property
    def _others(self) -> tuple[dict[str, PlugIn], dict[str, str]]:
        return _added(self.group, frozenset(self.own) | frozenset(self._aliases), _import_path())

    def usable(self) -> list[T]:
        """Give everything that can be loaded; what cannot is told in the log and left out."""
        things = []
        for name in self:
            try:
                things.append(self[name])
            except OddjetError as error:
                _tell_once(f"{self.group}: {name} is left out: {error}")
        return things

    def __getitem__(self, name: str) -> T:
        name = self._aliases.get(name, name)
        if name in self.own:
            if name in self.clashes:
                _tell_once(self.clashes[name])
            return self.own[name]
        if name in self.clashes:
            raise ConfigError(self.clashes[name])
        return self._load(self.added[name].value)

    def __iter__(self) -> Iterator[str]:
        yield from self.own
        yield from self.added

    def __len__(self) -> int:
        return len(self.own) + len(self.added)

    def __contains__(self, name: object) -> bool:
        return any(name in names for names in (self.own, self._aliases, *self._others))

    def provider(self, name: str) -> str:
        """Name the package that adds a thing, with its version; empty for this package."""
        return _provider(self.added[name]) if name in self.added else ""


def plug_ins() -> dict[str, list[tuple[str, str]]]:
    """List everything that other packages add, or try to.

    Returns:
        Group to names, each with the package that adds it and its version.
    """
    path = _import_path()
    return {group: [(p.name, _provider(p)) for p in _points(group, path)] for group in GROUPS}


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


def load_class(path: str, base: type[T], error: type[OddjetError] = ConfigError) -> type[T]:
    """Import a class by its path and check what it is.

    Args:
        path: `"package.module:Class"`.
        base: What it must be derived from.
        error: What is raised if that fails.

    Raises:
        OddjetError: As of `load_object`; or it is not a subclass of `base`, or lacks methods of it.
    """
    loaded = load_object(path, error)
    if not (isinstance(loaded, type) and issubclass(loaded, base)):
        wanted = f"{base.__module__}:{base.__qualname__}"
        msg = f"{path!r} must be a subclass of {wanted}. Received: {loaded!r}."
        raise error(msg)
    if lacking := sorted(getattr(loaded, "__abstractmethods__", ())):
        msg = f"{path!r} lacks {', '.join(lacking)}, which every {base.__name__} must have"
        raise error(msg)
    return loaded


def _import_path() -> tuple[str, ...]:
    """Give the path of imports without the working folder that `python -c` and `-m` put before it.

    What lies about there was installed by nobody.
    """
    implicit = [""]
    if not getattr(sys.flags, "safe_path", False):
        with contextlib.suppress(OSError):  # a folder that was removed
            implicit.append(os.path.realpath("."))
    return tuple(sys.path[1:] if sys.path[:1] and sys.path[0] in implicit else sys.path)


@functools.lru_cache(maxsize=64)
def _points(group: str, path: tuple[str, ...]) -> list[PlugIn]:
    """Read the entry points of a group that are found on a path of imports."""
    points: dict[tuple[str, str], PlugIn] = {}
    for package in importlib.metadata.distributions(path=list(path)):
        for point in package.entry_points.select(group=f"oddjet.{group}"):
            # A package that is on the path twice, such as an editable one, counts once.
            points.setdefault((package.name, point.name), point)
    return list(points.values())


@functools.lru_cache(maxsize=64)
def _added(
    group: str, taken: frozenset[str], path: tuple[str, ...]
) -> tuple[dict[str, PlugIn], dict[str, str]]:
    by_name: dict[str, list[PlugIn]] = {}
    for point in _points(group, path):
        by_name.setdefault(point.name, []).append(point)
    added, clashes = {}, {}
    for name, points in by_name.items():
        if name not in taken and len(points) == 1:
            added[name] = points[0]
            continue
        who = " and ".join(f"{_provider(point)} ({point.value})" for point in points)
        other = "a name that oddjet itself has" if name in taken else "the same name"
        clashes[name] = (
            f"{group}: {name!r} is added by {who}, {other}: "
            + ("oddjet's own is used" if name in taken else "neither is used")
            + ". Rename it in their package"
            + (", or name the class: 'package.module:Class'" if group in NAMED_BY_PATH else "")
        )
    return added, clashes


@functools.cache
def _tell_once(text: str) -> None:
    logger.warning("%s", text)


def _provider(point: PlugIn) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist else "an unknown package"
