"""The bump hunt: the most improbable excess anywhere, and how often chance makes one.

`scan_jointly` tests every window of spectra that share jets, each against a fit of everything beside
it; `scan_signals` fits a signal of given shape at a ladder of masses; `scan` takes a background that is
given. All count pseudo-experiments that do as well anywhere, so the global p is corrected for every
window, working point and detector that was looked at.

References:
    G. Choudalakis, arXiv:1101.0390 (BumpHunter); pyBumpHunter, https://github.com/scikit-hep/pyBumpHunter.
"""

from __future__ import annotations

from oddjet.analysis.statistics.bumphunt.joint import JointTable
from oddjet.analysis.statistics.bumphunt.pvalues import on_off_p, poisson_p, significance
from oddjet.analysis.statistics.bumphunt.result import BumpHunt, ChannelScan, WindowTable
from oddjet.analysis.statistics.bumphunt.scan import scan, scan_jointly, scan_signals
from oddjet.analysis.statistics.bumphunt.windows import Windows, make_windows

__all__ = [
    "BumpHunt",
    "ChannelScan",
    "JointTable",
    "WindowTable",
    "Windows",
    "make_windows",
    "on_off_p",
    "poisson_p",
    "scan",
    "scan_jointly",
    "scan_signals",
    "significance",
]
