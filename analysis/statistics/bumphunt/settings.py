"""How a spectrum is scanned; light to import, because configurations extend it."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from oddjet.analysis.statistics.background import DEFAULT

__all__ = ["ScanSettings"]


class ScanSettings(BaseModel):
    """How a spectrum is scanned.

    Attributes:
        range: Lowest and highest mass used [GeV]; all bins if None.
        function: Background function such as ``dijet4``; a family for its order chosen by F-test; or
            ``auto`` for the family too.
        widths: Narrowest and widest window [bins].
        signal_width: Standard deviation of a Gaussian signal that is fitted at every bin edge instead
            of testing windows [GeV]; windows if None.
        n_toys: Background-only pseudo-experiments, each fitted again in every window.
        seed: Their seed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    range: tuple[float, float] | None = None
    function: str = DEFAULT
    widths: tuple[int, int] = (2, 8)
    signal_width: float | None = None
    n_toys: int = 1000
    seed: int = 1
