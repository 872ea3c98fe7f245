"""Pictures of the sculpting verdict: the mass at each cut, and divergences against rejection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from oddjet.analysis.report.figures.style import (
    COLOURS,
    DATA,
    Histogram,
    PlotLabel,
    draw_label,
    draw_steps,
    efficiency_name,
    hatch_window,
    legend_text,
    new_figure,
    sequence_colours,
    shade_window,
    styled,
)
from oddjet.analysis.sculpting.efficiencies import EfficiencyStep, Shapes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["efficiency_across_mass", "inverse_divergence", "relative_entropies"]

DASHES = ("-", "--", ":", "-.")


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

    Args:
        shapes: What `mass_shapes` gives.
        axis_label: The mass with its unit.
        window: Signal window [GeV].
        excluded: The window's jets were left out: it is hatched.
        label: Text above the axes.
    """
    figure = new_figure(7.2, 7.4)
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=[1.5, 1])
    centres = 0.5 * (shapes.edges[:-1] + shapes.edges[1:])
    colours = sequence_colours(len(shapes.working_points))
    if window is not None:
        for axes in (top, bottom):
            (hatch_window if excluded else shade_window)(axes, window)
    before = Histogram("all", shapes.edges, shapes.before, shapes.before_variances)
    draw_steps(top, before, *before.density(), color=DATA)
    smallest, largest = 1.0, 0.0
    for k, (point, colour) in enumerate(zip(shapes.working_points, colours, strict=True)):
        after = Histogram(
            efficiency_name(point), shapes.edges, shapes.after[k], shapes.after_variances[k]
        )
        # The shape of a handful of jets would be taller than everything there is to compare.
        if after.total**2 > 5 * len(centres) * float(after.variances.sum()):
            draw_steps(top, after, *after.density(), color=colour)
        # An efficiency that nobody can tell from nothing would only fill the logarithmic axis.
        values, errors = shapes.efficiencies[k], shapes.errors[k]
        shown = (values > 0) & (errors < 0.7 * values)
        bottom.errorbar(
            centres[shown],
            values[shown],
            errors[shown],
            0.5 * np.diff(shapes.edges)[shown],
            fmt="o",
            ms=3,
            lw=1.1,
            color=colour,
        )
        bottom.axhline(point, color=colour, lw=0.9, ls=":")
        smallest = min(smallest, point, *values[shown].tolist())
        largest = max(largest, point, *values[shown].tolist())
    bottom.set_yscale("log")
    bottom.set_ylim(smallest / 2, min(largest * 2, 1.5))
    bottom.set_xlabel(axis_label)
    bottom.set_ylabel("Background efficiency")
    bottom.set_xlim(shapes.edges[0], shapes.edges[-1])
    top.set_ylabel("Fraction of jets / GeV")
    top.set_ylim(0, 1.25 * top.get_ylim()[1])
    top.legend(title="background that passes", ncols=2, fontsize=9.5, title_fontsize=9.5)
    draw_label(top, label or PlotLabel())
    return figure


@styled
def inverse_divergence(
    scores: Mapping[str, Sequence[EfficiencyStep]], *, label: PlotLabel | None = None
) -> Figure:
    """Draw 1/JSD against the background rejection, one curve a score.

    A dashed curve is what a cut blind to the mass would reach with as many jets: nothing that
    comes near it can be told from independence.

    Args:
        scores: Score to its cuts in one range of pt.
        label: Text above the axes.

    References:
        ATLAS, ATL-PHYS-PUB-2018-014.
    """
    figure = new_figure(7.2, 5.4)
    axes = figure.subplots()
    for number, (name, steps) in enumerate(scores.items()):
        colour = COLOURS[number % len(COLOURS)]
        x = _rejections(steps)
        value, low, high = (
            np.array([getattr(step.jsd, end) for step in steps]) for end in ("value", "low", "high")
        )
        ceiling = 30 / np.array([step.jsd_by_chance for step in steps])
        # The lower end of a divergence may be 0, and its inverse beyond any axis.
        inverse = 1 / np.maximum(np.array([value, low, high]), 1 / ceiling)
        axes.plot(x, inverse[0], "o-", ms=4, color=colour, label=legend_text(name))
        axes.fill_between(x, inverse[2], inverse[1], color=colour, alpha=0.16, lw=0)
    if scores:
        steps = next(iter(scores.values()))
        chance = [1 / step.jsd_by_chance for step in steps]
        axes.plot(
            _rejections(steps), chance, "--", color=DATA, lw=1.2, label="independent of the mass"
        )
    axes.set_yscale("log")
    low_end, high_end = axes.get_ylim()
    axes.set_ylim(low_end, high_end * (high_end / low_end) ** 0.3)
    _rejection_axis(axes, [step for steps in scores.values() for step in steps])
    axes.set_ylabel("1 / JSD of pass and fail [1/bit]")
    axes.legend(fontsize=9.5, ncols=2 if len(scores) > 3 else 1)
    draw_label(axes, label or PlotLabel())
    return figure


@styled
def relative_entropies(
    scores: Mapping[str, Sequence[EfficiencyStep]], *, label: PlotLabel | None = None
) -> Figure:
    """Draw the relative entropy against the rejection, and the signal efficiency beside.

    Args:
        scores: Score to its cuts in one range of pt.
        label: Text above the axes.

    References:
        Golling et al., The Mass-ive Issue, figure 4.
    """
    figure = new_figure(11.2, 4.8)
    left, right = figure.subplots(1, 2)
    signals: list[str] = []
    for number, (name, steps) in enumerate(scores.items()):
        colour = COLOURS[number % len(COLOURS)]
        x = _rejections(steps)
        entropy = [step.entropy.value for step in steps]
        left.plot(x, entropy, "o-", ms=4, color=colour, label=legend_text(name))
        left.fill_between(
            x,
            [step.entropy.low for step in steps],
            [step.entropy.high for step in steps],
            color=colour,
            alpha=0.16,
            lw=0,
        )
        for signal in steps[0].signal_efficiencies:
            if signal not in signals:
                signals.append(signal)
            right.plot(
                entropy,
                [step.signal_efficiencies[signal] for step in steps],
                "o",
                ls=DASHES[signals.index(signal) % len(DASHES)],
                ms=4,
                color=colour,
                label=legend_text(f"{name}, {signal}"),
            )
    if scores:
        steps = next(iter(scores.values()))
        chance = [step.entropy_by_chance for step in steps]
        left.plot(
            _rejections(steps), chance, "--", color=DATA, lw=1.2, label="independent of the mass"
        )
    _rejection_axis(left, [step for steps in scores.values() for step in steps])
    left.set_ylabel("Relative entropy after ‖ before [nats]")
    left.set_ylim(0, 1.2 * left.get_ylim()[1])
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
        draw_label(axes, label or PlotLabel())
    return figure


def _rejections(steps: Sequence[EfficiencyStep]) -> list[float]:
    return [1 / step.efficiency for step in steps]


def _rejection_axis(axes: Axes, steps: Sequence[EfficiencyStep]) -> None:
    from matplotlib.ticker import FixedLocator, NullLocator, StrMethodFormatter  # noqa: PLC0415

    axes.set_xscale("log")
    ticks = sorted({1 / step.working_point for step in steps})
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:.3g}"))
    axes.set_xlabel("Background rejection $1/\\epsilon_b$")
