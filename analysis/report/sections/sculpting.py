"""The section of the sculpting verdict."""

from __future__ import annotations

import math
from functools import partial

from oddjet.analysis.report.figures.efficiencies import (
    efficiency_across_mass,
    inverse_divergence,
    relative_entropies,
)
from oddjet.analysis.report.figures.style import PlotLabel
from oddjet.analysis.report.page import Cell, Picture, Section, Table, p_text
from oddjet.analysis.report.sections.labels import mass_name
from oddjet.analysis.sculpting.scores import ScoreVerdict, SculptingResult
from oddjet.analysis.sculpting.verdict import LEAST_POWER, LEVEL, Outcome

__all__ = ["sculpting_section"]


def sculpting_section(result: SculptingResult) -> Section:
    """Show the verdicts, what the cuts do, and the masses before and after."""
    first = result.scores[0].verdict
    low, high = result.mass_range
    left_out = f" Masses of {result.left_out} were left out." if result.left_out else ""
    method = (
        f"Does a cut on the score change the {result.mass} of {', '.join(result.datasets)}, from"
        f" {low:g} to {high:g} GeV?{left_out} The smallest p over all working points and pt bins is"
        f" ranked among {first.n_permutations} permutations of the mass within pt bins: a score that"
        f" is independent of the mass has a p below {LEVEL:g} in at most 5 % of samples. FAIL: p <"
        f" {LEVEL:g} and the efficiency varies across the mass by more than"
        f" {100 * first.tolerance:g} %. PASS: not so, and {100 * LEAST_POWER:g} % of"
        f" {first.n_power_toys} toys with a correlation of {first.rho:g} would have been noticed."
        " Otherwise INCONCLUSIVE: too few jets to decide."
    )
    return Section(
        title="Does the cut sculpt the mass?",
        anchor="sculpting",
        paragraphs=(method,),
        statements=tuple(f"{score.column}: {score.verdict.sentence}" for score in result.scores),
        warnings=tuple(
            f"A cut on {score.column} sculpts the mass: do not believe a bump found with it."
            for score in result.scores
            if score.verdict.outcome is Outcome.FAIL
        ),
        tables=(_verdicts(result), *([_separation(result)] if result.signals else [])),
        pictures=_pictures(result),
        folded=tuple(table for score in result.scores for table in _details(score)),
        folded_title="Every working point and pt bin",
        numbers=result.to_dict(),
    )


def _verdicts(result: SculptingResult) -> Table:
    rows = tuple(
        (
            score.column,
            p_text(score.verdict.global_p),
            score.verdict.outcome.value,
            f"{100 * score.verdict.variation:.1f} %" if score.verdict.is_significant else None,
            f"{100 * score.verdict.power:.0f} %",
            score.verdict.n_jets,
            score.jsd(0.1),
            score.jsd(0.01),
        )
        for score in result.scores
    )
    return Table(
        ("Score", "p", "Verdict", "Variation", "Power", "Jets", "JSD at 10 %", "JSD at 1 %"),
        rows,
        "Variation of the background efficiency across the mass, of the significant cell where it is "
        "largest; Jensen–Shannon divergence of pass and fail [bits] at two working points.",
    )


def _separation(result: SculptingResult) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for score in result.scores:
        for signal, separation in score.separation.items():
            sic = None
            if separation.best_sic is not None:
                sic = f"{separation.best_sic:.2f} at {100 * (separation.best_sic_at or 0):g} %"
            fixed = str(separation.auc_at_fixed_mass)
            rows.append((score.column, signal, str(separation.auc), fixed, sic))
    headers = ("Score", "Signal", "AUC", "At fixed mass", "Best SIC in the window")
    return Table(headers, tuple(rows), "Signal against background, with 95 % intervals.")


def _pictures(result: SculptingResult) -> tuple[Picture, ...]:
    status = "data" if result.kind == "data" else "simulation"
    steps = {score.column: score.inclusive for score in result.scores}
    label = PlotLabel(status, ", ".join(result.datasets))
    return (
        *(_mass_picture(result, score, status) for score in result.scores),
        Picture(
            partial(inverse_divergence, steps, label=label),
            "One over the Jensen–Shannon divergence between the masses of passing and failing "
            "background jets, against the rejection.",
            hint="higher is less sculpted. A curve on the dashed line cannot be distinguished from a score "
            "that is independent of the mass, with as many jets.",
            name="inverse_jsd",
        ),
        Picture(
            partial(relative_entropies, steps, label=label),
            "Relative entropy of the background's mass after a cut to that before it, against the "
            "rejection, and the efficiency of the signals at it.",
            hint="left, lower is less sculpted; right, the best scores are above and left.",
            name="relative_entropy",
        ),
    )


def _mass_picture(result: SculptingResult, score: ScoreVerdict, status: str) -> Picture:
    draw = partial(
        efficiency_across_mass,
        score.shapes,
        axis_label=mass_name(result.mass),
        window=result.excluded[0] if result.excluded else result.window,
        excluded=bool(result.excluded),
        label=PlotLabel(status, f"{score.column}: {score.verdict.outcome.value}"),
    )
    return Picture(
        draw,
        f"Mass of background jets before and after cuts on {score.column}, each with area 1; below,"
        " the efficiency across the mass. Dotted: the wanted efficiencies.",
        hint="points that follow the dotted lines mean no sculpting.",
        name=f"mass_{score.column}",
    )


def _details(score: ScoreVerdict) -> tuple[Table, Table]:
    cells = Table(
        ("Cut", "pt [GeV]", "Jets", "Pass", "Efficiency", "Local p", "Variation"),
        tuple((f"{100 * row[0]:g} %", *row[1:]) for row in score.verdict.rows()),
        f"{score.column}: the test of every working point and pt bin; a dash where too few pass.",
    )
    signals = list(score.steps[0].signal_efficiencies)
    window = bool(score.steps[0].in_window)
    headers = ["Cut", "pt [GeV]", "D(after‖before) [nats]", "by chance", "JSD [bits]", "by chance"]
    headers += [f"{name} left" for name in signals]
    headers += [f"{name} left in the window" for name in signals if window]
    rows = []
    for step in score.steps:
        row: list[Cell] = [
            f"{100 * step.working_point:g} %",
            f"{step.pt_low:g}–{step.pt_high:g}",
            str(step.entropy),
            step.entropy_by_chance,
            str(step.jsd),
            step.jsd_by_chance,
        ]
        row += [_known(step.signal_efficiencies[name]) for name in signals]
        row += [_known(step.in_window[name]) for name in signals if window]
        rows.append(tuple(row))
    caption = (
        f"{score.column}: divergences of the mass with 95 % intervals, and what a cut independent of"
        " the mass has on average."
    )
    if window:
        caption += " In the window, the cut is the quantile of the background in the window."
    return cells, Table(tuple(headers), tuple(rows), caption)


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value
