"""Jet images: the average of a class, and single jets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from oddjet.analysis.plots.style import PlotLabel, draw_label, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["average_images", "jet_picture"]

Array = npt.NDArray[np.float64]
Floats = npt.NDArray[np.floating]


def _square(image: Floats) -> Array:
    """(n, n) or (n, n, 1) → (n, n)."""
    return np.asarray(image, dtype=np.float64).reshape(image.shape[0], image.shape[1])


def _axis_names(axes: Axes) -> None:
    axes.set_xlabel("Δη")
    axes.set_ylabel("Δφ")
    axes.set_aspect("equal")


@styled
def average_images(
    images: Mapping[str, Floats], *, half_width: float, label: PlotLabel | None = None
) -> Figure:
    """Draw the average image of each class on one logarithmic colour scale.

    Args:
        images: By the name of the class: arrays of shape (n_eta, n_phi) or (n_eta, n_phi, 1),
            the first axis being Δη.
        half_width: Half width of the image in Δη and Δφ.
        label: Text above the first panel.
    """
    from matplotlib.colors import LogNorm  # noqa: PLC0415

    squares = {name: _square(image) for name, image in images.items()}
    count = max(len(squares), 1)
    figure = new_figure(3.6 * count + 1.1, 4.1)
    panels = np.atleast_1d(np.asarray(figure.subplots(1, count, sharey=True), dtype=object))
    brightest = max((float(image.max(initial=0.0)) for image in squares.values()), default=1.0)
    norm = LogNorm(vmin=max(brightest, 1e-12) * 1e-5, vmax=max(brightest, 1e-12))
    drawn = None
    for number, (axes, (name, image)) in enumerate(zip(panels, squares.items(), strict=False)):
        axes.set_facecolor("#000004")
        drawn = axes.imshow(
            np.where(image.T > 0, image.T, np.nan),
            origin="lower",
            extent=(-half_width, half_width, -half_width, half_width),
            cmap="magma",
            norm=norm,
            interpolation="nearest",
        )
        _axis_names(axes)
        if number:
            axes.set_ylabel("")
        axes.tick_params(color="white", which="both")
        axes.text(
            0.04, 0.95, name, transform=axes.transAxes, color="white", va="top", fontweight="bold"
        )
    if drawn is not None:
        figure.colorbar(drawn, ax=list(panels), label="Mean share of jet $p_T$ / pixel", pad=0.015)
    draw_label(panels[0], label or PlotLabel())
    return figure


@styled
def jet_picture(
    image: Floats,
    *,
    half_width: float,
    constituents: tuple[Floats, Floats, Floats] | None = None,
    title: str = "",
) -> Figure:
    """Draw one jet: its image, and a ring for each constituent.

    Args:
        image: Shape (n_eta, n_phi) or (n_eta, n_phi, 1), the first axis being Δη.
        half_width: Half width of the image in Δη and Δφ.
        constituents: Δη, Δφ and pt [GeV] of the constituents, each (n_constituents,); a ring's
            area grows with pt.
        title: Text above the axes.
    """
    from matplotlib.colors import LogNorm  # noqa: PLC0415

    square = _square(image)
    figure = new_figure(3.4, 3.5)
    axes = figure.subplots()
    brightest = max(float(square.max(initial=0.0)), 1e-12)
    axes.imshow(
        np.where(square.T > 0, square.T, np.nan),
        origin="lower",
        extent=(-half_width, half_width, -half_width, half_width),
        cmap="YlGnBu",
        norm=LogNorm(vmin=brightest * 1e-3, vmax=brightest, clip=True),
        interpolation="nearest",
    )
    if constituents is not None:
        delta_eta, delta_phi, pt = (np.asarray(each, dtype=np.float64) for each in constituents)
        area = 14.0 + 500.0 * pt / max(float(pt.sum()), 1e-12)
        axes.scatter(delta_eta, delta_phi, s=area, facecolor="none", edgecolor="#bd1f01", lw=0.9)
    axes.set_xlim(-half_width, half_width)
    axes.set_ylim(-half_width, half_width)
    _axis_names(axes)
    axes.set_title(title, fontsize=10, loc="left")
    return figure
