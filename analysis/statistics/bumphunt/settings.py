"""How a spectrum is scanned; light to import, because configurations extend it."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from oddjet.analysis.statistics.background import DEFAULT
from oddjet.bounds import MOST_BINS, MOST_TOYS, Name, Seed
from oddjet.problems import Settings

__all__ = ["ScanSettings"]

Bins = Annotated[int, Field(ge=1, le=MOST_BINS)]


class ScanSettings(Settings):
    """How a spectrum is scanned.

    Attributes:
        range: Lowest and highest mass used [GeV]; all bins if None.
        function: Background function such as ``dijet4``; a family for its order chosen by F-test; or
            ``auto`` for the family too.
        widths: Narrowest and widest window [bins].
        windows: These windows alone, which begin and end at edges of bins [GeV]; all of `widths` if None.
        signal_width: Standard deviation of a Gaussian signal that is fitted at every bin edge instead
            of testing windows [GeV]; windows if None.
        n_toys: Background-only pseudo-experiments, each fitted again in every window.
        max_toys: Where a background is given and known exactly, so that pseudo-experiments are cheap, more are
            drawn, up to this many, until ten did as well as the data.
        seed: Their seed.
    """

    range: tuple[float, float] | None = None
    function: Name = DEFAULT
    widths: tuple[Bins, Bins] = (2, 8)
    windows: tuple[tuple[float, float], ...] | None = Field(
        default=None, min_length=1, max_length=1000
    )
    signal_width: float | None = Field(default=None, gt=0, le=100_000)
    n_toys: int = Field(default=1000, ge=0, le=MOST_TOYS)
    max_toys: int = Field(default=1_000_000, ge=0, le=MOST_TOYS)
    seed: Seed = 1
