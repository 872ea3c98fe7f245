"""Cut flow: what every cut left of a chunk."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from oddjet.datasets.skims.manifest import CutStep
from oddjet.processors.events.objects import Objects
from oddjet.typing import Bools

__all__ = ["CutFlow"]


class CutFlow:
    """Counts events, jets and Σ weight after each cut, in the order in which cuts are added.

    Σ weight is of events: after a cut on jets, of those with at least one jet left.
    """

    def __init__(self, weights: npt.NDArray[np.float64], jets: Objects) -> None:
        self._weights = weights
        self._event = jets.event
        self._steps: list[CutStep] = []

    @property
    def steps(self) -> tuple[CutStep, ...]:
        """The lines so far."""
        return tuple(self._steps)

    def add_events(self, name: str, mask: Bools) -> None:
        """Count after a cut: `mask` (n_events) has the events left by it and all before."""
        self._add(name, mask, int(np.count_nonzero(mask[self._event])))

    def add_jets(self, name: str, mask: Bools) -> None:
        """Count after a cut: `mask` (n_jets) has the jets left by it and all before."""
        events = np.zeros(len(self._weights), bool)
        events[self._event[mask]] = True
        self._add(name, events, int(np.count_nonzero(mask)))

    def _add(self, name: str, events: Bools, n_jets: int) -> None:
        self._steps.append(
            CutStep(
                name=name,
                n_events=int(np.count_nonzero(events)),
                n_jets=n_jets,
                sumw=float(np.sum(self._weights[events])),
            )
        )
