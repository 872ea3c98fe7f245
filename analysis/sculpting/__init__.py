"""What a cut on a score does to the mass of the background, and whether that can be seen.

`judge` gives the verdict PASS, FAIL or INCONCLUSIVE; `mass_sculpting` and `relative_entropy` measure
how much the mass changes.
"""

from __future__ import annotations

from oddjet.analysis.sculpting.cut import JetSample
from oddjet.analysis.sculpting.entropy import Sculpted, mass_sculpting, relative_entropy
from oddjet.analysis.sculpting.fakes import HuntedIn
from oddjet.analysis.sculpting.judging import JudgeSettings, judge
from oddjet.analysis.sculpting.verdict import JudgedCell, JudgedWindow, Outcome, Verdict

__all__ = [
    "HuntedIn",
    "JetSample",
    "JudgeSettings",
    "JudgedCell",
    "JudgedWindow",
    "Outcome",
    "Sculpted",
    "Verdict",
    "judge",
    "mass_sculpting",
    "relative_entropy",
]
