"""Changes of nested settings by dotted key."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from oddjet.errors import ConfigError, did_you_mean, shortened

__all__ = ["changed_at"]


def changed_at(data: Any, key: str, value: Any, *, named_by_users: Collection[str] = ()) -> Any:
    """Give a copy of nested dicts and lists with a value at a dotted key.

    Args:
        data: Nested settings.
        key: Such as ``hunt.bin_width`` or ``detectors.0.name``.
        value: What is there then.
        named_by_users: Keys below which names are a user's own: what is not there cannot be changed in part.

    Raises:
        ConfigError: There is no such place.
    """
    return _changed(data, key.split("."), value, key, named_by_users)


def _changed(
    data: Any, path: Sequence[str], value: Any, key: str, named_by_users: Collection[str]
) -> Any:
    if not path:
        return value
    name, *rest = path
    inner = (rest, value, key, named_by_users)
    if isinstance(data, list | tuple) and name.isdecimal() and int(name[:9]) < len(data):
        place = int(name)
        return [*data[:place], _changed(data[place], *inner), *data[place + 1 :]]
    parent = key.removesuffix(".".join(path)).removesuffix(".")
    is_new = isinstance(data, Mapping) and name not in data
    if is_new and rest and parent.rpartition(".")[2] in named_by_users:
        msg = f"{key}: there is no {name!r} in {parent}, but {', '.join(data) or 'nothing'}."
        raise ConfigError(msg + did_you_mean(name, data))
    if isinstance(data, Mapping) or (data is None and not name.isdecimal()):
        return {**(data or {}), name: _changed((data or {}).get(name), *inner)}
    what = "not in the configuration" if data is None else shortened(repr(data))
    if isinstance(data, list | tuple):
        what = f"a list of {len(data)}, counted from 0"
    msg = f"{key}: expected a place in the configuration, but {parent} is {what}: no {name!r} in it"
    raise ConfigError(msg)
