"""Jet masses before and after an autoencoder."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from oddjet.analysis.report.figures import draw
from oddjet.analysis.report.figures.style import DATA, Histogram, PlotLabel, legend_text, styled
from oddjet.typing import Floats

__all__ = ["MassPair", "mass_response", "masses_in_and_out"]


N_BINS = 40


@dataclasses.dataclass(frozen=True, eq=False)
class MassPair:
    """Masses of the jets of one sample [GeV], each of shape (n,).

    Attributes:
        before, after, true: Of the network's input, of its output, of the jets.
    """

    before: Floats
    after: Floats
    true: Floats
    weights: Floats

    def select(self, rows: npt.NDArray[np.bool_]) -> MassPair:
        """Keep some of the jets."""
        return MassPair(self.before[rows], self.after[rows], self.true[rows], self.weights[rows])


@styled
def masses_in_and_out(pairs: Mapping[str, MassPair], *, label: PlotLabel | None = None) -> Figure:
    """Draw the masses of input (filled) and output (line) of each sample, one panel a sample."""
    count = max(len(pairs), 1)
    figure = draw.new_figure(max(4.2 * count, 6.0), 4.2)
    grid = np.atleast_1d(np.asarray(figure.subplots(1, count), dtype=object))
    for number, (axes, (name, pair)) in enumerate(zip(grid, pairs.items(), strict=False)):
        colour = draw.colour_of(number)
        everything = np.concatenate([pair.before, pair.after, pair.true])
        high = float(np.quantile(everything, 0.99)) if everything.size else 1.0
        edges = np.linspace(0, max(high, 1.0), N_BINS + 1)
        before, after, true = (
            Histogram.fill(text, values, edges, pair.weights)
            for text, values in (
                ("network's input", pair.before),
                ("output", pair.after),
                ("jet mass", pair.true),
            )
        )
        heights, _ = before.density()
        axes.stairs(heights, edges, fill=True, color=colour, alpha=0.35, label=before.label)
        tallest = max(float(h.density()[0].max(initial=0.0)) for h in (before, after, true))
        draw.steps(axes, after, *after.density(), color=colour, ls="-")
        draw.steps(axes, true, *true.density(), color=DATA, ls=":")
        axes.set_xlim(0, edges[-1])
        axes.set_ylim(0, 1.5 * tallest if tallest > 0 else 1.0)  # leaves room for the legend
        axes.set_xlabel("Mass [GeV]")
        if number == 0:
            axes.set_ylabel("Fraction of jets / GeV")
        axes.legend(title=legend_text(name), loc="upper right", fontsize=10)
    draw.title(grid[0], label)
    return figure


@styled
def mass_response(
    pairs: Mapping[str, MassPair],
    *,
    signals: Sequence[str] = (),
    label: PlotLabel | None = None,
) -> Figure:
    """Draw the ratio of output to input mass: its distribution, and its median by input mass.

    The axis reaches over 98 % of all jets, but not above a ratio of 8.
    """
    figure = draw.new_figure(10.6, 4.4)
    left, right = figure.subplots(1, 2)
    ratios = {name: pair.after / pair.before for name, pair in pairs.items()}
    everything = np.concatenate([np.zeros(0), *ratios.values()])
    highest = float(np.quantile(everything, 0.98)) if everything.size else 2.0
    highest = min(max(highest, 2.0), 8.0)
    edges = np.linspace(0, highest, N_BINS + 1)
    for number, (name, pair) in enumerate(pairs.items()):
        colour, text = draw.colour_of(number), legend_text(name)
        style = "--" if name in signals else "-"
        shape = Histogram.fill(text, ratios[name], edges, pair.weights)
        draw.steps(left, shape, *shape.density(), color=colour, ls=style)
        centres, (low, median, high) = _profile(pair.before, ratios[name])
        if centres.size:
            look: dict[str, Any] = {
                "alpha": 0.15,
                "style": f"o{style}",
                "color": colour,
                "ms": 4,
                "label": text,
            }
            draw.line(right, centres, median, (low, high), **look)
    left.axvline(1, color="#777777", ls=":", lw=1.3)
    right.axhline(1, color="#777777", ls=":", lw=1.3)
    left.set(xlim=(0, highest), ylim=(0, None))
    left.margins(y=0.2)
    left.set(xlabel="Output mass / input mass", ylabel="Fraction of jets / unit")
    right.set(ylim=(0, 1.1 * highest))
    right.set(xlabel="Input mass [GeV]", ylabel="Output mass / input mass")
    for axes, title in ((left, None), (right, "median, central 68 %")):
        if axes.get_legend_handles_labels()[0]:
            axes.legend(loc="upper right", fontsize=10, title=title)
        draw.title(axes, label)
    return figure


def _profile(mass: Floats, ratio: Floats) -> tuple[Floats, Floats]:
    """Centres of up to twelve bins with equally many jets, and three quantiles of the ratio there."""
    n = min(12, len(mass) // 20)
    if n < 1:
        return np.zeros(0), np.zeros((3, 0))
    parts = np.array_split(np.argsort(mass, kind="stable"), n)
    centres = np.array([np.median(mass[rows]) for rows in parts])
    return centres, np.transpose([np.quantile(ratio[rows], [0.16, 0.5, 0.84]) for rows in parts])
