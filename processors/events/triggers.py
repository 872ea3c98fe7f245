"""Triggers: did one of these paths fire?"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from oddjet.errors import MissingBranchError

__all__ = ["find_triggers", "passes_triggers"]

_SUFFIX = "_v*"


def find_triggers(
    available: Collection[str], paths: Sequence[str], *, where: str = ""
) -> tuple[str, ...]:
    """Find the branches of HLT paths.

    NanoAOD names paths without their version, so a trailing ``_v*``, as trigger menus write it,
    is taken off. Otherwise names are exact.

    Args:
        available: The file's branches.
        paths: HLT paths.
        where: The file, for the message.

    Returns:
        One branch a path.

    Raises:
        MissingBranchError: If paths are not in the file; the message lists them and what comes close. A
            path that is missing from one period of data would silently lower its efficiency.
    """
    branches = tuple(path.removesuffix(_SUFFIX) for path in paths)
    missing = [branch for branch in branches if branch not in available]
    if missing:
        known = sorted(branch for branch in available if branch.startswith("HLT_"))
        hints = "; ".join(_hint(name, known) for name in missing)
        msg = (
            f"{where + ': ' if where else ''}no such trigger: {hints}. The file has"
            f" {len(known)} HLT paths; list only paths that all files of the dataset have"
        )
        raise MissingBranchError(msg)
    return branches


def passes_triggers(events: Any, *, paths: Sequence[str]) -> npt.NDArray[np.bool_]:
    """Find which events fired at least one path.

    Args:
        events: Anything that gives a branch for its name.
        paths: Branches, as `find_triggers` gives them; at least one.

    Returns:
        bool (n_events).
    """
    fired: npt.NDArray[np.bool_] = np.logical_or.reduce(
        [np.asarray(events[path], bool) for path in paths]
    )
    return fired


def _hint(name: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.6)
    return f"{name} (close: {', '.join(close)})" if close else name
