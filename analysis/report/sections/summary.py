"""The headline of the report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from oddjet.analysis.hunt.hunt import Hunt
from oddjet.analysis.report.page import Card, p_text
from oddjet.analysis.scores.quality import Quality
from oddjet.analysis.sculpting.scores import SculptingResult
from oddjet.analysis.sculpting.verdict import Outcome
from oddjet.analysis.statistics.bumphunt.pvalues import significance

__all__ = ["headline_cards", "headline_numbers"]


def headline_cards(
    *,
    n_jets: int,
    blinded: bool = False,
    qualities: Sequence[Quality] = (),
    hunt: Hunt | None = None,
    sculpting: SculptingResult | None = None,
    sculpting_problem: str = "",
) -> tuple[Card, ...]:
    """Make the cards at the top of the report; `blinded` where `n_jets` leaves out hidden jets of data."""
    note = "those of data that are blinded left out" if blinded else ""
    cards = [Card("Jets skimmed", f"{n_jets:,}".replace(",", "\u202f"), note)]
    for quality in _of_hunted_score(qualities, hunt):
        area = quality.evaluation.auc
        cards.append(
            Card(
                f"AUC of {quality.column}, {quality.signal}",
                f"{area.value:.3f}",
                f"95 %: {area.low:.3f} to {area.high:.3f}, {quality.which} jets",
            )
        )
    if sculpting is not None or sculpting_problem:
        cards.append(_verdict_card(sculpting, sculpting_problem))
    return (*cards, *([] if hunt is None else _hunt_cards(hunt)))


def _verdict_card(sculpting: SculptingResult | None, problem: str) -> Card:
    if sculpting is None:
        return Card("Does the cut sculpt the mass?", "not judged", problem[:120], "warning")
    first = sculpting.scores[0]
    outcome = first.verdict.outcome
    largest = first.verdict.largest
    note = (
        f"{first.column}: p = {p_text(first.verdict.global_p)}, {first.verdict.n_jets:,} jets; up to"
        f" {largest.upper_sigmas:.2g}σ may be faked"
    )
    if sculpting.beside is not None:
        note += f"; on data {sculpting.beside.scores[0].verdict.outcome.value}"
    tone: Literal["strong", "warning"] = "strong" if outcome is Outcome.PASS else "warning"
    return Card("Does the cut sculpt the mass?", outcome.value, note, tone)


def _of_hunted_score(qualities: Sequence[Quality], hunt: Hunt | None) -> list[Quality]:
    if hunt is None:
        return list(qualities[:1])
    return [quality for quality in qualities if quality.column == hunt.column]


def _hunt_cards(hunt: Hunt) -> list[Card]:
    scan = hunt.bump_hunt
    if scan is None:
        value = "blinded" if hunt.blinded and hunt.tightest.fit is not None else "none"
        where = f"{hunt.tightest.name}, {hunt.sample.kind}"
        problem = hunt.problem or hunt.tightest.problem
        return [Card("Bump hunt", value, f"{where}: {problem[:120]}", "warning")]
    best = scan.best
    window = f"{best.window[0]:g}–{best.window[1]:g} GeV" if best.has_excess else "no excess"
    bound, more = ("≤\u00a0", "≥\u00a0") if scan.global_p_is_bound else ("", "")
    seen = f"{best.observed:.0f} seen, {best.expected:.1f} ± {best.expected_error:.1f} expected"
    looked = f"{scan.n_windows} windows of {len(scan.channels)} spectra"
    return [
        Card("Most improbable window", window, f"{seen}; {best.label}, {hunt.sample.kind}"),
        Card(
            "Local p",
            p_text(best.quoted_p),
            f"{significance(best.quoted_p):.1f}σ"
            + (", of pseudo-experiments" if best.quoted_p != best.local_p else "")
            + ("; flagged, see the bump hunt" if best.flags else ""),
            "warning" if best.flags else "plain",
        ),
        Card(
            "Global p",
            bound + p_text(scan.global_p),
            f"{more}{scan.global_significance:.1f}σ after {looked}",
            "strong" if scan.global_p < 0.05 else "plain",
        ),
    ]


def headline_numbers(
    *,
    n_jets: int,
    qualities: Sequence[Quality] = (),
    hunt: Hunt | None = None,
    sculpting: SculptingResult | None = None,
) -> dict[str, Any]:
    """The same headline for the JSON."""
    numbers: dict[str, Any] = {
        "n_jets": n_jets,
        "auc": [quality.to_dict() for quality in _of_hunted_score(qualities, hunt)],
    }
    if sculpting is not None:
        numbers["sculpting"] = {e.column: e.verdict.outcome.value for e in sculpting.scores}
        if (beside := sculpting.beside) is not None:
            numbers["sculpting_of_data"] = {
                e.column: e.verdict.outcome.value for e in beside.scores
            }
    if hunt is not None:
        scan = None if hunt.bump_hunt is None else hunt.bump_hunt.to_dict()
        keys = (
            "spectrum",
            "window",
            "local_p",
            "local_significance",
            "global_p",
            "global_significance",
            "global_p_is_upper_bound",
            "flags",
        )
        numbers |= {
            "sample": hunt.sample.kind,
            "blinded": hunt.blinded,
            "problem": hunt.problem,
            **{key: None if scan is None else scan[key] for key in keys},
        }
    return numbers
