"""Sections of the report: each builder takes results and gives one section."""

from __future__ import annotations

from oddjet.analysis.report.sections.anomalies import anomalies_section
from oddjet.analysis.report.sections.cutflow import cut_flow_section
from oddjet.analysis.report.sections.hunt import bump_hunt_section, fit_section
from oddjet.analysis.report.sections.images import images_section
from oddjet.analysis.report.sections.injection import injection_section
from oddjet.analysis.report.sections.ledger import ledger_section
from oddjet.analysis.report.sections.limits import limits_section
from oddjet.analysis.report.sections.mass import mass_section
from oddjet.analysis.report.sections.peaks import peaks_section
from oddjet.analysis.report.sections.provenance import provenance_section
from oddjet.analysis.report.sections.quality import quality_section
from oddjet.analysis.report.sections.reach import reach_section
from oddjet.analysis.report.sections.scores import scores_section
from oddjet.analysis.report.sections.sculpting import sculpting_section
from oddjet.analysis.report.sections.summary import headline_cards, headline_numbers
from oddjet.analysis.report.sections.training import training_section

__all__ = [
    "anomalies_section",
    "bump_hunt_section",
    "cut_flow_section",
    "fit_section",
    "headline_cards",
    "headline_numbers",
    "images_section",
    "injection_section",
    "ledger_section",
    "limits_section",
    "mass_section",
    "peaks_section",
    "provenance_section",
    "quality_section",
    "reach_section",
    "scores_section",
    "sculpting_section",
    "training_section",
]
