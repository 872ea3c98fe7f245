"""Pictures of the sculpting verdict: the mass at each cut, fake bumps, and divergences against rejection."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from oddjet.analysis.report.figures import draw
from oddjet.analysis.report.figures.style import (
    DASHES,
    DATA,
    Histogram,
    PlotLabel,
    efficiency_name,
    legend_text,
    styled,
)
from oddjet.analysis.sculpting.efficiencies import EfficiencyStep, Shapes
from oddjet.analysis.sculpting.entropy import Sculpted
from oddjet.analysis.sculpting.verdict import Verdict

__all__ = [
    "efficiency_across_mass",
    "fake_bumps_across_mass",
    "inverse_divergence",
    "relative_entropies",
]

Cut = TypeVar("Cut", bound=Sculpted)


@styled
def efficiency_across_mass(
    shapes: Shapes,
    *,
    axis_label: str = "Jet soft-drop mass [GeV]",
    window: tuple[float, float] | None = None,
    excluded: bool = False,
    label: PlotLabel | None = None,
) -> Figure:
    """Draw the mass before and after each cut, each with area 1, and the efficiencies below.

    A cut that leaves fewer than five jets a bin has no shape drawn, only efficiencies.

    The signal window [GeV] is shaded; hatched if its jets were `excluded`.
    """
    figure = draw.new_figure(7.2, 7.4)
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=[1.5, 1])
    colours = draw.sequence_colours(len(shapes.working_points))
    if window is not None:
        for axes in (top, bottom):
            (draw.hatch if excluded else draw.shade)(axes, window)
    before = Histogram("all", shapes.edges, shapes.before, shapes.before_variances)
    draw.steps(top, before, *before.density(), color=DATA)
    centres, widths, drawn = before.centres, np.diff(before.edges), list(shapes.working_points)
    for k, (point, colour) in enumerate(zip(shapes.working_points, colours, strict=True)):
        after = Histogram(
            efficiency_name(point), shapes.edges, shapes.after[k], shapes.after_variances[k]
        )
        # The shape of a handful of jets would be taller than everything there is to compare.
        if after.total**2 > 5 * len(centres) * float(after.variances.sum()):
            draw.steps(top, after, *after.density(), color=colour)
        # An efficiency that could be zero would only fill the logarithmic axis.
        values, errors = shapes.efficiencies[k], shapes.errors[k]
        rows = (values > 0) & (errors < 0.7 * values)
        bars = (centres[rows], values[rows], errors[rows], 0.5 * widths[rows])
        bottom.errorbar(*bars, fmt="o", ms=3, lw=1.1, color=colour)
        bottom.axhline(point, color=colour, lw=0.9, ls=":")
        drawn += values[rows].tolist()
    bottom.set(yscale="log", ylim=(min(drawn) / 2, min(max(drawn) * 2, 1.5)), xlabel=axis_label)
    bottom.set(ylabel="Background efficiency", xlim=(shapes.edges[0], shapes.edges[-1]))
    top.set(ylabel="Fraction of jets / GeV", ylim=(0, 1.25 * top.get_ylim()[1]))
    top.legend(title="background that passes", ncols=2, fontsize=9.5, title_fontsize=9.5)
    draw.title(top, label)
    return figure


@styled
def fake_bumps_across_mass(verdict: Verdict, *, label: PlotLabel | None = None) -> Figure:
    """Draw for each mass the largest bump that a cut fakes in a window there, and its upper bound, in σ of the hunt."""
    figure, axes = draw.new_axes(7.2, 5.0)
    ends = [end for window in verdict.windows for end in (window.low, window.high)]
    edges = np.unique(ends)
    points = list(dict.fromkeys(window.working_point for window in verdict.windows))
    for point, colour in zip(points, draw.sequence_colours(len(points)), strict=True):
        largest = np.full((2, len(edges) - 1), np.nan)
        for window in verdict.windows:
            if window.working_point == point:
                inside = (edges[:-1] >= window.low) & (edges[1:] <= window.high)
                values = np.array([[window.fake_sigmas], [window.upper_sigmas]])
                largest[:, inside] = np.fmax(largest[:, inside], values)
        name = efficiency_name(point)
        axes.stairs(largest[0], edges, baseline=None, color=colour, lw=1.6, label=name)
        axes.stairs(largest[1], edges, baseline=None, color=colour, lw=1.1, ls="--")
    axes.axhline(verdict.allowed, color=DATA, lw=1.1, ls=":")
    low, high = axes.get_ylim()
    axes.set(xlabel="Mass [GeV]", ylabel="Fake bump / resolution of the hunt")
    axes.set(xlim=(edges[0], edges[-1]), ylim=(min(low, 0.0), 1.3 * max(high, verdict.allowed)))
    axes.legend(ncols=2 if len(points) > 3 else 1, fontsize=9.5)
    draw.title(axes, label)
    return figure


@styled
def inverse_divergence(
    scores: Mapping[str, Sequence[EfficiencyStep]], *, label: PlotLabel | None = None
) -> Figure:
    """Draw 1/JSD against the background rejection, one curve a score.

    A dashed curve is what a cut independent of the mass would reach with as many jets: nothing that
    comes near it can be distinguished from independence.

    References:
        ATLAS, ATL-PHYS-PUB-2018-014.
    """
    figure, axes = draw.new_axes(7.2, 5.4)
    for number, (name, steps) in enumerate(scores.items()):
        ceiling = 30 / np.array([step.jsd_by_chance for step in steps])
        # The lower end of a divergence may be 0, and its inverse beyond any axis.
        ends = np.transpose([(step.jsd.value, step.jsd.low, step.jsd.high) for step in steps])
        inverse = 1 / np.maximum(ends, 1 / ceiling)
        look: dict[str, Any] = {
            "ms": 4,
            "color": draw.colour_of(number),
            "label": legend_text(name),
        }
        draw.line(axes, _rejections(steps), inverse[0], (inverse[2], inverse[1]), **look)
    _draw_chance(axes, scores, lambda step: 1 / step.jsd_by_chance)
    axes.set_yscale("log")
    low_end, high_end = axes.get_ylim()
    axes.set_ylim(low_end, high_end * (high_end / low_end) ** 0.3)
    _rejection_axis(axes, scores)
    axes.set_ylabel("1 / JSD of pass and fail [1/bit]")
    axes.legend(fontsize=9.5, ncols=2 if len(scores) > 3 else 1)
    draw.title(axes, label)
    return figure


@styled
def relative_entropies(
    scores: Mapping[str, Sequence[Sculpted]], *, label: PlotLabel | None = None
) -> Figure:
    """Draw the relative entropy against the rejection, and the signal efficiency on the right.

    References:
        Golling et al., The Mass-ive Issue, figure 4.
    """
    figure = draw.new_figure(11.2, 4.8)
    left, right = figure.subplots(1, 2)
    signals: list[str] = []
    for number, (name, steps) in enumerate(scores.items()):
        colour = draw.colour_of(number)
        entropies = [step.entropy for step in steps]
        look: dict[str, Any] = {"ms": 4, "color": colour}
        draw.intervals(left, _rejections(steps), entropies, label=legend_text(name), **look)
        for signal in steps[0].signal_efficiencies:
            if signal not in signals:
                signals.append(signal)
            right.plot(
                [entropy.value for entropy in entropies],
                [step.signal_efficiencies[signal] for step in steps],
                "o",
                ls=DASHES[signals.index(signal) % len(DASHES)],
                label=legend_text(f"{name}, {signal}"),
                **look,
            )
    _draw_chance(left, scores, lambda step: step.entropy_by_chance)
    _rejection_axis(left, scores)
    left.set(ylabel="Relative entropy after ‖ before [nats]", ylim=(0, 1.2 * left.get_ylim()[1]))
    left.legend(loc="upper left", fontsize=9.5)
    right.set_xlabel("Relative entropy after ‖ before [nats]")
    right.set_ylabel("Signal efficiency $\\epsilon_s$")
    if signals:
        right.set_ylim(0, 1.4)
        right.set_xlim(left=0)
        right.legend(loc="upper right", fontsize=8.5, ncols=2)
    else:
        right.text(0.5, 0.5, "no signal given", transform=right.transAxes, ha="center")
    for axes in (left, right):
        draw.title(axes, label)
    return figure


def _rejections(steps: Sequence[Sculpted]) -> list[float]:
    return [1 / step.efficiency for step in steps]


def _draw_chance(
    axes: Axes, scores: Mapping[str, Sequence[Cut]], value: Callable[[Cut], float]
) -> None:
    """Draw what a cut that is independent of the mass reaches, for as many jets."""
    for steps in list(scores.values())[:1]:
        chance, name = [value(step) for step in steps], "independent of the mass"
        axes.plot(_rejections(steps), chance, "--", color=DATA, lw=1.2, label=name)


def _rejection_axis(axes: Axes, scores: Mapping[str, Sequence[Sculpted]]) -> None:
    draw.log_ticks(axes, (1 / step.working_point for steps in scores.values() for step in steps))
    axes.set_xlabel("Background rejection $1/\\epsilon_b$")
