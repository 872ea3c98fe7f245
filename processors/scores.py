"""The scores table on disk: one row a jet, with every score."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import numpy.typing as npt

from oddjet.datasets.disk.checksums import Verify
from oddjet.datasets.skims.skim import Skim, open_skim
from oddjet.errors import SkimError

__all__ = ["Scores", "open_scores"]


@dataclass(frozen=True)
class Scores(Skim):
    """An open scores table: a skim whose jets have scores and no constituents."""

    @property
    def names(self) -> list[str]:
        """Names of its columns; none if it has no parts."""
        return list(self.fields)

    def columns(
        self,
        names: Sequence[str] | None = None,
        *,
        datasets: str | Iterable[str] | None = None,
        kinds: str | Iterable[str] | None = None,
    ) -> dict[str, npt.NDArray[Any]]:
        """Read columns into memory as NumPy arrays.

        Args:
            names: Columns to read; all if None.
            datasets: Names of datasets; all if None.
            kinds: Kinds of datasets (data, background, signal); all if None.

        Returns:
            Name to values, (n_jets) each, in the same order; names of datasets and files as strings.

        Raises:
            SkimError: If a dataset, kind or column is unknown or a part is damaged.
        """
        jets = self.jets(datasets, columns=names, kinds=kinds)
        return {name: _to_numpy(jets[name]) for name in jets.fields if name != "constituents"}


def open_scores(folder: Path | str, *, verify: Verify = "first") -> Scores:
    """Open a finished scores table; nothing but the manifest is read yet. `verify` is as of `open_skim`.

    Raises:
        SkimError: If there is none, it is not finished, or it is a skim of jets.
    """
    table = open_skim(folder, verify=verify)
    if table.manifest.kind != "scores":
        msg = (
            f"{folder} holds a {table.manifest.kind}, expected a scores table: make one with"
            " `oddjet score`"
        )
        raise SkimError(msg)
    return Scores(folder=table.folder, manifest=table.manifest, verify=verify)


def _to_numpy(column: ak.Array) -> npt.NDArray[Any]:
    if not ak.is_categorical(column):
        return np.asarray(ak.to_numpy(column))
    names = np.asarray(ak.categories(column).to_list(), np.str_)
    values: npt.NDArray[Any] = names[np.asarray(column.layout.index.data)]
    return values
