"""The jets that are hunted in: data, or pseudo-data drawn from simulation; never what was learned on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import awkward as ak
import numpy as np
import numpy.typing as npt

from oddjet.datasets.folds import event_hash, held_out
from oddjet.datasets.skims.manifest import Manifest
from oddjet.errors import ConfigError, SkimError
from oddjet.processors.blinding import EVENT, Part
from oddjet.processors.pseudodata import ExpectedWeights, draw_events, draw_pseudodata
from oddjet.typing import Bools, Floats, Table

__all__ = ["MOST_DRAWN", "HeldOut", "HuntSample"]

MOST_DRAWN = 0.8
"""Largest weight of an event of a known peak in pseudo-data: the template is made of events that are not drawn."""


@dataclass(frozen=True)
class HeldOut:
    """The events that detectors, thresholds and maps were not learned on.

    Attributes:
        share: Share of the events of `datasets` that was held out from learning.
        datasets: Those that something was learned on, `""` for all; of others all events are fresh.
        calibrating: The datasets that maps were learned on, or thresholds where there are no maps.
        n_calibrating: Effective jets of these, of all masses, that the fewest were learned on.
    """

    share: float = 1.0
    datasets: tuple[str, ...] = ()
    calibrating: tuple[str, ...] = ()
    n_calibrating: float = 0.0

    @classmethod
    def from_detectors(
        cls, detectors: Iterable[tuple[float, Mapping[str, Mapping[str, Any]]]]
    ) -> HeldOut:
        """Take what no detector was learned on: shares are nested.

        Args:
            detectors: The share that it held out, and what `Learned.to_dict` gives of its `detectors`,
                `thresholds` and `maps`.
        """
        used = [(share, learned) for share, learned in detectors if learned]
        names = {n for _, learned in used for on in learned.values() for n in on["datasets"]}
        last = [learned.get("maps") or learned.get("thresholds") for _, learned in used]
        maps = [on for on in last if on is not None]
        return cls(
            min((share for share, _ in used), default=1.0),
            tuple(sorted(names)),
            tuple(sorted({name for on in maps for name in on["datasets"]})),
            min((float(on["n_effective"]) for on in maps), default=0.0),
        )

    @classmethod
    def from_manifest(cls, manifest: Manifest, folder: Path | str) -> HeldOut:
        """Take what no detector of a scores table was learned on.

        Raises:
            SkimError: If its detectors held nothing out.
        """
        detectors = manifest.config.get("detectors") or ()
        if any("held_out" not in detector for detector in detectors):
            msg = (
                f"{folder} was scored with detectors that held no events out: the jets that thresholds and maps were "
                f"learned on would be hunted in and judged. Train again and score again: `oddjet run`, or `oddjet "
                f"train` and `oddjet score`"
            )
            raise SkimError(msg)
        return cls.from_detectors((d["held_out"], d["learned"]) for d in detectors)

    @property
    def columns(self) -> tuple[str, ...]:
        """What has to be read of a table to find the fresh jets."""
        return ("dataset", *EVENT) if self.datasets else ()

    def only(self, names: Iterable[str]) -> HeldOut:
        """Look for fresh events in these datasets alone."""
        learned = tuple(name for name in names if self.learned_on(name))
        return replace(self, datasets=learned)

    def learned_on(self, dataset: str) -> bool:
        """Whether something was learned on a dataset."""
        return dataset in self.datasets or "" in self.datasets

    def share_of(self, dataset: str) -> float:
        """Share of the events of a dataset that are fresh."""
        return self.share if self.learned_on(dataset) else 1.0

    def rows(self, events: npt.NDArray[np.uint64], dataset: str) -> Bools:
        """Mark the fresh jets of a dataset by their event hashes (n,)."""
        if not self.learned_on(dataset):
            return np.ones(len(events), np.bool_)
        return held_out(events, self.share)

    def rows_of_table(self, table: Table) -> Bools:
        """Mark the fresh jets of a table with `columns`: (n_jets,)."""
        if not self.datasets:
            return np.ones(len(next(iter(table.values()))), np.bool_)
        names = np.asarray(table["dataset"])
        fresh = np.ones(names.size, np.bool_)
        for name in np.unique(names):
            rows = np.flatnonzero(names == name)
            events = event_hash(*(np.asarray(table[column])[rows] for column in EVENT))
            fresh[rows] = self.rows(events, str(name))
        return fresh


@dataclass(frozen=True)
class HuntSample:
    """Which jets of a scores table are hunted in; enough to find them part by part.

    Attributes:
        kind: ``data``, or ``pseudo-data`` drawn from simulation.
        lumi_ifb: Their luminosity [1/fb], None where it is not stated; that of the held-out share of data
            that something was learned on.
        seed: Of the drawing of pseudo-data.
        scales: The datasets that are hunted in, each with the events that a unit weight stands for
            (1 in data). Where None, all jets are hunted in as they are: they were drawn before.
        caveats: What was accepted of their files, and what else every result has to say.
        held_out: What nothing was learned on: other events are not hunted in, and pseudo-data are drawn from
            the rest with weights that stand for all.
        part: The stage's part of the events; all without stages.
    """

    kind: Literal["data", "pseudo-data"]
    lumi_ifb: float | None
    seed: int | None = None
    scales: dict[str, float] | None = None
    caveats: tuple[str, ...] = ()
    held_out: HeldOut = field(default_factory=HeldOut)
    part: Part | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """What has to be read of a table to find the jets."""
        if self._is_drawn:
            return (*EVENT, "weight")
        return EVENT if self.held_out.datasets or self.part is not None else ()

    @property
    def lumi_share(self) -> float:
        """Share of the luminosity that is hunted in: below 1 of data that something was learned on, and in stages."""
        learned_on = self.kind == "data" and self.held_out.datasets
        share = self.held_out.share if learned_on else 1.0
        return share if self.part is None else share * self.part.fraction

    @property
    def _is_drawn(self) -> bool:
        return self.kind == "pseudo-data" and self.scales is not None

    def rows(self, table: Table) -> Bools:
        """Mark the jets of a whole table: (n_jets,).

        Raises:
            OddjetError: Events cannot be drawn; see `draw_pseudodata`.
        """
        rows = self._rows(table)
        return rows if self.part is None else rows & self.part.rows(table)

    def _rows(self, table: Table) -> Bools:
        if self.scales is None and not self.held_out.datasets:
            return np.ones(len(next(iter(table.values()))), dtype=np.bool_)
        names, fresh = np.asarray(table["dataset"]), self.held_out.rows_of_table(table)
        if not self._is_drawn:
            return fresh if self.scales is None else fresh & np.isin(names, list(self.scales))
        expected = np.zeros(names.size)
        for name in self.scales or {}:
            rows = names == name
            expected[rows] = self._expected(np.asarray(table["weight"])[rows], fresh[rows], name)
        return draw_pseudodata(
            expected,
            event_hash(*(table[column] for column in EVENT)),
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
        rows, weights = self._rows_of_part(part, dataset)
        return (rows if self.part is None else rows & self.part.rows(part)), weights

    def _rows_of_part(self, part: Any, dataset: str) -> tuple[Bools, ExpectedWeights]:
        taken = self.scales is None or dataset in self.scales
        if not self.columns or not (taken or self._is_drawn):
            return np.full(len(part["rank"]), taken), ExpectedWeights()
        events = event_hash(*(_column(part, column) for column in EVENT))
        fresh = self.held_out.rows(events, dataset)
        if not self._is_drawn:
            return fresh, ExpectedWeights()
        expected = self._expected(_column(part, "weight"), fresh, dataset)
        rows = draw_events(expected, events, dataset, self.seed or 0)
        return rows, ExpectedWeights.from_weights(expected)

    def expected_of_part(self, part: Any, dataset: str, scale: float) -> Floats:
        """Give the events that each jet of simulation (n,) stands for in a template of the jets that are hunted in.

        Of pseudo-data, events that were drawn stand for none, and an event that was dropped with the probability
        1 − w for w/(1 − w): these are independent of those, as simulation is of data.

        Args:
            part: Jets, whole events of one dataset.
            dataset: Its name.
            scale: Events that a unit weight stands for at 1/fb.

        Raises:
            InputError: Jets of one event differ in weight.
            ConfigError: Pseudo-data take almost all events of one weight, so that too few are left.
        """
        weights = np.asarray(_column(part, "weight"), np.float64)
        if not self._is_drawn:
            return weights * scale * (self.lumi_ifb or 0.0)
        events = event_hash(*(_column(part, column) for column in EVENT))
        expected = self._expected(weights, self.held_out.rows(events, dataset), dataset)
        if (largest := float(expected.max(initial=0.0))) > MOST_DRAWN:
            lumi = self.lumi_ifb or 0.0
            msg = (
                f"pseudo-data of {lumi:g}/fb take {100 * min(largest, 1.0):.3g} % of the heaviest events of '{dataset}', a "
                f"known peak, whose template is made of those that are left: draw at most "
                f"{lumi * MOST_DRAWN / largest:.4g}/fb, or simulate more of it"
            )
            raise ConfigError(msg)
        left = ~draw_events(expected, events, dataset, self.seed or 0)
        share = 1.0 if self.part is None else self.part.fraction
        return np.where(left, expected / np.where(left, 1.0 - expected, 1.0), 0.0) * share

    def _expected(self, weights: npt.NDArray[Any], fresh: Bools, dataset: str) -> Floats:
        """Expected events of each jet's event, (n,): fresh ones stand for all of their dataset."""
        scale = (self.scales or {}).get(dataset, 0.0) / (self.held_out.share_of(dataset) or 1.0)
        return np.asarray(weights, np.float64) * scale * fresh


def _column(part: Any, name: str) -> npt.NDArray[Any]:
    return np.asarray(ak.to_numpy(part[name]))
