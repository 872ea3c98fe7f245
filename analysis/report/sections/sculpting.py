"""The section of the sculpting verdict."""

from __future__ import annotations

import math

from oddjet.analysis.report.page import Cell, Picture, Section, Table, make_picture, p_text
from oddjet.analysis.sculpting.files import draw_sculpting
from oddjet.analysis.sculpting.scores import ScoreVerdict, SculptingResult
from oddjet.analysis.sculpting.verdict import LEAST_POWER, LEVEL, Outcome

__all__ = ["sculpting_section"]

HINTS = {
    "inverse_jsd": "higher is less sculpted. A curve on the dashed line cannot be told from a score "
    "that is independent of the mass, with as many jets.",
    "relative_entropy": "left, lower is less sculpted; right, the best scores are above and left.",
}
CAPTIONS = {
    "inverse_jsd": "One over the Jensen–Shannon divergence between the masses of passing and failing "
    "background jets, against the rejection.",
    "relative_entropy": "Relative entropy of the background's mass after a cut to that before it, "
    "against the rejection, and the efficiency of the signals at it.",
}


def sculpting_section(found: SculptingResult) -> Section:
    """Show the verdicts, what the cuts do, and the masses before and after.

    Args:
        found: The verdicts.
    """
    first = found.scores[0].verdict
    low, high = found.mass_range
    left_out = f" Masses of {found.left_out} were left out." if found.left_out else ""
    method = (
        f"Does a cut on the score change the {found.mass} of {', '.join(found.datasets)}, from"
        f" {low:g} to {high:g} GeV?{left_out} The smallest p over all working points and pt bins is"
        f" ranked among {first.n_permutations} permutations of the mass within pt bins: a score that"
        f" does not know the mass has a p below {LEVEL:g} in at most 5 % of samples. FAIL: p <"
        f" {LEVEL:g} and the efficiency varies across the mass by more than"
        f" {100 * first.tolerance:g} %. PASS: not so, and {100 * LEAST_POWER:g} % of"
        f" {first.n_power_toys} toys with a correlation of {first.rho:g} would have been noticed."
        " Otherwise INCONCLUSIVE: too few jets to tell."
    )
    return Section(
        title="Does the cut sculpt the mass?",
        anchor="sculpting",
        paragraphs=(method, *(f"{e.column}: {e.verdict.sentence}" for e in found.scores)),
        warnings=tuple(
            f"A cut on {each.column} sculpts the mass: do not believe a bump found with it."
            for each in found.scores
            if each.verdict.outcome is Outcome.FAIL
        ),
        tables=(_verdicts(found),),
        pictures=_pictures(found),
        folded=tuple(table for each in found.scores for table in _details(each)),
        folded_title="Every working point and pt bin",
        numbers=found.to_dict(),
    )


def _verdicts(found: SculptingResult) -> Table:
    rows = tuple(
        (
            each.column,
            p_text(each.verdict.global_p),
            each.verdict.outcome.value,
            f"{100 * each.verdict.variation:.1f} %" if each.verdict.is_significant else None,
            f"{100 * each.verdict.power:.0f} %",
            each.verdict.n_jets,
            each.jsd(0.1),
            each.jsd(0.01),
        )
        for each in found.scores
    )
    return Table(
        ("Score", "p", "Verdict", "Variation", "Power", "Jets", "JSD at 10 %", "JSD at 1 %"),
        rows,
        "Variation of the background efficiency across the mass, of the significant cell where it is "
        "largest; Jensen–Shannon divergence of pass and fail [bits] at two working points.",
    )


def _pictures(found: SculptingResult) -> tuple[Picture, ...]:
    pictures = []
    for name, figure in draw_sculpting(found).items():
        column = name.removeprefix("mass_")
        caption = CAPTIONS.get(
            name,
            f"Mass of background jets before and after cuts on {column}, each with area 1; below,"
            " the efficiency across the mass. Dotted: the wanted efficiencies.",
        )
        hint = HINTS.get(name, "points that follow the dotted lines mean no sculpting.")
        pictures.append(make_picture(figure, caption, hint=hint))
    return tuple(pictures)


def _details(each: ScoreVerdict) -> tuple[Table, Table]:
    cells = Table(
        ("Cut", "pt [GeV]", "Jets", "Pass", "Efficiency", "Local p", "Variation"),
        tuple((f"{100 * row[0]:g} %", *row[1:]) for row in each.verdict.rows()),
        f"{each.column}: the test of every working point and pt bin; a dash where too few pass.",
    )
    signals = list(each.ladder[0].signal_efficiencies)
    window = bool(each.ladder[0].in_window)
    headers = ["Cut", "pt [GeV]", "D(after‖before) [nats]", "by chance", "JSD [bits]", "by chance"]
    headers += [f"{name} left" for name in signals]
    headers += [f"{name} left in the window" for name in signals if window]
    rows = []
    for rung in each.ladder:
        row: list[Cell] = [
            f"{100 * rung.working_point:g} %",
            f"{rung.pt_low:g}–{rung.pt_high:g}",
            str(rung.entropy),
            rung.entropy_by_chance,
            str(rung.jsd),
            rung.jsd_by_chance,
        ]
        row += [_known(rung.signal_efficiencies[name]) for name in signals]
        row += [_known(rung.in_window[name]) for name in signals if window]
        rows.append(tuple(row))
    caption = (
        f"{each.column}: divergences of the mass with 95 % intervals, and what a cut independent of"
        " the mass has on average."
    )
    if window:
        caption += " In the window, the cut is the quantile of the background in the window."
    return cells, Table(tuple(headers), tuple(rows), caption)


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value
