"""A place for compiled code and fonts where neither the installation nor the home can be written."""

from __future__ import annotations

import atexit
import os
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

__all__ = ["ensure_caches"]

VARIABLES = ("NUMBA_CACHE_DIR", "MPLCONFIGDIR")
"""Where Numba keeps compiled code and matplotlib its list of fonts; workers inherit them."""


def ensure_caches() -> None:
    """Let libraries cache in a temporary folder where they could not cache at all.

    Numba refuses to compile what it cannot keep: it looks for a place beside the source, then in the
    home. The folder is removed when this process ends; until then its workers share it.
    """
    if _can_write(_user_cache()) or all(name in os.environ for name in VARIABLES):
        return
    numba = find_spec("numba")
    sources = [Path(__file__), *([Path(numba.origin)] if numba and numba.origin else [])]
    if all(_can_write(source.parent / "__pycache__") for source in sources):
        return
    from tempfile import mkdtemp  # noqa: PLC0415 (importing the package stays quick)

    try:
        folder = mkdtemp(prefix="oddjet-cache-")
    except OSError:
        return
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    for name in VARIABLES:
        os.environ.setdefault(name, folder)
    if "numba" in sys.modules:  # it has read its settings already
        sys.modules["numba"].config.CACHE_DIR = os.environ["NUMBA_CACHE_DIR"]


def _user_cache() -> Path:
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "numba"
    except RuntimeError:  # there is no home
        return Path("/nonexistent")


def _can_write(folder: Path) -> bool:
    """Whether a folder, or the nearest one that exists above it, can be written."""
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    return existing.is_dir() and os.access(existing, os.W_OK | os.X_OK)
