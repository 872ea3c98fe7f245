"""What exploring wrote down: the windows that the rest of the data tests, see `oddjet.analysis.hunt.stages`."""

from __future__ import annotations

import dataclasses
from typing import Any

from oddjet.analysis.statistics.spectrum import Window
from oddjet.datasets.disk.digest import content_key

__all__ = ["Chosen", "Frozen"]


@dataclasses.dataclass(frozen=True)
class Chosen:
    """A window to test.

    Attributes:
        label: The spectrum that it was found in.
        window: Its ends [GeV].
        local_p: Its local p in what explored.
    """

    label: str
    window: Window
    local_p: float


@dataclasses.dataclass(frozen=True)
class Frozen:
    """What exploring wrote down.

    Attributes:
        time: When, UTC.
        look: What explored, as in the ledger.
        share: Share of the events that explored.
        z_cut: Local significance from which windows were chosen [σ].
        chosen: The windows, none of which overlap; none where nothing was improbable enough.
        p_explored: Probability that background alone gives a window as improbable as the best.
        p_chosen: Probability that background alone gives one that is chosen.
    """

    time: str
    look: dict[str, Any]
    share: float
    z_cut: float
    chosen: tuple[Chosen, ...]
    p_explored: float
    p_chosen: float

    @property
    def key(self) -> str:
        """Hash of all that it says."""
        return content_key(dataclasses.asdict(self))

    @property
    def labels(self) -> tuple[str, ...]:
        """The spectra of the windows."""
        return tuple(dict.fromkeys(chosen.label for chosen in self.chosen))

    @property
    def windows(self) -> tuple[Window, ...]:
        """The windows, from low to high masses [GeV]."""
        return tuple(sorted(chosen.window for chosen in self.chosen))

    def together(self, tested_p: float | None) -> float:
        """The p of both stages: see `oddjet.analysis.hunt.stages`.

        Args:
            tested_p: The p of the test, corrected for the number of windows; None where nothing was tested.
        """
        if not self.chosen or tested_p is None:
            # Windows that were not believed may be more improbable than those that are chosen.
            return max(self.p_explored, self.p_chosen)
        return self.p_chosen * tested_p

    def describe(self) -> str:
        """Say what is tested, in a sentence."""
        if not self.chosen:
            return (
                f"no window of what explored, {100 * self.share:g} % of the events, reached {self.z_cut:g}σ: there "
                "is nothing to test in the others"
            )
        listed = "; ".join(f"{c.window[0]:g}–{c.window[1]:g} GeV ({c.label})" for c in self.chosen)
        return (
            f"{100 * self.share:g} % of the events explored, and {len(self.chosen)} windows reached {self.z_cut:g}σ "
            f"there: {listed}. Written down at {self.time} as {self.key}"
        )
