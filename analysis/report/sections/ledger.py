"""The section of the looks at data."""

from __future__ import annotations

from typing import Any

from oddjet.analysis.hunt.ledger import Entry, Ledger, Together
from oddjet.analysis.report.page import Cell, Section, Table, p_text
from oddjet.analysis.statistics.bumphunt.pvalues import significance

__all__ = ["ledger_section"]


def ledger_section(ledger: Ledger) -> Section:
    """Show every look at the data of a run, how many they are, and the p of all together."""
    return Section(
        title="Looks at the data",
        anchor="ledger",
        paragraphs=(
            (
                "Every hunt in data, and every unblinding, is a line of the run's ledger. A global p is "
                "corrected for what one hunt scanned; the p of all looks together is corrected for the number of "
                "hunts too, those that were dropped among them. The same look twice counts once; what is scanned "
                "jointly is one look. Looks that share jets depend on each other, so that this p is rather too large."
            ),
        ),
        warnings=tuple(
            f"{ledger.path}: {problem}: the number of looks is not known for certain"
            for problem in ledger.problems
        ),
        statements=_statements(ledger),
        tables=(Table(HEADERS, tuple(map(_row, ledger.entries)), str(ledger.path)),)
        if ledger.entries
        else (),
        numbers=ledger.to_dict(),
    )


HEADERS = ("Time (UTC)", "What", "Scores", "Background left", "Window [GeV]", "Function", "p")

WHAT = {
    "hunt": "scanned",
    "explore": "explored a part",
    "test": "tested what had been written down",
    "blinded": "beside the window alone",
    "unblinding": "unblinded",
    "limit": "limit under a signal",
}


def _statements(ledger: Ledger) -> tuple[str, ...]:
    first = ledger.unblindings[0].time if ledger.unblindings else ""
    unblinded = (
        f"the data were first unblinded at {first}" if first else "no unblinding is recorded"
    )
    looks, explorations = ledger.looks, ledger.explorations
    nothing = "no hunt" if ledger.n_limits else "no look at data"
    counted = f"{nothing} under the signal is recorded" if looks is None else _told(looks, "look")
    texts = [f"{counted}; {unblinded}"]
    if n := ledger.n_limits:
        texts.append(
            f"{n} limit{'s' * (n > 1)} under a signal recorded; local p of limits are in no p of all together"
        )
    if explorations is not None:
        what = _told(explorations, "exploration")
        texts.append(f"{what}; explorations choose what other jets test, and are no result")
    return tuple(texts)


def _told(looks: Together, name: str) -> str:
    plural = "" if looks.n_looks == 1 else "s"
    return (
        f"{looks.n_looks} {name}{plural} recorded, smallest p {p_text(looks.smallest)}; all together p = "
        f"{p_text(looks.p)} ({significance(looks.p):.1f}σ)"
    )


def _row(entry: Entry) -> tuple[Cell, ...]:
    about: dict[str, Any] = entry.look
    hunt = about.get("hunt") or about
    window = hunt.get("window")
    bound = "≤\u00a0" if entry.is_bound else ""
    return (
        entry.time.removesuffix("+00:00").replace("T", " "),
        WHAT.get(entry.event, entry.event),
        ", ".join(about.get("scores", ())) or about.get("source", "–"),
        ", ".join(f"{100 * share:g} %" for share in hunt.get("working_points", ())) or "–",
        f"{window[0]:g}–{window[1]:g}" if window else "–",
        hunt.get("function", "–"),
        "–" if entry.p is None else bound + p_text(entry.p),
    )
