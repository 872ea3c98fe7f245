"""Exchange with other tools: mass histograms in and out, statistical models out."""

from __future__ import annotations

from oddjet.analysis.statistics.exchange.datacard import write_datacard
from oddjet.analysis.statistics.exchange.histogram_files import (
    MassHistogram,
    check_same_edges,
    histogram_names,
    read_histogram,
    write_root,
)
from oddjet.analysis.statistics.exchange.model import Channel, Sample, safe_name
from oddjet.analysis.statistics.exchange.workspace import (
    pyhf_model,
    pyhf_workspace,
    write_workspace,
)

__all__ = [
    "Channel",
    "MassHistogram",
    "Sample",
    "check_same_edges",
    "histogram_names",
    "pyhf_model",
    "pyhf_workspace",
    "read_histogram",
    "safe_name",
    "write_datacard",
    "write_root",
    "write_workspace",
]
