"""Names that several sections share."""

from __future__ import annotations

from oddjet.analysis.report.figures.style import PlotLabel
from oddjet.processors.sample import HuntSample

__all__ = ["lumi_text", "mass_name", "sample_label"]

MASSES = {"msoftdrop": "Jet soft-drop mass [GeV]", "mass": "Jet mass [GeV]"}


def mass_name(column: str) -> str:
    """Axis label of a mass column."""
    return MASSES.get(column, f"{column} [GeV]")


def lumi_text(lumi_ifb: float | None) -> str:
    """A luminosity as text.

    >>> lumi_text(59.8), lumi_text(0.004)
    ('59.8 fb⁻¹', '4 pb⁻¹')
    """
    if lumi_ifb is None:
        return ""
    if lumi_ifb >= 0.1:
        return f"{lumi_ifb:.3g} fb⁻¹"
    return f"{1000 * lumi_ifb:.3g} pb⁻¹"


def sample_label(sample: HuntSample) -> PlotLabel:
    """What stands above the axes of pictures of the hunted jets."""
    # As a formula: a raised minus sign of text size is hard to see in a picture.
    lumi = lumi_text(sample.lumi_ifb).replace("⁻¹", "$^{-1}$")
    return PlotLabel(sample.kind, f"{lumi} (13 TeV)" if lumi else "13 TeV")
