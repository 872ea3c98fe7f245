"""Sections of the report: each builder takes results and gives one section."""

from __future__ import annotations

from oddjet.analysis.sections.anomalies import anomalies_section
from oddjet.analysis.sections.cutflow import cut_flow_section
from oddjet.analysis.sections.hunt import bump_hunt_section, fit_section
from oddjet.analysis.sections.images import images_section
from oddjet.analysis.sections.injection import injection_section
from oddjet.analysis.sections.limits import limits_section
from oddjet.analysis.sections.mass import mass_section
from oddjet.analysis.sections.provenance import provenance_section
from oddjet.analysis.sections.quality import quality_section
from oddjet.analysis.sections.scores import scores_section
from oddjet.analysis.sections.sculpting import sculpting_section
from oddjet.analysis.sections.summary import headline_cards, headline_numbers
from oddjet.analysis.sections.training import training_section

__all__ = [
    "anomalies_section",
    "bump_hunt_section",
    "cut_flow_section",
    "fit_section",
    "headline_cards",
    "headline_numbers",
    "images_section",
    "injection_section",
    "limits_section",
    "mass_section",
    "provenance_section",
    "quality_section",
    "scores_section",
    "sculpting_section",
    "training_section",
]
