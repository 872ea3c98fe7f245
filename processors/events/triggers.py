"""Triggers: did one of these paths fire?"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, field_validator

from oddjet.bounds import Line
from oddjet.errors import MissingBranchError
from oddjet.problems import Settings

__all__ = ["Triggers", "find_triggers", "notes_of_triggers", "passes_triggers"]

_SUFFIX = "_v*"


class Triggers(Settings):
    """HLT paths of which one must have fired; in a configuration a list of paths is enough.

    NanoAOD names paths without their version, so a trailing ``_v*``, as trigger menus write it,
    is taken off. Otherwise names are exact.

    Attributes:
        paths: The paths; none for no trigger.
        missing: What a path does that a file does not have: `refuse` the file, or count as `not_fired`. At
            least one file must have each path.
    """

    paths: tuple[Line, ...] = Field(default=(), max_length=10_000)
    missing: Literal["refuse", "not_fired"] = "refuse"

    @field_validator("paths")
    @classmethod
    def _check_paths(cls, paths: tuple[str, ...]) -> tuple[str, ...]:
        for path in paths:
            if not path.startswith("HLT_"):
                msg = f"expected names that begin with HLT_; received {path!r}"
                raise ValueError(msg)
        return tuple(path.removesuffix(_SUFFIX) for path in paths)

    @property
    def cut(self) -> str:
        """Name of the cut in the cut flow."""
        return "trigger" if self.missing == "refuse" else "trigger (missing paths: not fired)"

    def branches(self, available: Collection[str]) -> tuple[str, ...]:
        """The branches to read of a file: all, or those it has where others count as not fired."""
        if self.missing == "refuse":
            return self.paths
        return tuple(path for path in self.paths if path in available)


def find_triggers(available: Collection[str], triggers: Triggers, *, where: str = "") -> None:
    """Check that a file has the paths.

    Raises:
        MissingBranchError: If paths are not in the file and do not count as not fired; the message lists
            them and what comes close. A path that is missing from one period of data would silently
            lower its efficiency.
    """
    missing = [path for path in triggers.branches(available) if path not in available]
    if missing:
        listed = f"[{', '.join(triggers.paths)}]"
        msg = (
            f"{where + ': ' if where else ''}no such trigger: {_hints(missing, available)}; list only paths that"
            f" all files have, or let a missing path count as not fired, with triggers: {{paths: {listed},"
            " missing: not_fired} in the selection"
        )
        raise MissingBranchError(msg)


def notes_of_triggers(
    triggers: Triggers, datasets: Mapping[str, Mapping[str, Collection[str]]]
) -> dict[str, tuple[str, ...]]:
    """Say which paths count as not fired, and where: dataset to a sentence a path.

    Raises:
        MissingBranchError: If no file at all has a path, or no file of a dataset has any: it is mistyped, or
            nothing of the dataset could pass.
    """
    notes: dict[str, tuple[str, ...]] = dict.fromkeys(datasets, ())
    if triggers.missing == "refuse":
        return notes
    union = {
        name for files in datasets.values() for branches in files.values() for name in branches
    }
    if nowhere := [path for path in triggers.paths if path not in union]:
        msg = f"no file has the trigger: {_hints(nowhere, union)}; correct it or leave it out"
        raise MissingBranchError(msg)
    for name, files in datasets.items():
        lacking = {
            path: [file for file, branches in files.items() if path not in branches]
            for path in triggers.paths
        }
        if files and lacking and all(len(without) == len(files) for without in lacking.values()):
            msg = f"no file of dataset {name} has any of the triggers {', '.join(triggers.paths)}: nothing of it could pass"
            raise MissingBranchError(msg)
        notes[name] = tuple(
            f"{path} is not in {len(without)} of {len(files)} files ({', '.join(without[:3])}"
            f"{', …' if len(without) > 3 else ''}) and counts as not fired there"
            for path, without in lacking.items()
            if without
        )
    return notes


def passes_triggers(events: Any, *, paths: Sequence[str]) -> npt.NDArray[np.bool_]:
    """Find which events fired at least one path of `Triggers.branches`: bool (n_events)."""
    if not paths:
        return np.zeros(len(events), bool)
    fired: npt.NDArray[np.bool_] = np.logical_or.reduce(
        [np.asarray(events[path], bool) for path in paths]
    )
    return fired


def _hints(names: Sequence[str], available: Collection[str]) -> str:
    known = sorted(branch for branch in available if branch.startswith("HLT_"))
    hints = "; ".join(_hint(name, known) for name in names)
    return f"{hints}. There are {len(known)} HLT paths"


def _hint(name: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.6)
    return f"{name} (close: {', '.join(close)})" if close else name
