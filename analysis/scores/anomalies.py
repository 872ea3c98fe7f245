"""The most anomalous jets of a scores table, with everything needed to find them again."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from oddjet.errors import ConfigError, InputError, NonFiniteError, did_you_mean

__all__ = ["AnomalousJet", "most_anomalous"]

REQUIRED = (
    "dataset",
    "run",
    "luminosityBlock",
    "event",
    "file_id",
    "entry",
    "jet_index",
    "pt",
    "mass",
)


@dataclasses.dataclass(frozen=True)
class AnomalousJet:
    """One jet, where it is and how anomalous it is.

    Attributes:
        place: 1 for the most anomalous.
        dataset: Dataset.
        run: Run.
        luminosityBlock: Luminosity block.
        event: Event.
        file_id: The file's uuid.
        file: The file's path, where it is known.
        entry: Entry of the event in the file.
        jet_index: Position of the jet in its collection.
        pt: Transverse momentum [GeV].
        mass: Mass [GeV].
        msoftdrop: Soft-drop mass [GeV], None where the source has none.
        eta: Pseudorapidity, None where the table has none.
        phi: Azimuth, None where the table has none.
        score: The score that ranks.
        label: The truth label, None where the table has none.
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
    def cell(name: str) -> Any:
        return np.asarray(table[name])[row]

    def number(name: str) -> float | None:
        return float(cell(name)) if name in table else None

    file_id = str(cell("file_id"))
    return AnomalousJet(
        place=place,
        dataset=str(cell("dataset")),
        run=int(cell("run")),
        luminosityBlock=int(cell("luminosityBlock")),
        event=int(cell("event")),
        file_id=file_id,
        file=files.get(file_id, ""),
        entry=int(cell("entry")),
        jet_index=int(cell("jet_index")),
        pt=float(cell("pt")),
        mass=float(cell("mass")),
        msoftdrop=number("msoftdrop"),
        eta=number("eta"),
        phi=number("phi"),
        score=score,
        label=int(cell("label")) if "label" in table else None,
        row=row,
    )
