"""The figure of the spurious-signal test."""

from __future__ import annotations

import numpy as np

from oddjet.analysis.report.figures.background_spurious import spurious_against_mass
from oddjet.analysis.statistics.background.spurious import SpuriousPoint, SpuriousSignal


def test_lines_are_the_ratios_and_the_legend_tells_the_verdict() -> None:
    points = tuple(SpuriousPoint(m, 8.0, n, 10.0, 1.0) for m, n in ((60.0, 1.0), (80.0, -0.5)))
    failed = SpuriousPoint(100.0, 8.0, np.nan, np.nan, np.nan, "did not converge")
    good = SpuriousSignal("dijet4", points, 1e3, 1e5)
    bad = SpuriousSignal("dijet2", (*points, failed), 1e3, 1e5)
    axes = spurious_against_mass([bad, good]).axes[0]
    handles, labels = axes.get_legend_handles_labels()
    assert labels == ["dijet4: accepted", "dijet2: not accepted"]
    for line in handles:
        assert np.asarray(line.get_xydata()).tolist() == [[60.0, 0.1], [80.0, -0.05]]  # type: ignore[attr-defined]
