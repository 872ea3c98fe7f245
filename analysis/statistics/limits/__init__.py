"""CLs upper limits on a signal in a mass spectrum, with systematic uncertainties, through pyhf."""

from __future__ import annotations

from oddjet.analysis.statistics.limits.inputs import LimitInputs, Systematics, build_channel
from oddjet.analysis.statistics.limits.spectrum import (
    LimitSettings,
    SignalModel,
    SpectrumLimit,
    limit_inputs,
    limit_spectrum,
)
from oddjet.analysis.statistics.limits.upper import Limit, upper_limit

__all__ = [
    "Limit",
    "LimitInputs",
    "LimitSettings",
    "SignalModel",
    "SpectrumLimit",
    "Systematics",
    "build_channel",
    "limit_inputs",
    "limit_spectrum",
    "upper_limit",
]
