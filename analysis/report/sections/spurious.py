"""The section of the spurious signal."""

from __future__ import annotations

from functools import partial

from oddjet.analysis.report.figures.background_spurious import spurious_against_mass
from oddjet.analysis.report.figures.style import PlotLabel
from oddjet.analysis.report.page import Cell, Picture, Section, Table
from oddjet.analysis.statistics.background.simulated import SpuriousStudy
from oddjet.analysis.statistics.background.spurious import SpuriousSignal

__all__ = ["spurious_section"]


def spurious_section(study: SpuriousStudy, *, background: str) -> Section:
    """Show how much signal each function finds in simulated background."""
    fit = study.template
    headers = (
        "Function",
        "Worst mass [GeV]",
        "N_spur/σ",
        "σ_MC/σ",
        "(|N_spur| + σ_MC)/σ",
        "Accepted",
    )
    label = PlotLabel(right=f"{background}, {study.n_data:g} jets")
    return Section(
        title="Spurious signal",
        anchor="spurious",
        statements=(
            (
                f"simulation: {fit.data.counts.sum():.5g} jets in the range, template scaled to "
                f"{study.n_data:g}, p = {fit.p_value:.2g} with {fit.n_effective:.1f} effective "
                "parameters"
            ),
        ),
        tables=(Table(headers, tuple(_row(test) for test in study.tests)),),
        pictures=(
            Picture(
                partial(spurious_against_mass, study.tests, label=label),
                "Fitted signal in units of its uncertainty, against the mass of the signal.",
                name="spurious",
            ),
        ),
        numbers=study.to_dict(),
    )


def _row(test: SpuriousSignal) -> tuple[Cell, ...]:
    worst = test.worst
    numbers = ("fit failed", "–", "–")
    if not worst.failure:
        ratio, mc = worst.ratio, worst.sigma_mc / worst.sigma
        numbers = (f"{ratio:+.2f}", f"{mc:.2f}", f"{worst.bound:.2f}")
    return (test.function, f"{worst.mass:.0f}", *numbers, test.verdict)
