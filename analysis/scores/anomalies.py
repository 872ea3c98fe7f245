"""The most anomalous jets of a scores table, with everything needed to find them again."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from oddjet.errors import ConfigError, InputError, NonFiniteError, did_you_mean

__all__ = ["AnomalousJet", "most_anomalous"]

REQUIRED: dict[str, type] = {
    "dataset": str,
    "run": int,
    "luminosityBlock": int,
    "event": int,
    "file_id": str,
    "entry": int,
    "jet_index": int,
    "pt": float,
    "mass": float,
}
OPTIONAL: dict[str, type] = {"msoftdrop": float, "eta": float, "phi": float, "label": int}


@dataclasses.dataclass(frozen=True)
class AnomalousJet:
    """One jet, where it is and how anomalous it is.

    Attributes:
        place: 1 for the most anomalous.
        file_id: The file's uuid.
        file: The file's path, empty if unknown.
        entry: Entry of the event in the file.
        jet_index: Position of the jet in its collection.
        pt: Transverse momentum [GeV].
        mass: Mass [GeV].
        msoftdrop: Soft-drop mass [GeV], None if the source has none.
        eta: Pseudorapidity, None if the table has none.
        phi: Azimuth, None if the table has none.
        score: The score that ranks.
        label: The truth label, None if the table has none.
        row: Row in the table that was given.
    """

    place: int
    dataset: str
    run: int
    luminosityBlock: int
    event: int
    file_id: str
    file: str
    entry: int
    jet_index: int
    pt: float
    mass: float
    msoftdrop: float | None
    eta: float | None
    phi: float | None
    score: float
    label: int | None
    row: int

    @property
    def event_id(self) -> str:
        """run:luminosityBlock:event, as event displays want it."""
        return f"{self.run}:{self.luminosityBlock}:{self.event}"

    @property
    def key(self) -> tuple[str, str, int, int]:
        """(dataset, file_id, entry, jet_index): finds the jet in the skim it came from."""
        return (self.dataset, self.file_id, self.entry, self.jet_index)

    def to_dict(self) -> dict[str, Any]:
        """All fields, ready for JSON."""
        return dataclasses.asdict(self)


def most_anomalous(
    table: Mapping[str, npt.ArrayLike],
    column: str,
    *,
    n: int = 10,
    allowed: npt.ArrayLike | None = None,
    files: Mapping[str, str] | None = None,
) -> list[AnomalousJet]:
    """List the jets with the highest scores.

    Equal scores are ordered by dataset, run, luminosity block, event and jet, so that the list
    does not depend on the order of the rows.

    Args:
        table: Columns of a scores table, each of shape (n_jets,).
        column: The score that ranks, higher being more anomalous.
        n: Length of the list; shorter where there are fewer jets.
        allowed: Mask of jets that may be listed, shape (n_jets,); a blinded window's jets are
            kept out with it.
        files: Paths by uuid.

    Raises:
        ConfigError: The table has no such column, or n is below 1.
        InputError: A column that is needed is missing, or lengths differ.
        NonFiniteError: A score that may be listed is NaN or infinite.
    """
    if n < 1:
        msg = f"expected at least one jet to list, received n={n}"
        raise ConfigError(msg)
    names = list(table)
    if column not in names:
        msg = f"the scores table has no column '{column}': it has {', '.join(sorted(names))}."
        raise ConfigError(msg + did_you_mean(column, names))
    missing = [name for name in REQUIRED if name not in names]
    if missing:
        msg = f"the scores table lacks {', '.join(missing)}: it cannot name its jets"
        raise InputError(msg)
    scores = np.asarray(table[column], dtype=np.float64)
    use = np.ones(scores.size, bool) if allowed is None else np.asarray(allowed, dtype=np.bool_)
    if use.shape != scores.shape:
        msg = f"expected a mask of shape {scores.shape}, received {use.shape}"
        raise InputError(msg)
    rows = np.flatnonzero(use)
    if not np.isfinite(scores[rows]).all():
        msg = f"{int((~np.isfinite(scores[rows])).sum())} values of '{column}' are not finite"
        raise NonFiniteError(msg)
    ties = ("jet_index", "event", "luminosityBlock", "run", "dataset")
    keys = [np.asarray(table[name])[rows] for name in ties]
    order = rows[np.lexsort([*keys, -scores[rows]])][:n]
    return [
        _jet(table, int(row), place, float(scores[row]), files or {})
        for place, row in enumerate(order, start=1)
    ]


def _jet(
    table: Mapping[str, npt.ArrayLike], row: int, place: int, score: float, files: Mapping[str, str]
) -> AnomalousJet:
    cells: dict[str, Any] = {
        name: kind(np.asarray(table[name])[row]) if name in table else None
        for name, kind in (REQUIRED | OPTIONAL).items()
    }
    file = files.get(cells["file_id"], "")
    return AnomalousJet(place=place, file=file, score=score, row=row, **cells)
