"""The block `hunt`: the mass histogram, the cuts and the scan."""

from __future__ import annotations

import itertools
from typing import Literal

from pydantic import Field, field_validator, model_validator

from oddjet.analysis.config.peaks import PeaksConfig
from oddjet.analysis.config.types import Efficiency, Mass, distinct
from oddjet.analysis.statistics.bumphunt.settings import ScanSettings
from oddjet.bounds import MOST_BINS, MOST_CELLS, MOST_TOYS, MOST_WINDOWS, refuse_more

__all__ = ["HuntConfig"]


class HuntConfig(ScanSettings):
    """The mass histogram, the cut and the scan.

    Attributes:
        mass: Column that is hunted in [GeV].
        range: Lowest and highest mass [GeV].
        bin_width: Width of a bin [GeV]; divides the range.
        window: Signal window [GeV], masked in the fit and blinded in data.
        working_points: Background efficiencies of the anomaly cuts.
        pt_edges: Edges of the pt axis of the histograms [GeV].
        pt_bins: Transverse momenta that divide the jets that are hunted in [GeV]: bins of pt are fitted together, each
            with shares of its own; one bin by default.
        peaks: What is known of the peaks of datasets of kind ``peaking``.
        reach: Fractions of signal, over all other jets, of which the expected significance is given while data are
            blinded; none leaves that out.
        jets: ``leading`` takes the leading selected jet of each event, ``all`` every one.
    """

    mass: Literal["msoftdrop", "mass"] = "msoftdrop"
    range: tuple[Mass, Mass] = (50.0, 250.0)
    bin_width: float = Field(default=5.0, ge=0.001, le=100_000)
    window: tuple[Mass, Mass] = (65.0, 105.0)
    working_points: tuple[Efficiency, ...] = Field(default=(0.1, 0.01), max_length=50)
    pt_edges: tuple[Mass, ...] = Field(
        default=(200.0, 300.0, 450.0, 650.0, 1000.0, 13000.0), max_length=1000
    )
    pt_bins: tuple[Mass, ...] = Field(default=(), max_length=20)
    peaks: PeaksConfig = Field(default_factory=PeaksConfig)
    reach: tuple[Efficiency, ...] = Field(default=(0.002, 0.005, 0.01, 0.02, 0.05), max_length=20)
    jets: Literal["leading", "all"] = "leading"
    n_toys: int = Field(default=1000, ge=100, le=MOST_TOYS)

    @field_validator("range", "window")
    @classmethod
    def _ordered(cls, value: tuple[float, float]) -> tuple[float, float]:
        if not 0 <= value[0] < value[1]:
            msg = f"expected two masses, the lower first, received {list(value)}"
            raise ValueError(msg)
        return value

    @field_validator("pt_edges")
    @classmethod
    def _increasing(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if len(value) < 2 or any(b <= a for a, b in itertools.pairwise(value)):
            msg = f"expected at least two increasing edges, received {list(value)}"
            raise ValueError(msg)
        return value

    @field_validator("pt_bins")
    @classmethod
    def _rising(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if any(b <= a for a, b in itertools.pairwise(value)):
            msg = f"expected increasing transverse momenta, received {list(value)}"
            raise ValueError(msg)
        return value

    @field_validator("reach")
    @classmethod
    def _distinct(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        return distinct(value) if value else ()

    @field_validator("working_points")
    @classmethod
    def _from_loose_to_tight(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        return distinct(value)[::-1]

    @model_validator(mode="after")
    def _consistent(self) -> HuntConfig:
        low, high = self.range
        refuse_more(self.n_bins, MOST_BINS, f"bins of mass, by bin_width {self.bin_width}")
        n_cells = self.n_bins * len(self.pt_edges) * (len(self.working_points) + 1)
        refuse_more(n_cells, MOST_CELLS, "bins, by bin_width, pt_edges and working_points")
        if not low < self.window[0] < self.window[1] < high:
            msg = (
                f"the window {list(self.window)} must lie inside the range {list(self.range)}, "
                "with a sideband on either side"
            )
            raise ValueError(msg)
        if abs(round((high - low) / self.bin_width) * self.bin_width - (high - low)) > 1e-6:
            msg = f"bin_width {self.bin_width} does not divide the range {list(self.range)}"
            raise ValueError(msg)
        if not 1 <= self.widths[0] <= self.widths[1] <= self.n_bins:
            msg = (
                f"widths must be two increasing numbers of bins up to {self.n_bins}, "
                f"received {list(self.widths)}"
            )
            raise ValueError(msg)
        if self.signal_width is not None and self.signal_width > 0.5 * (high - low):
            msg = (
                f"signal_width {self.signal_width:g} must be at most half of the range {list(self.range)}: a signal is "
                "fitted at masses that are its width from both ends"
            )
            raise ValueError(msg)
        n_windows = self.n_bins * (self.widths[1] - self.widths[0] + 1)
        refuse_more(n_windows, MOST_WINDOWS, "windows, by bin_width and widths")
        return self

    @property
    def n_bins(self) -> int:
        """Number of mass bins."""
        return round((self.range[1] - self.range[0]) / self.bin_width)
