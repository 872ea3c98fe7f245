"""What a scan found in tables and sentences, for the section of the bump hunt and others."""

from __future__ import annotations

from oddjet.analysis.report.page import Cell, Table, p_text
from oddjet.analysis.statistics.bumphunt.result import CONDITIONAL, BumpHunt, ChannelScan

__all__ = [
    "SCANNED",
    "beyond",
    "cross_check_table",
    "cross_check_text",
    "events",
    "scan_paragraphs",
    "scan_table",
]

SCANNED = (
    "The most improbable window of each spectrum. Local p: with the uncertainty of the fit, from a "
    "formula; with the background taken as known; and the share of pseudo-experiments that did as "
    "well in this very window. Then that in any window of this spectrum. ≤ where none did as well. "
    "Last, of the fit beside the window: from χ², and how many pseudo-experiments are fitted as badly."
)
HOW = (
    "Every window of adjacent bins is tested for an excess over a function that is fitted to "
    "everything beside it, window by window, in the data and again in every pseudo-experiment. "
    "Working points and detectors share jets, so pseudo-experiments are drawn on the joint "
    "table of mass and of which cuts a jet passes."
)
HOW_CONDITIONAL = (
    "Jets that pass a cut are compared with jets that fail it. The share that passes follows the mass as a "
    "polynomial in ln(pass/fail), fitted to everything beside each window, in the data and again in every "
    "pseudo-experiment; more passing jets in the window than that share of all jets there are an excess. "
    "Pseudo-experiments keep the number of jets in each mass bin and draw again which cuts each of them "
    "passes, so no function of the mass spectrum is needed. The score bins between several cuts on one score are "
    "tested together as well, for an excess over the background that rises with the score, whatever its rise; seen "
    "and expected are then of the bins at the top in which it is largest. Bins of pt are fitted with shares of their "
    "own, and what is seen in them is added up."
)


def scan_table(scan: BumpHunt, caption: str) -> Table:
    """The most improbable window of each spectrum."""
    headers = (
        "Spectrum",
        "Window [GeV]",
        "Seen",
        "Expected",
        "Local p",
        "σ",
        "Local p, fixed background",
        "Local p, toys",
        "p over its windows",
        "Windows",
        "Goodness of fit p",
    )
    return Table(headers, tuple(_scan_row(channel) for channel in scan.channels), caption)


def cross_check_table(scan: BumpHunt | None) -> tuple[Table, ...]:
    """The scan by functions beside the conditional one."""
    if scan is None:
        return ()
    text = cross_check_text(scan)
    return (scan_table(scan, f"{text[0].upper()}{text[1:]}."),)


def cross_check_text(scan: BumpHunt) -> str:
    """The scan by functions beside the conditional one, in a sentence."""
    bound, best = "≤\u00a0" if scan.global_p_is_bound else "", scan.best
    return (
        f"cross-check by {scan.function} fitted beside each window, without the jets that fail: global p "
        f"{bound}{p_text(scan.global_p)} ({scan.global_significance:.1f}σ) over {scan.n_windows} windows of "
        f"{len(scan.channels)} spectra, at {best.window[0]:g}–{best.window[1]:g} GeV ({best.label}); it does "
        "not enter the other global p"
    )


def scan_paragraphs(scan: BumpHunt | None) -> tuple[str, ...]:
    """How spectra are scanned, and what was found."""
    if scan is None:
        return (f"After cuts on decorrelated scores: {HOW_CONDITIONAL}", f"After others: {HOW}")
    bound, more = ("≤\u00a0", "≥\u00a0") if scan.global_p_is_bound else ("", "")
    best = scan.best
    return (
        HOW_CONDITIONAL if scan.background in CONDITIONAL else HOW,
        (
            f"The most improbable window of all {scan.n_windows} in {len(scan.channels)} spectra is "
            f"{best.window[0]:g}–{best.window[1]:g} GeV ({best.label}). Spectra are compared by the rank of "
            "their smallest local p among those of their own pseudo-experiments. In "
            f"{scan.n_exceeding} of {scan.n_toys} background-only pseudo-experiments any spectrum had as "
            f"small a rank: global p {bound}{p_text(scan.global_p)} = ({scan.n_exceeding} + 1)/"
            f"({scan.n_toys} + 1), {more}{scan.global_significance:.1f}σ after everything that was "
            f"looked at.{beyond(scan)}"
        ),
    )


def beyond(scan: BumpHunt) -> str:
    """The global p where pseudo-experiments are too few to count it; empty where they are enough."""
    if scan.beyond is None:
        return ""
    return (
        f" Extrapolated beyond the pseudo-experiments (arXiv:1005.1891) the global p is "
        f"{p_text(scan.beyond.p)} ± {p_text(scan.beyond.error)}."
    )


def _scan_row(channel: ChannelScan) -> tuple[Cell, ...]:
    bound = "≤\u00a0" if channel.n_exceeding == 0 else ""
    here = "≤\u00a0" if channel.local_p_toys * (channel.n_toys + 1) < 1.5 else ""
    return (
        channel.label,
        f"{channel.window[0]:g}–{channel.window[1]:g}" if channel.has_excess else "no excess",
        int(channel.observed),
        f"{events(channel.expected)} ± {events(channel.expected_error)}",
        p_text(channel.local_p),
        f"{channel.local_significance:.1f}",
        p_text(channel.local_p_fixed_background),
        here + p_text(channel.local_p_toys),
        bound + p_text(channel.spectrum_p),
        channel.table.n_windows,
        channel.fit_text,
    )


def events(number: float) -> str:
    """Events with one decimal, and few events with two digits: 0.0 would hide that they are few."""
    return f"{number:.1f}" if not 0 < abs(number) < 1 else f"{number:.2g}"
