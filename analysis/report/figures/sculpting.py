"""How much cuts on scores change the mass of the background, against what they reject and keep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from oddjet.analysis.report.figures.style import COLOURS, PlotLabel, draw_label, new_figure, styled
from oddjet.analysis.sculpting import Sculpted

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["sculpting_curves"]

DASHES = ("-", "--", ":", "-.")


@styled
def sculpting_curves(
    found: Mapping[tuple[str, str], Sequence[Sculpted]], *, label: PlotLabel | None = None
) -> Figure:
    """Draw the relative entropy against the rejection, and the signal efficiency beside.

    Args:
        found: (score, signal) → cuts by falling background efficiency. The entropy is the
            background's, so that of one score is drawn once.
        label: Text above the axes.

    References:
        Golling et al., The Mass-ive Issue, figure 4 (right).
    """
    figure = new_figure(11.2, 4.8)
    left, right = figure.subplots(1, 2)
    scores = list(dict.fromkeys(score for score, _ in found))
    signals = list(dict.fromkeys(signal for _, signal in found))
    for number, score in enumerate(scores):
        colour = COLOURS[number % len(COLOURS)]
        cuts = found[score, next(signal for each, signal in found if each == score)]
        rejections = [1 / cut.background_efficiency for cut in cuts]
        left.plot(rejections, [cut.entropy.value for cut in cuts], "o-", color=colour, label=score)
        left.fill_between(
            rejections,
            [cut.entropy.low for cut in cuts],
            [cut.entropy.high for cut in cuts],
            color=colour,
            alpha=0.16,
            lw=0,
        )
        for dash, signal in zip(DASHES, signals, strict=False):
            if (score, signal) in found:
                some = found[score, signal]
                right.plot(
                    [cut.entropy.value for cut in some],
                    [cut.signal_efficiency for cut in some],
                    f"o{dash}",
                    color=colour,
                    label=f"{score}, {signal}",
                )
    left.set_xscale("log")
    from matplotlib.ticker import FixedLocator, NullLocator, StrMethodFormatter  # noqa: PLC0415

    rejections = sorted({1 / cut.background_efficiency for cuts in found.values() for cut in cuts})
    left.xaxis.set_major_locator(FixedLocator(rejections))
    left.xaxis.set_minor_locator(NullLocator())
    left.xaxis.set_major_formatter(StrMethodFormatter("{x:.3g}"))
    left.set_xlabel("Background rejection $1/\\epsilon_b$")
    left.set_ylabel("Relative entropy after ‖ before [nats]")
    left.legend(loc="upper left")
    right.set_xlabel("Relative entropy after ‖ before [nats]")
    right.set_ylabel("Signal efficiency $\\epsilon_s$")
    right.set(ylim=(0, 1.45))
    right.legend(loc="upper right", fontsize=8.5, ncols=2)
    for axes in (left, right):
        axes.set_ylim(bottom=0)
        draw_label(axes, label or PlotLabel())
    return figure
