"""A model whose bins are channels of their own, as a datacard of Combine: numbers alone, without shapes.

It is the same likelihood as that of oddjet and of pyhf. Combine has no vertical interpolation of a single number, so a
yield that a shape changes is multiplied by a formula, a polynomial inside ±1σ and straight lines outside.

References:
    CMS, arXiv:2404.06614, sections 3.1 (``lnN``, ``rateParam``) and 4; CERN-OPEN-2012-016, section 4.1.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from oddjet.analysis.statistics.exchange.model import Channel, Sample

__all__ = ["SOFT", "aligned", "counting_card"]

SOFT = 0.02
"""Part of a bin's nominal content at which the varied shape bends away from zero; it changes others by 1e-4."""
MOST = 1e4


def counting_card(channel: Channel) -> str:
    """Give the text of the card.

    A column is a process in a bin that expects something there. Free factors are ``rateParam``, yields and log-modes
    ``lnN``; nuisances of shapes are ``param`` of unit width.
    """
    columns = [
        (i, number, sample)
        for i in range(channel.n_bins)
        for number, sample in _numbered(channel, i)
    ]
    names = [name for name in channel.nuisances if name not in channel.unconstrained]
    logs = {(i, sample.name): sample.logs(i) for i, _, sample in columns}
    rows = [
        ["bin", "", *(channel.cells[i] for i, _, _ in columns)],
        ["process", "", *(sample.name for _, _, sample in columns)],
        ["process", "", *(str(number) for _, number, _ in columns)],
        ["rate", "", *(f"{_rate(sample, i):.10g}" for i, _, sample in columns)],
    ]
    shared = []
    for name in names:
        values = [logs[i, sample.name].get(name) for i, _, sample in columns]
        if any(values):
            shared.append([name, "lnN", *("-" if not v else f"{math.exp(v):.12g}" for v in values)])
    seen = [["bin", *channel.cells], ["observation", *(f"{n:.10g}" for n in channel.data)]]
    lines = [
        "# Written by oddjet: every bin of mass, of pt and of the score is a channel.",
        *(["# Blinded: the observation is the expected background."] * (channel.observed is None)),
        *(f"# {note}" for note in channel.notes),
        f"imax {channel.n_bins}  number of channels",
        f"jmax {len(channel.samples) - 1}  number of backgrounds",
        "kmax *  number of nuisance parameters",
        "-" * 72,
        *aligned(seen),
        "-" * 72,
        *aligned(rows),
        "-" * 72,
        *aligned(shared),
    ]
    return "\n".join([*lines, *_parameters(channel, columns)]) + "\n"


def _numbered(channel: Channel, cell: int) -> list[tuple[int, Sample]]:
    """Processes of a bin with their numbers: the signal's is 0, those of backgrounds are from 1."""
    backgrounds = [sample.name for sample in channel.samples if not sample.is_signal]
    return [
        (0 if sample.is_signal else 1 + backgrounds.index(sample.name), sample)
        for sample in channel.parts(cell)
    ]


def _parameters(channel: Channel, columns: list[tuple[int, int, Sample]]) -> Iterator[str]:
    """Lines of the free factors, and of what changes shapes."""
    constrained: dict[str, None] = {}
    for i, _, sample in columns:
        at = f"{channel.cells[i]} {sample.name}"
        for name in sample.multipliers(i):
            yield f"{name} rateParam {at} 1 [0,{MOST:g}]"
        if sample.scaled_by:
            yield f"{sample.scaled_by} rateParam {at} 0 [-7,7]"
            constrained[sample.scaled_by] = None
        if changes := sample.varied(i):
            formula = _formula(sample.expected[i], _rate(sample, i), list(changes.values()))
            yield f"{sample.name}_{channel.cells[i]} rateParam {at} {formula} {','.join(changes)}"
            constrained |= dict.fromkeys(changes)
    for name in constrained:
        yield f"{name} param 0 1"


def _rate(sample: Sample, cell: int) -> float:
    """Number in the card: what is expected, or the most that a shape makes of nothing."""
    if sample.expected[cell] > 0:
        return float(sample.expected[cell])
    return max(max(pair) for pair in sample.varied(cell).values()) or 1.0


def _formula(nominal: float, rate: float, changes: list[tuple[float, float]]) -> str:
    """Write the yield over the rate: vertical interpolation, and bent away from zero."""
    terms = [f"{nominal / rate:.12g}"]
    for place, (down, up) in enumerate(changes):
        x, high, low = f"@{place}", up / rate, -down / rate
        mean, bend = 0.5 * (high + low), 0.0625 * (high - low)
        terms.append(
            f"(abs({x})<1)*{x}*({mean:.12g}+({bend:.12g})*{x}*(15-10*{x}*{x}+3*{x}*{x}*{x}*{x}))"
            f"+({x}>=1)*{x}*({high:.12g})+({x}<=-1)*{x}*({low:.12g})"
        )
    value, soft = f"({'+'.join(terms)})", SOFT * nominal / rate
    norm = 1.0 / (1.0 + (1.0 + SOFT**2) ** 0.5)
    return f"{norm:.12g}*({value}+sqrt({value}*{value}+{soft**2:.12g}))"


def aligned(rows: list[list[str]]) -> list[str]:
    """Give rows of cells as lines, columns below each other."""
    if not rows:
        return []
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        " ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
