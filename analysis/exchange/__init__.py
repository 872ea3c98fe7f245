"""Exchange with other tools: mass histograms in and out, statistical models out."""

from __future__ import annotations

from oddjet.analysis.exchange.histogram_files import (
    MassHistogram,
    histogram_names,
    read_histogram,
    write_root,
)

__all__ = ["MassHistogram", "histogram_names", "read_histogram", "write_root"]
