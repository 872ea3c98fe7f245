"""Estimates of the background under a signal window, their spread, and the tests they must pass."""

from __future__ import annotations

from oddjet.analysis.statistics.background.choice import DEFAULT
from oddjet.analysis.statistics.background.fit import BackgroundFit, TriedFunction, fit_sidebands
from oddjet.analysis.statistics.background.functions import FAMILIES, FallingFunction, make_function
from oddjet.analysis.statistics.background.methods import MethodSpread, compare_methods
from oddjet.analysis.statistics.background.signal import SignalFit, fit_signal
from oddjet.analysis.statistics.background.smoothing import SmoothTemplate, smooth
from oddjet.analysis.statistics.background.spurious import SpuriousSignal, spurious_signal
from oddjet.analysis.statistics.background.transfer import TransferFit, fit_transfer

__all__ = [
    "DEFAULT",
    "FAMILIES",
    "BackgroundFit",
    "FallingFunction",
    "MethodSpread",
    "SignalFit",
    "SmoothTemplate",
    "SpuriousSignal",
    "TransferFit",
    "TriedFunction",
    "compare_methods",
    "fit_sidebands",
    "fit_signal",
    "fit_transfer",
    "make_function",
    "smooth",
    "spurious_signal",
]
