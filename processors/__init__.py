"""coffea processors: events → skims, events or skims → scores and histograms; the selection beside them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oddjet.lazy import lazy_names

if TYPE_CHECKING:
    from oddjet.processors.anomaly import AnomalyProcessor
    from oddjet.processors.events.selection import Selection
    from oddjet.processors.run import run_anomaly, run_skim
    from oddjet.processors.scores import open_scores
    from oddjet.processors.skim import SkimProcessor

__all__ = [
    "AnomalyProcessor",
    "Selection",
    "SkimProcessor",
    "open_scores",
    "run_anomaly",
    "run_skim",
]

__getattr__ = lazy_names(
    __name__,
    {
        "AnomalyProcessor": "anomaly",
        "Selection": "events.selection",
        "SkimProcessor": "skim",
        "open_scores": "scores",
        "run_anomaly": "run",
        "run_skim": "run",
    },
)
