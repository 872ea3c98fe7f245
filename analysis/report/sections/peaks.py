"""The section of known peaks: what was found of them among the jets that are hunted in."""

from __future__ import annotations

import numpy as np

from oddjet.analysis.hunt.hunt import Hunt
from oddjet.analysis.report.page import Cell, Section, Table

__all__ = ["peaks_section"]


def peaks_section(hunt: Hunt) -> Section:
    """Show known peaks as they were found; empty where none were expected."""
    calibration = hunt.peaks
    rows: list[tuple[Cell, ...]] = []
    for peak in () if calibration is None else calibration.peaks:
        prior = "free" if peak.prior is None else f"± {100 * peak.prior:.3g} %"
        norm = f"{peak.norm:.3f} ± {peak.error:.3f}" if np.isfinite(peak.error) else "not seen"
        simulated = round(peak.effective) if np.isfinite(peak.effective) else None
        rows.append((peak.name, peak.expected, peak.passing, prior, norm, simulated))
    statements = []
    if calibration is not None:
        statements.append(calibration.sentence)
        statements.append(
            f"fitted with shares of order {calibration.order} in mass, goodness of fit p = {calibration.p_value:.2g}"
            + (", without the blinded window" if hunt.blinded else "")
        )
    headers = (
        "Peak",
        "Expected jets",
        "after the loosest cut",
        "Known to",
        "Found over expected",
        "Simulated",
    )
    caption = (
        "Expected and found jets of known peaks in the range. What is found is mostly found among jets that pass a cut, so it "
        "is the cross section times the share that passes; jets simulated are effective ones."
    )
    return Section(
        title="Known peaks",
        anchor="peaks",
        paragraphs=(
            (
                "Peaks of the Standard Model, as simulated, are fitted together with what is smooth: jets by bin of pt, cuts "
                f"on {hunt.column} and mass. One mass scale and one resolution, relative to simulation, are fitted for all. "
                "A window on a known peak tests what exceeds it."
            ),
        ),
        statements=tuple(statements),
        warnings=(
            *(
                [f"taken as expected, not fitted: {hunt.peaks_problem}"]
                if hunt.peaks_problem
                else []
            ),
            *(() if calibration is None else calibration.doubts),
        ),
        tables=(Table(headers, tuple(rows), caption),) if rows else (),
        numbers={
            "peaks": None if calibration is None else calibration.to_dict(),
            "problem": hunt.peaks_problem,
        },
    )
