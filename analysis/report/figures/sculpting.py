"""How much cuts on scores change the mass of the background, against what they reject and keep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from oddjet.analysis.report.figures import draw
from oddjet.analysis.report.figures.style import DASHES, PlotLabel, styled
from oddjet.analysis.sculpting import Sculpted

__all__ = ["sculpting_curves"]


@styled
def sculpting_curves(
    cuts: Mapping[tuple[str, str], Sequence[Sculpted]], *, label: PlotLabel | None = None
) -> Figure:
    """Draw the relative entropy against the rejection, and the signal efficiency on the right.

    `cuts` are (score, signal) → cuts by falling background efficiency. The entropy is the
    background's, so that of one score is drawn once.

    References:
        Golling et al., The Mass-ive Issue, figure 4 (right).
    """
    figure = draw.new_figure(11.2, 4.8)
    left, right = figure.subplots(1, 2)
    scores = list(dict.fromkeys(score for score, _ in cuts))
    signals = list(dict.fromkeys(signal for _, signal in cuts))
    for number, score in enumerate(scores):
        colour = draw.colour_of(number)
        first = cuts[next(pair for pair in cuts if pair[0] == score)]
        rejections = [1 / cut.background_efficiency for cut in first]
        entropies = [cut.entropy for cut in first]
        draw.intervals(left, rejections, entropies, color=colour, label=score)
        for dash, signal in zip(DASHES, signals, strict=False):
            if (score, signal) in cuts:
                kept = [cut.signal_efficiency for cut in cuts[score, signal]]
                entropy = [cut.entropy.value for cut in cuts[score, signal]]
                right.plot(entropy, kept, f"o{dash}", color=colour, label=f"{score}, {signal}")
    draw.log_ticks(left, (1 / cut.background_efficiency for row in cuts.values() for cut in row))
    left.set_xlabel("Background rejection $1/\\epsilon_b$")
    left.set_ylabel("Relative entropy after ‖ before [nats]")
    left.legend(loc="upper left")
    right.set_xlabel("Relative entropy after ‖ before [nats]")
    right.set_ylabel("Signal efficiency $\\epsilon_s$")
    right.set(ylim=(0, 1.45))
    right.legend(loc="upper right", fontsize=8.5, ncols=2)
    for axes in (left, right):
        axes.set_ylim(bottom=0)
        draw.title(axes, label)
    return figure
