"""The latent space of a Dirichlet autoencoder: its themes as pictures, and how jets mix them.

References:
    T. Buss et al., What's Anomalous in LHC Jets? (2022), arXiv:2202.00686, section 4.1.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.colors import CenteredNorm, LogNorm
from matplotlib.figure import Figure

from oddjet.analysis.report.figures import draw
from oddjet.analysis.report.figures.style import Histogram, PlotLabel, legend_text, styled
from oddjet.typing import Floats

__all__ = ["MixtureSample", "mixture_pictures", "mixture_weights"]

DEPTH = 1e-4
"""Pixels below this part of the brightest are drawn as black."""


@dataclasses.dataclass(frozen=True)
class MixtureSample:
    """Mixture weights of one class of jets.

    Attributes:
        weights: r, shape (n_jets, R), each row of sum 1.
        is_signal: Decides the colour.
    """

    label: str
    weights: Floats
    is_signal: bool = False


@styled
def mixture_pictures(
    pictures: Floats,
    *,
    half_width: float,
    alpha: Sequence[float],
    label: PlotLabel | None = None,
) -> Figure:
    """Draw the themes (R, n_eta, n_phi), and below each how it differs from their geometric mean.

    The decoder mixes logarithms, so a jet's pixels are the geometric mean times the ratios raised
    to what its weights have more than 1/R, normalised.
    """
    count = len(pictures)
    figure = draw.new_figure(3.3 * count + 1.3, 6.9)
    grid = figure.subplots(2, count, sharex=True, sharey=True, squeeze=False)
    brightest = float(pictures.max())
    shown = np.maximum(pictures, DEPTH * brightest)
    logs = np.log10(shown)
    ratios = logs - logs.mean(axis=0)
    most = max(float(np.abs(ratios).max()), 1e-6)
    bright: dict[str, Any] = {"cmap": "magma", "norm": LogNorm(DEPTH * brightest, brightest)}
    unlike: dict[str, Any] = {"cmap": "RdBu_r", "norm": CenteredNorm(halfrange=most)}
    for i in range(count):
        top = draw.image(grid[0, i], shown[i], half_width, **bright)
        bottom = draw.image(grid[1, i], ratios[i], half_width, **unlike)
        draw.name_on_black(grid[0, i], f"Theme {i + 1}, α = {alpha[i]:g}")
        grid[1, i].set_xlabel("Δη")
    for row, drawn, name in (
        (0, top, "Share of the image / pixel"),
        (1, bottom, "log$_{10}$ (theme / geometric mean)"),
    ):
        grid[row, 0].set_ylabel("Δφ")
        figure.colorbar(drawn, ax=list(grid[row]), label=name, pad=0.015)
    draw.title(grid[0, 0], label)
    return figure


@styled
def mixture_weights(
    samples: Sequence[MixtureSample],
    *,
    alpha: Sequence[float],
    n_bins: int = 40,
    label: PlotLabel | None = None,
) -> Figure:
    """Draw the distributions of the mixture weights, each with area 1.

    Of two mixtures one is drawn, that of the smaller α: the other is the rest to 1.
    """
    drawn = [int(np.argmin(alpha))] if len(alpha) == 2 else list(range(len(alpha)))
    edges = np.linspace(0.0, 1.0, n_bins + 1)
    figure = draw.new_figure(7.2 if len(drawn) == 1 else 4.4 * len(drawn), 4.8)
    panels = figure.subplots(1, len(drawn), sharey=True, squeeze=False)[0]
    colours = draw.class_colours([sample.is_signal for sample in samples])
    for axes, mixture in zip(panels, drawn, strict=True):
        for sample, colour in zip(samples, colours, strict=True):
            name, norm = legend_text(sample.label), max(len(sample.weights), 1)
            shape = Histogram.fill(name, sample.weights[:, mixture], edges, norm=norm)
            draw.steps(axes, shape, shape.counts, np.sqrt(shape.variances), color=colour)
        axes.set(xlabel=f"Weight of theme {mixture + 1}, α = {alpha[mixture]:g}", xlim=(0.0, 1.0))
    if any(len(sample.weights) for sample in samples):
        panels[0].set_yscale("log")
        low, high = panels[0].get_ylim()
        panels[0].set_ylim(max(low, 1e-5), high * 5)
    panels[0].set_ylabel("Fraction of jets / bin")
    panels[-1].legend(loc="upper right")
    draw.title(panels[0], label)
    return figure
