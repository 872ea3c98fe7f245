"""Ready-made filesets, as YAML files beside this module."""

from __future__ import annotations

from pathlib import Path

from oddjet.errors import ConfigError, did_you_mean

__all__ = ["catalog_names", "catalog_path"]

_FOLDER = Path(__file__).parent


def catalog_names() -> tuple[str, ...]:
    """List the ready-made filesets.

    Returns:
        Names for `load_fileset("catalog:NAME")`.
    """
    return tuple(sorted(path.stem for path in _FOLDER.glob("*.yaml")))


def catalog_path(name: str) -> Path:
    """Find a ready-made fileset.

    Args:
        name: One of `catalog_names()`.

    Returns:
        Its YAML file.

    Raises:
        ConfigError: If there is none of that name.
    """
    names = catalog_names()
    if name not in names:
        msg = f"no catalog {name!r}; there are {', '.join(names)}.{did_you_mean(name, names)}"
        raise ConfigError(msg)
    return _FOLDER / f"{name}.yaml"
