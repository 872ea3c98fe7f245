"""The command that installs what an optional part needs, by the requirements that are declared for it."""

from __future__ import annotations

import shlex
from importlib.metadata import requires

__all__ = ["install_command"]


def install_command(extra: str) -> str:
    """Give the command that installs the packages of an extra; oddjet itself is on no index.

    Args:
        extra: ``batch``, ``lazy`` or ``xrootd``.

    >>> install_command("lazy")
    "pip install 'dask-awkward>=2025.9'"
    """
    packages = [
        requirement.partition(";")[0].strip()
        for requirement in requires("oddjet") or ()
        if requirement.replace('"', "'").endswith(f"extra == '{extra}'")
    ]
    return shlex.join(["pip", "install", *packages])
