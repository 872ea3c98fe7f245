"""The scores table on disk: one row a jet, with every score."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import numpy.typing as npt

from oddjet.datasets.disk.checksums import Verify
from oddjet.datasets.skims.manifest import Manifest
from oddjet.datasets.skims.skim import Skim, open_skim
from oddjet.errors import SkimError

__all__ = ["Scores", "describe_strangers", "open_scores"]


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


def describe_strangers(
    scored: Manifest, skim: Manifest | None, detectors: Mapping[str, str | None]
) -> str:
    """Say what a scores table has of another skim or of other detectors than these.

    Args:
        scored: Manifest of the table.
        skim: Of the skim whose jets should be in it; None if not known.
        detectors: Label to fingerprint of each detector whose scores should be in it; None for a
            fingerprint that is not known.

    Returns:
        What differs; empty if nothing does.
    """
    if "skim" not in scored.config:
        return "they are of files of events, not of the skim"
    if skim is not None and (
        scored.config.get("skim_config", skim.config) != skim.config
        or _jets_of(scored) != _jets_of(skim)
    ):
        return "they are of the jets of another skim"
    used = {d["label"]: d["fingerprint"] for d in scored.config.get("detectors", ())}
    if used.keys() != detectors.keys():
        return f"they are of the detectors {', '.join(used)}, not of {', '.join(detectors)}"
    changed = [label for label, known in detectors.items() if known and known != used[label]]
    return f"they are of another training of {', '.join(changed)}" if changed else ""


def _jets_of(manifest: Manifest) -> list[tuple[str, str, str, int, int, int]]:
    """Where the jets of each part come from, and how many they are; the same for a skim and its scores."""
    return sorted(
        (c.dataset, c.file_uuid, c.tree, c.entry_start, c.entry_stop, c.n_jets)
        for c in manifest.chunks
    )


def _to_numpy(column: ak.Array) -> npt.NDArray[Any]:
    if not ak.is_categorical(column):
        return np.asarray(ak.to_numpy(column))
    names = np.asarray(ak.categories(column).to_list(), np.str_)
    values: npt.NDArray[Any] = names[np.asarray(column.layout.index.data)]
    return values
