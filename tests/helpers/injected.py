"""A small analysis that injects a signal into a toy skim."""

from __future__ import annotations

from typing import Any

from oddjet.analysis.config import AnalysisConfig

SETTINGS: dict[str, Any] = {
    "name": "toy",
    "output": "unused",
    "fileset": {"datasets": {"qcd": {"kind": "background", "files": {"toy.root": "Events"}}}},
    "detectors": [{"name": "observables", "cut": "tau21"}],
    "decorrelation": {"methods": ["ddt"]},
    "hunt": {
        "range": [40, 240], "bin_width": 10, "window": [100, 140], "working_points": [0.2],
        "function": "exppoly2", "widths": [2, 4],
    },
    "injection": {"signal": "top", "fractions": [0.0, 0.08], "seeds": [1, 2], "n_toys": 100},
    "cluster": {"executor": "iterative"},
}  # fmt: skip


def config(**changes: Any) -> AnalysisConfig:
    """The analysis with changes of whole blocks."""
    return AnalysisConfig.model_validate(SETTINGS | changes)
