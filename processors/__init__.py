"""coffea processors: events → skims, events or skims → scores and histograms; the selection beside them."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from oddjet.processors.anomaly import AnomalyProcessor
    from oddjet.processors.events.selection import Selection
    from oddjet.processors.run import run_anomaly, run_skim
    from oddjet.processors.scores import open_scores
    from oddjet.processors.skim import SkimProcessor

_HOMES = {
    "AnomalyProcessor": "anomaly",
    "Selection": "events.selection",
    "SkimProcessor": "skim",
    "open_scores": "scores",
    "run_anomaly": "run",
    "run_skim": "run",
}

__all__ = [
    "AnomalyProcessor",
    "Selection",
    "SkimProcessor",
    "open_scores",
    "run_anomaly",
    "run_skim",
]


def __getattr__(name: str) -> Any:
    """Import what is asked for, when it is: coffea takes two seconds."""
    if name in _HOMES:
        return getattr(import_module(f"oddjet.processors.{_HOMES[name]}"), name)
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)
