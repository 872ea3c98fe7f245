"""The section of the jet mass before and after the cuts."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np

from oddjet.analysis.hunt.hunt import Hunt
from oddjet.analysis.report.figures.mass import mass_before_after
from oddjet.analysis.report.figures.style import Histogram, PlotLabel
from oddjet.analysis.report.page import Cell, Picture, Section, Table
from oddjet.analysis.report.sections.labels import mass_name, sample_label

__all__ = ["mass_section"]


def mass_section(
    hunt: Hunt,
    *,
    window: tuple[float, float],
    background: Sequence[Histogram] = (),
    signals: Mapping[str, Sequence[Histogram]] | None = None,
    label: PlotLabel | None = None,
) -> Section:
    """Show the mass before and after each cut, of the hunted jets and of simulation.

    `background` is simulated: all jets first, then one histogram a working point; `signals` by name
    likewise, for the table of efficiencies. Spectra of the hunt are blinded where it is.
    """
    hunted = [
        Histogram(point.cut_name, point.edges, point.counts, point.counts)
        for point in hunt.main_points
    ]
    return Section(
        title="Jet mass before and after the cut",
        anchor="mass",
        paragraphs=(
            (
                f"Jets are cut on {hunt.column} at fixed background efficiencies, and "
                f"their mass ({hunt.mass}) is histogrammed."
            ),
        ),
        tables=_efficiencies(hunt, background, signals or {}, window),
        pictures=_pictures(hunt, hunted, background, window, label),
        numbers={
            "mass": hunt.mass,
            "score": hunt.column,
            "sample": hunt.sample.kind,
            "blinded": hunt.blinded,
            "window": list(window),
            "hunted": [dataclasses.asdict(histogram) for histogram in hunted],
            "background": [dataclasses.asdict(histogram) for histogram in background],
            "signals": {
                name: [dataclasses.asdict(histogram) for histogram in shapes]
                for name, shapes in (signals or {}).items()
            },
        },
    )


def _pictures(
    hunt: Hunt,
    hunted: Sequence[Histogram],
    background: Sequence[Histogram],
    window: tuple[float, float],
    label: PlotLabel | None,
) -> tuple[Picture, ...]:
    draw = partial(mass_before_after, axis_label=mass_name(hunt.mass), window=window)
    pictures = []
    if len(background) > 1:
        pictures.append(
            Picture(
                partial(draw, background[0], background[1:], label=label),
                "Mass of simulated background jets before and after each cut, each with area 1; "
                "below, the ratio to all jets.",
                hint="a flat ratio means that the cut does not sculpt the mass. A ratio that "
                "peaks near the window would make a bump out of background.",
                alt="Background mass before and after the cuts",
            )
        )
    if hunted[0].total > 0:
        draw = partial(draw, blind=hunt.blinded, label=sample_label(hunt.sample))
        pictures.append(
            Picture(
                partial(draw, hunted[0], hunted[1:]),
                f"The same for the jets that are hunted in ({hunt.sample.kind})."
                + (" The signal window is blinded." if hunt.blinded else ""),
                hint="a bump that grows from cut to cut, where the background's ratio above is "
                "flat, is what is looked for.",
                alt="Mass of the hunted jets before and after the cuts",
            )
        )
    return tuple(pictures)


def _inside(histogram: Histogram, window: tuple[float, float]) -> float:
    centres = histogram.centres
    return float(histogram.counts[(centres >= window[0]) & (centres < window[1])].sum())


def _efficiencies(
    hunt: Hunt,
    background: Sequence[Histogram],
    signals: Mapping[str, Sequence[Histogram]],
    window: tuple[float, float],
) -> tuple[Table, ...]:
    """Efficiencies of the cuts, over the histogram's range, and signal over √background."""
    if not background or background[0].total <= 0:
        return ()
    headers = ["Cut", "Background left"]
    for name in signals:
        headers += [f"{name} left", f"{name}: S/√B in the window, gain"]
    rows: list[tuple[Cell, ...]] = []
    for number, point in enumerate(hunt.main_points[: len(background)]):
        row: list[Cell] = [point.cut_name, background[number].total / background[0].total]
        kept = _inside(background[number], window) / max(_inside(background[0], window), 1e-300)
        for shapes in signals.values():
            share = _inside(shapes[number], window) / max(_inside(shapes[0], window), 1e-300)
            total = shapes[0].total
            row.append(shapes[number].total / total if total else None)
            row.append(f"× {share / np.sqrt(kept):.2f}" if kept > 0 else "–")
        rows.append(tuple(row))
    low, high = hunt.working_points[0].edges[[0, -1]]
    caption = (
        f"Fractions of simulated jets with a mass of {low:g} to {high:g} GeV that pass each cut, "
        "and what the cut does to S/√B in the signal window."
    )
    return (Table(tuple(headers), tuple(rows), caption),)
