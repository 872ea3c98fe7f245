"""Jet images: the average of a class, what a network makes of it, and single jets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from oddjet.analysis.report.figures import draw
from oddjet.analysis.report.figures.style import PlotLabel, styled

__all__ = ["average_images", "jet_picture", "reconstruction_pictures"]

Floats = npt.NDArray[np.floating]

BATCH_JETS = 4096


def _axis_names(axes: Axes) -> None:
    axes.set(xlabel="Δη", ylabel="Δφ")
    axes.set_aspect("equal")


def _draw_on_black(
    axes: Axes, image: Floats, name: str, *, half_width: float, cmap: str, norm: Normalize
) -> AxesImage:
    """Draw an image (n, n) on the darkest colour, its name inside."""
    axes.set_facecolor(colormaps[cmap](0.0))
    drawn = draw.image(axes, np.where(image > 0, image, np.nan), half_width, cmap=cmap, norm=norm)
    _axis_names(axes)
    draw.name_on_black(axes, name)
    return drawn


def _log_scale(images: Iterable[Floats], decades: int, *, clip: bool = False) -> LogNorm:
    """A logarithmic scale of so many powers of ten, up to the brightest pixel of all images."""
    brightest = max((float(image.max(initial=0.0)) for image in images), default=1.0)
    top = max(brightest, 1e-12)
    return LogNorm(vmin=top * 10.0**-decades, vmax=top, clip=clip)


@styled
def average_images(
    images: Mapping[str, Floats], *, half_width: float, label: PlotLabel | None = None
) -> Figure:
    """Draw the average image of each class on one logarithmic colour scale.

    Images are (n_eta, n_phi) or (n_eta, n_phi, 1), of half a width in Δη and Δφ.
    """
    count = max(len(images), 1)
    figure = draw.new_figure(3.6 * count + 1.1, 4.1)
    panels = np.atleast_1d(np.asarray(figure.subplots(1, count, sharey=True), dtype=object))
    norm = _log_scale((np.asarray(image, np.float64) for image in images.values()), 5)
    drawn = None
    for number, (axes, (name, image)) in enumerate(zip(panels, images.items(), strict=False)):
        drawn = _draw_on_black(axes, image, name, half_width=half_width, cmap="magma", norm=norm)
        if number:
            axes.set_ylabel("")
    if drawn is not None:
        figure.colorbar(drawn, ax=list(panels), label="Mean share of jet $p_T$ / pixel", pad=0.015)
    draw.title(panels[0], label)
    return figure


@styled
def reconstruction_pictures(
    pictures: Mapping[str, tuple[Floats, Floats]],
    *,
    half_width: float,
    label: PlotLabel | None = None,
) -> Figure:
    """Draw what a network makes of images: for each sample the averages of its jets.

    One row a sample; in columns the average image, the average reconstruction and the average
    squared error, on logarithmic colour scales of three powers of ten that all rows share. What is
    below, negative means of reconstructions included, has the darkest colour.

    Images and reconstructions have shape (n_jets, n_eta, n_phi) or (n_jets, n_eta, n_phi, 1).

    References:
        I. Ene, Anomalies in Hadronic Resonances using Autoencoders (2022), "Performance evaluation".
    """
    means = {name: _mean_pictures(*pair) for name, pair in pictures.items()}
    rows = max(len(means), 1)
    figure = draw.new_figure(8.6, 2.6 * rows + 1.5)
    figure.set_layout_engine("compressed")  # square panels side by side
    panels = np.asarray(
        figure.subplots(rows, 3, sharex=True, sharey=True, squeeze=False), dtype=object
    )
    norms = [_log_scale((triple[column] for triple in means.values()), 3) for column in (0, 0, 2)]
    drawn: list[AxesImage] = []
    for line, (name, triple) in zip(panels, means.items(), strict=False):
        names = (f"{name}: input", "output", "squared error")
        drawn = [
            _draw_on_black(axes, image, what, half_width=half_width, cmap=cmap, norm=norm)
            for axes, image, what, cmap, norm in zip(
                line, triple, names, ("magma", "magma", "viridis"), norms, strict=True
            )
        ]
    tick = float(f"{0.7 * half_width:.1g}")
    for axes in panels.ravel():
        axes.set(xticks=[-tick, 0, tick], yticks=[-tick, 0, tick])
        axes.label_outer()
    if drawn:
        bars = (
            (drawn[0], panels[:, :2], "Mean share of jet $p_T$ / pixel"),
            (drawn[2], panels[:, 2:], "Mean squared error / pixel"),
        )
        for picture, block, text in bars:
            look: dict[str, Any] = {
                "location": "bottom",
                "aspect": 15 * block.shape[1],
                "pad": 0.02,
            }
            figure.colorbar(picture, ax=list(block.ravel()), label=text, **look)
    draw.title(panels[0, 0], label)
    return figure


def _mean_pictures(images: Floats, outputs: Floats) -> tuple[Floats, Floats, Floats]:
    """Average images, reconstructions and squared errors, each (n, n), some jets at a time."""
    shape = images.shape[1:3]
    sums = np.zeros((3, *shape))
    for start in range(0, len(images), BATCH_JETS):
        before, after = (
            np.asarray(part[start : start + BATCH_JETS], dtype=np.float64).reshape(-1, *shape)
            for part in (images, outputs)
        )
        sums += [part.sum(axis=0) for part in (before, after, (before - after) ** 2)]
    means = sums / max(len(images), 1)
    return means[0], means[1], means[2]


@styled
def jet_picture(
    image: Floats,
    *,
    half_width: float,
    constituents: tuple[Floats, Floats, Floats] | None = None,
) -> Figure:
    """Draw one jet: its image, and a ring for each constituent, whose area grows with pt.

    The image is (n_eta, n_phi) or (n_eta, n_phi, 1); constituents are Δη, Δφ and pt [GeV], each
    (n_constituents,).
    """
    figure, axes = draw.new_axes(3.4, 3.5)
    pixels = np.asarray(image, np.float64)
    norm = _log_scale([pixels], 3, clip=True)
    draw.image(axes, np.where(pixels > 0, pixels, np.nan), half_width, cmap="YlGnBu", norm=norm)
    if constituents is not None:
        delta_eta, delta_phi, pt = (np.asarray(values, np.float64) for values in constituents)
        area = 14.0 + 500.0 * pt / max(float(pt.sum()), 1e-12)
        axes.scatter(delta_eta, delta_phi, s=area, facecolor="none", edgecolor="#bd1f01", lw=0.9)
    axes.set(xlim=(-half_width, half_width), ylim=(-half_width, half_width))
    _axis_names(axes)
    return figure
