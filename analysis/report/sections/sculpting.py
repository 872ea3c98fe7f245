"""The section of the sculpting verdict."""

from __future__ import annotations

import math
from functools import partial

from oddjet.analysis.report.figures.efficiencies import (
    efficiency_across_mass,
    fake_bumps_across_mass,
    inverse_divergence,
    relative_entropies,
)
from oddjet.analysis.report.figures.style import PlotLabel
from oddjet.analysis.report.page import Cell, Picture, Section, Table, p_text
from oddjet.analysis.report.sections.labels import mass_name
from oddjet.analysis.sculpting.fakes import CONFIDENCE
from oddjet.analysis.sculpting.scores import ScoreVerdict, SculptingResult
from oddjet.analysis.sculpting.verdict import LEAST_POWER, LEVEL, Outcome, Verdict

__all__ = ["sculpting_section"]


def sculpting_section(result: SculptingResult) -> Section:
    """Show the verdicts, what the cuts do, and the masses before and after; data beside simulation."""
    judged = [(sample, score) for sample in result.samples for score in sample.scores]
    return Section(
        title="Does the cut sculpt the mass?",
        anchor="sculpting",
        paragraphs=tuple(_method(sample) for sample in result.samples),
        statements=tuple(
            f"{_named(sample, score)}: {score.verdict.sentence}" for sample, score in judged
        ),
        warnings=tuple(
            _warning(sample, score)
            for sample, score in judged
            if score.verdict.outcome is Outcome.FAIL
        ),
        tables=(_verdicts(result), *([_separation(result)] if result.signals else [])),
        pictures=tuple(
            picture for sample in result.samples for picture in _pictures(sample, sample is result)
        ),
        folded=tuple(table for sample, score in judged for table in _details(sample, score)),
        folded_title="Every working point, window and pt bin",
        numbers=result.to_dict(),
    )


def _method(result: SculptingResult) -> str:
    first = result.scores[0].verdict
    low, high = result.mass_range
    left_out = f" Masses of {result.left_out} were left out." if result.left_out else ""
    names, peaking = ", ".join(result.datasets), " and ".join(result.peaking)
    if result.kind == "data":
        also = f", and so do known peaks ({peaking})" if peaking else ""
        return (
            f"The same was asked of the data ({names}).{left_out} There a signal changes the mass of what passes as well{also},"
            " and jets that are hunted in cannot outnumber themselves: data can FAIL a cut, but seldom PASS it."
        )
    if peaking:
        left_out += f" Known peaks ({peaking}) are left out: a cut that keeps more of them changes the mass as it should."
    return (
        f"Does a cut on the score change the {result.mass} of {names}, from {low:g} to {high:g} GeV, and would"
        f" the hunt see that as a bump?{left_out} In each window of the hunt, at its working points, the jets that pass are"
        f" compared with an efficiency that is smooth beside it; in each pt bin, pass with fail over the whole range. Both"
        f" are ranked among {first.n_permutations} permutations of the mass within pt bins: a score that is independent"
        f" of the mass has a p below {LEVEL:g} in at most 5 % of samples. FAIL: p < {LEVEL:g}, and what is"
        f" faked in a window is more than {first.allowed:g}σ of what the hunt resolves there (its statistics and the fit of"
        f" its background, in as many jets as are hunted in), or the efficiency varies over the range by more than"
        f" {100 * first.tolerance:g} %. PASS: not so; in no window can more than {first.allowed:g}σ be faked, at"
        f" {100 * CONFIDENCE:g} %; and {100 * LEAST_POWER:g} % of {first.n_power_toys} toys with a bump of 1σ, and"
        f" of as many with a correlation of {first.rho:g}, were noticed. Otherwise INCONCLUSIVE: too few jets to decide."
    )


def _named(sample: SculptingResult, score: ScoreVerdict) -> str:
    return f"{score.column} on data" if sample.kind == "data" else score.column


def _warning(sample: SculptingResult, score: ScoreVerdict) -> str:
    if sample.kind == "data":
        return (
            f"In data the mass depends on {score.column}: it is sculpted, or there is a signal{' or a known peak' * bool(sample.peaking)}."
            " What simulation says tells these apart, not the data."
        )
    return f"A cut on {score.column} sculpts the mass: do not believe a bump found with it."


def _verdicts(result: SculptingResult) -> Table:
    rows = tuple(
        (
            _named(sample, score),
            score.verdict.outcome.value,
            p_text(score.verdict.global_p),
            score.verdict.largest.upper,
            f"{score.verdict.largest.upper_sigmas:.2g}σ",
            _variation(score.verdict),
            f"{100 * score.verdict.power_bump:.0f} %, {100 * score.verdict.power:.0f} %",
            score.verdict.n_jets,
            round(score.verdict.n_hunted),
            score.jsd(0.1),
            score.jsd(0.01),
        )
        for sample in result.samples
        for score in sample.scores
    )
    headers = ("Score", "Verdict", "p", "May fake", "of the hunt's σ", "Variation", "Power")
    return Table(
        (*headers, "Jets", "Hunted in", "JSD at 10 %", "JSD at 1 %"),
        rows,
        "What may still be faked in any window, in events and over the hunt's resolution there (95 %); variation of the"
        " efficiency over the whole range, of the significant cell where it is largest; power against a bump of 1σ and against"
        " a correlation; Jensen–Shannon divergence of pass and fail [bits] at two working points.",
    )


def _variation(verdict: Verdict) -> str | None:
    return f"{100 * verdict.variation:.1f} %" if verdict.varying.global_p < LEVEL else None


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


def _pictures(result: SculptingResult, with_divergences: bool) -> tuple[Picture, ...]:
    status = "data" if result.kind == "data" else "simulation"
    steps = {score.column: score.inclusive for score in result.scores}
    label = PlotLabel(status, ", ".join(result.datasets))
    ending = "" if with_divergences else "_data"
    drawn = []
    for score in result.scores:
        name = f"{score.column}{ending}"
        drawn += [_mass_picture(result, score, status, name), _bump_picture(score, status, name)]
    if not with_divergences:
        return tuple(drawn)
    return (
        *drawn,
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


def _bump_picture(score: ScoreVerdict, status: str, name: str) -> Picture:
    label = PlotLabel(status, f"{score.column}: {score.verdict.outcome.value}")
    return Picture(
        partial(fake_bumps_across_mass, score.verdict, label=label),
        f"Bumps that a cut on {score.column} can fake, over what the hunt resolves: the largest of the windows"
        " that hold each mass. Full: measured; dashed: upper bounds at 95 %; dotted: what is allowed.",
        hint="a PASS needs all dashed lines below the dotted one.",
        name=f"fakes_{name}",
    )


def _mass_picture(result: SculptingResult, score: ScoreVerdict, status: str, name: str) -> Picture:
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
        name=f"mass_{name}",
    )


def _details(sample: SculptingResult, score: ScoreVerdict) -> tuple[Table, ...]:
    verdict, name = score.verdict, _named(sample, score)
    points = dict.fromkeys(window.working_point for window in verdict.windows)
    largest = [verdict.largest_of(point) for point in points]
    windows = Table(
        (
            "Cut",
            "Window [GeV]",
            "Expected",
            "Faked",
            "At most",
            "σ of the hunt",
            "At most, in σ",
            "Local p",
        ),
        tuple(
            (
                f"{100 * bump.working_point:g} %",
                f"{bump.low:g}–{bump.high:g}",
                bump.expected,
                f"{bump.fake:.2g} ± {bump.error:.2g}",
                bump.upper,
                bump.resolution,
                bump.upper_sigmas,
                bump.local_p,
            )
            for bump in largest
        ),
        f"{name}: of each cut the window in which most may be faked, in events of the hunt.",
    )
    return (windows, *_over_the_range(score, name))


def _over_the_range(score: ScoreVerdict, name: str) -> tuple[Table, Table]:
    cells = Table(
        ("Cut", "pt [GeV]", "Jets", "Pass", "Efficiency", "Local p", "Variation"),
        tuple((f"{100 * row[0]:g} %", *row[1:]) for row in score.verdict.rows()),
        f"{name}: the test of every working point and pt bin; a dash where too few pass.",
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
        f"{name}: divergences of the mass with 95 % intervals, and what a cut independent of"
        " the mass has on average."
    )
    if window:
        caption += " In the window, the cut is the quantile of the background in the window."
    return cells, Table(tuple(headers), tuple(rows), caption)


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value
