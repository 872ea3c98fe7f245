"""Estimates of the background under a signal window: functions of mass and their sideband fits."""

from __future__ import annotations

from oddjet.analysis.background.fit import BackgroundFit, TriedFunction, fit_sidebands
from oddjet.analysis.background.functions import FAMILIES, FallingFunction, make_function

__all__ = [
    "FAMILIES",
    "BackgroundFit",
    "FallingFunction",
    "TriedFunction",
    "fit_sidebands",
    "make_function",
]
