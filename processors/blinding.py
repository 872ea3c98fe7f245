"""What stays hidden of data until they are unblinded: no histogram and no number shown holds it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from oddjet.datasets.folds import event_hash, mix64
from oddjet.errors import ConfigError
from oddjet.typing import Bools

__all__ = ["EVENT", "Blinding", "Part", "explored"]

EVENT = ("run", "luminosityBlock", "event")
"""Columns that name an event."""

_EXPLORED = np.uint64(0x6578706C6F726564)
"""Salt of the events that are explored: "explored" in ASCII. Folds and what is held out have others."""


def explored(jets: Any, share: float) -> Bools:
    """Mark the jets whose events explore, the same everywhere and for ever: (n,).

    Independent of folds and of what is held out from learning.

    Args:
        jets: Columns of a table, or jets, with run, luminosityBlock and event.
        share: Share of the events, 0 to 1; those of a smaller share are among those of a larger one.
    """
    if not 0 <= share <= 1:
        msg = f"explore: expected a share of events between 0 and 1, received {share}"
        raise ConfigError(msg)
    hashes = event_hash(*(np.asarray(jets[name]) for name in EVENT))
    # The upper 53 bits fill a double's mantissa.
    uniform = (mix64(hashes ^ _EXPLORED) >> np.uint64(11)) * 2.0**-53
    return np.asarray(uniform < share)


@dataclass(frozen=True)
class Part:
    """The events that explore, or the others, which test.

    Attributes:
        share: Share of the events that explores.
        explores: Whether these are meant.
    """

    share: float
    explores: bool

    @property
    def fraction(self) -> float:
        """Share of all events."""
        return self.share if self.explores else 1.0 - self.share

    @property
    def caveat(self) -> str:
        """What every result of it has to say."""
        what = "explore" if self.explores else "test what the others wrote down by exploring"
        return f"hunted in are {100 * self.fraction:g} % of the events, which {what}"

    def rows(self, jets: Any) -> Bools:
        """Mark its jets, of columns with those of `EVENT`: (n,)."""
        return np.asarray(explored(jets, self.share) == self.explores)


@dataclass(frozen=True)
class Blinding:
    """What of data is hidden: the jets in a range of mass; or all jets of events that do not explore.

    Attributes:
        datasets: Names of the datasets of data; nothing of others is hidden.
        mass: Column of the mass.
        window: Range of masses that is hidden, whole bins [GeV]; None where events are.
        share: Share of the events that explore and are seen at all masses; None where a range is hidden.
    """

    datasets: tuple[str, ...]
    mass: str
    window: tuple[float, float] | None = None
    share: float | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """What has to be read of a table to know which jets are hidden."""
        return (self.mass,) if self.share is None else EVENT

    @property
    def what(self) -> str:
        """What is hidden, in a few words.

        >>> Blinding(("jetht",), "msoftdrop", (65.0, 105.0)).what
        'jets with msoftdrop in 65–105 GeV'
        """
        if self.window is not None:
            return f"jets with {self.mass} in {self.window[0]:g}–{self.window[1]:g} GeV"
        return f"{100 * (1 - (self.share or 0.0)):g} % of the events, which do not explore"

    @property
    def caveats(self) -> tuple[str, ...]:
        """What every histogram of the data has to say, a sentence each."""
        return self.caveats_of(self.datasets)

    def caveats_of(self, datasets: Iterable[str]) -> tuple[str, ...]:
        """The same of some datasets."""
        named = [name for name in datasets if name in self.datasets]
        return tuple(f"{name}: blinded, left out are {self.what}" for name in named)

    @property
    def sentence(self) -> str:
        """What outputs with totals say."""
        return (
            f"Data are blinded ({', '.join(self.datasets)}): {self.what} are in no number and in no picture; what cuts "
            "on jets left of data is not shown, because it counts them."
        )

    def covers(self, other: Blinding) -> bool:
        """Whether all that another one hides is hidden here too."""
        if self.window is None or other.window is None:
            return self == other
        wider = self.window[0] <= other.window[0] and self.window[1] >= other.window[1]
        return wider and self.mass == other.mass and set(other.datasets) <= set(self.datasets)

    def visible(self, jets: Any, dataset: str | None = None) -> Bools:
        """Mark the jets that may be seen: (n,).

        Args:
            jets: Columns of a table, or jets, with `columns`.
            dataset: The dataset of all of them; without it the column ``dataset`` says so.
        """
        n_jets = len(jets[self.columns[0]])
        if dataset is not None and dataset not in self.datasets:
            return np.ones(n_jets, np.bool_)
        hidden = ~self._seen(jets)
        if dataset is None:
            hidden &= np.isin(np.asarray(jets["dataset"]), list(self.datasets))
        return ~hidden

    def _seen(self, jets: Any) -> Bools:
        if self.window is None:
            return explored(jets, self.share or 0.0)
        mass, (low, high) = np.asarray(jets[self.mass], np.float64), self.window
        return (mass < low) | (mass >= high)

    def counted(self, n_jets: Mapping[str, int]) -> int:
        """Add numbers of jets by dataset, those of data left out: their total minus what is seen is hidden."""
        return sum(number for name, number in n_jets.items() if name not in self.datasets)
