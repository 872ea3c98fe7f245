"""How a spectrum is scanned; light to import, because configurations extend it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from oddjet.analysis.statistics.background import DEFAULT
from oddjet.bounds import MOST_BINS, MOST_TOYS, Name, Seed
from oddjet.problems import Settings

__all__ = ["ScanSettings"]

Bins = Annotated[int, Field(ge=1, le=MOST_BINS)]
Order = Annotated[int, Field(ge=0, le=5)]


class ScanSettings(Settings):
    """How a spectrum is scanned.

    Attributes:
        range: Lowest and highest mass used [GeV]; all bins if None.
        function: Background function such as ``dijet4``; a family for its order chosen with a penalty
            for each parameter; or ``auto`` for the family too.
        method: ``conditional`` compares jets that pass a cut with jets that fail it, ``function`` fits the
            function beside each window; ``auto`` takes the first after cuts on decorrelated scores.
        orders: Of the conditional hunt: lowest and highest order in mass of ln(pass/fail); more than the
            lowest where the likelihood asks for it.
        score_bins: Of the conditional hunt: test the score bins between all cuts on a score together as well, for an
            excess that rises with the score.
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
    method: Literal["auto", "conditional", "function"] = "auto"
    orders: tuple[Order, Order] = (2, 4)
    score_bins: bool = True
    widths: tuple[Bins, Bins] = (2, 8)
    windows: tuple[tuple[float, float], ...] | None = Field(
        default=None, min_length=1, max_length=1000
    )
    signal_width: float | None = Field(default=None, gt=0, le=100_000)
    n_toys: int = Field(default=1000, ge=0, le=MOST_TOYS)
    max_toys: int = Field(default=1_000_000, ge=0, le=MOST_TOYS)
    seed: Seed = 1

    @field_validator("orders")
    @classmethod
    def _lowest_first(cls, value: tuple[int, int]) -> tuple[int, int]:
        if value[0] > value[1]:
            msg = f"expected two orders, the lower first, received {list(value)}"
            raise ValueError(msg)
        return value
