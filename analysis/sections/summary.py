"""The headline of the report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from oddjet.analysis.hunt import Hunt
from oddjet.analysis.quality import Quality
from oddjet.analysis.report import Card, p_text

__all__ = ["headline_cards", "headline_numbers"]


def headline_cards(
    *, n_jets: int, qualities: Sequence[Quality] = (), hunt: Hunt | None = None
) -> tuple[Card, ...]:
    """Make the cards at the top of the report.

    Args:
        n_jets: Jets in the skim.
        qualities: How well scores separate; those of the hunted score are shown.
        hunt: The hunt; its tightest working point is shown.
    """
    cards = [Card("Jets skimmed", f"{n_jets:,}".replace(",", "\u202f"))]
    for quality in _of_hunted_score(qualities, hunt):
        area = quality.evaluation.auc
        cards.append(
            Card(
                f"AUC of {quality.column}, {quality.signal}",
                f"{area.value:.3f}",
                f"95 %: {area.low:.3f} to {area.high:.3f}, {quality.which} jets",
            )
        )
    return (*cards, *([] if hunt is None else _hunt_cards(hunt)))


def _of_hunted_score(qualities: Sequence[Quality], hunt: Hunt | None) -> list[Quality]:
    if hunt is None:
        return list(qualities[:1])
    return [quality for quality in qualities if quality.column == hunt.column]


def _hunt_cards(hunt: Hunt) -> list[Card]:
    point = hunt.tightest
    where = f"{point.name}, {hunt.sample.kind}"
    if point.scan is None:
        value = "blinded" if hunt.blinded and point.fit is not None else "none"
        return [Card("Bump hunt", value, f"{where}: {point.problem[:120]}", "warning")]
    found = point.scan
    window = f"{found.window[0]:g}–{found.window[1]:g} GeV" if found.has_excess else "no excess"
    bound, more = ("≤\u00a0", "≥\u00a0") if found.global_p_is_bound else ("", "")
    seen = f"{found.observed:.0f} seen, {found.expected:.1f} expected; {where}"
    return [
        Card("Most improbable window", window, seen),
        Card(
            "Local p (fixed background)",
            p_text(found.local_p_fixed_background),
            f"{found.local_significance:.1f}σ",
        ),
        Card(
            "Global p (fixed background)",
            bound + p_text(found.global_p_fixed_background),
            f"{more}{found.global_significance:.1f}σ over {found.table.n_windows} windows",
            "strong" if found.global_p_fixed_background < 0.05 else "plain",
        ),
    ]


def headline_numbers(
    *, n_jets: int, qualities: Sequence[Quality] = (), hunt: Hunt | None = None
) -> dict[str, Any]:
    """The same headline for the JSON.

    Args:
        n_jets: Jets in the skim.
        qualities: How well scores separate.
        hunt: The hunt; its tightest working point is given.
    """
    numbers: dict[str, Any] = {
        "n_jets": n_jets,
        "auc": [quality.to_dict() for quality in _of_hunted_score(qualities, hunt)],
    }
    if hunt is not None:
        point = hunt.tightest
        scan = None if point.scan is None else point.scan.to_dict()
        keys = (
            "window",
            "observed",
            "expected",
            "local_p_fixed_background",
            "global_p_fixed_background",
            "global_p_is_upper_bound",
        )
        numbers |= {
            "sample": hunt.sample.kind,
            "blinded": hunt.blinded,
            "background_efficiency": point.efficiency,
            "problem": point.problem,
            **{key: None if scan is None else scan[key] for key in keys},
        }
    return numbers
