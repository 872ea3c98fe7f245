"""The section of the injections."""

from __future__ import annotations

from functools import partial

from oddjet.analysis.injection.summary import InjectionResult
from oddjet.analysis.report.figures.injection import injected_significance, injected_yield
from oddjet.analysis.report.figures.style import PlotLabel
from oddjet.analysis.report.page import Picture, Section, Table

__all__ = ["injection_section"]


def injection_section(result: InjectionResult, *, label: PlotLabel | None = None) -> Section:
    """Show what injected signal does: significance, global p, efficiencies, bias of the yield."""
    pictures = []
    for score, points in result.by_score().items():
        pictures.append(
            Picture(
                partial(injected_significance, points, label=label),
                f"{score}: significance in the signal window, from what is beside it, against the "
                "injected fraction. One open marker a seed, the line is their mean.",
                hint="a cut is worth it where its line lies above that of no cut, and the score can be "
                "trusted where all lines begin near zero.",
                alt=f"Injected signal, {score}",
                name=f"{score}_significance",
            )
        )
        pictures.append(
            Picture(
                partial(injected_yield, points, label=label),
                f"{score}: fitted yield less the number of injected jets that passed, in units of the "
                "uncertainty of the fit. The band is ±1.",
                hint="markers that leave the band together are a bias.",
                alt=f"Bias of the yield, {score}",
                name=f"{score}_yield",
            )
        )
    return Section(
        title="Injected signal",
        anchor="injection",
        paragraphs=(
            (
                "Signal was put into the background as if both were data, and the whole chain repeated: "
                "trained, calibrated, decorrelated, cut, fitted, scanned. Fractions are of jets in the mass "
                "range before the cut; brackets give the smallest and largest of the seeds. Net excess kept: "
                "the part of the signal's excess in the window that thresholds and maps leave, against such "
                "that were learned without signal; well below 1 where they have learned to hide it."
            ),
        ),
        warnings=result.flags,
        statements=tuple(filter(None, (result.learned,))),
        tables=tuple(
            Table(
                result.headers,
                tuple(rows),
                f"{score}: mean over the seeds, smallest and largest in brackets; of global p, over all "
                "windows and cuts of the score, the median. Flagged are experiments with a poor fit, or "
                "with a local p that pseudo-experiments contradict.",
            )
            for score, rows in result.rows().items()
        ),
        pictures=tuple(pictures),
        numbers=result.to_dict(),
    )
