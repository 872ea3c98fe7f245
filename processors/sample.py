"""The jets that are hunted in: data, or pseudo-data drawn from simulation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import awkward as ak
import numpy as np
import numpy.typing as npt

from oddjet.datasets.folds import event_hash
from oddjet.processors.pseudodata import ExpectedWeights, draw_events, draw_pseudodata
from oddjet.typing import Bools, Table

__all__ = ["HuntSample"]


@dataclass(frozen=True)
class HuntSample:
    """Which jets of a scores table are hunted in; enough to find them part by part.

    Attributes:
        kind: ``data``, or ``pseudo-data`` drawn from simulation.
        lumi_ifb: Their luminosity [1/fb], None where it is not stated.
        seed: Of the drawing of pseudo-data.
        scales: The datasets that are hunted in, each with the events that a unit weight stands for
            (1 in data). Where None, all jets are hunted in as they are: they were drawn before.
        caveats: What was accepted of their files, and what else every result has to say.
    """

    kind: Literal["data", "pseudo-data"]
    lumi_ifb: float | None
    seed: int | None = None
    scales: dict[str, float] | None = None
    caveats: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """What has to be read of a table to find the jets."""
        return ("run", "luminosityBlock", "event", "weight") if self._is_drawn else ()

    @property
    def _is_drawn(self) -> bool:
        return self.kind == "pseudo-data" and self.scales is not None

    def rows(self, table: Table) -> Bools:
        """Mark the jets of a whole table: (n_jets,).

        Raises:
            OddjetError: Events cannot be drawn; see `draw_pseudodata`.
        """
        if self.scales is None:
            return np.ones(len(next(iter(table.values()))), dtype=np.bool_)
        names = np.asarray(table["dataset"])
        if not self._is_drawn:
            return np.isin(names, list(self.scales))
        scale = np.zeros(names.size)
        for name, factor in self.scales.items():
            scale[names == name] = factor
        return draw_pseudodata(
            np.asarray(table["weight"]) * scale,
            event_hash(table["run"], table["luminosityBlock"], table["event"]),
            names,
            lumi_ifb=self.lumi_ifb or 0.0,
            seed=self.seed or 0,
        )

    def rows_of_part(self, part: Any, dataset: str) -> tuple[Bools, ExpectedWeights]:
        """Mark the jets of a part of a table, whole events of one dataset: the same as among all.

        Beside the mask (n_jets,) there is a summary of the weights, whose sum over all parts has to
        be checked.

        Raises:
            InputError: Jets of one event differ in weight.
        """
        n_jets = len(part["rank"])
        if not self._is_drawn:
            taken = self.scales is None or dataset in self.scales
            return np.full(n_jets, taken), ExpectedWeights()
        weights = _column(part, "weight").astype(np.float64)
        expected = weights * (self.scales or {}).get(dataset, 0.0)
        events = event_hash(*(_column(part, c) for c in ("run", "luminosityBlock", "event")))
        rows = draw_events(expected, events, dataset, self.seed or 0)
        return rows, ExpectedWeights.from_weights(expected)


def _column(part: Any, name: str) -> npt.NDArray[Any]:
    return np.asarray(ak.to_numpy(part[name]))
