"""What several pictures draw: lines with bands, steps, images, windows, names of axes.

Functions draw on axes that they are given: ``draw.line(axes, …)``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.ticker import FixedLocator, MaxNLocator, NullLocator, StrMethodFormatter

from oddjet.analysis.report.figures.style import ACCENT, COLOURS, Histogram, PlotLabel
from oddjet.ml.evaluation.bootstrap import Interval
from oddjet.typing import Floats

__all__ = [
    "class_colours",
    "colour_of",
    "finish",
    "hatch",
    "image",
    "intervals",
    "kept",
    "line",
    "log_ticks",
    "name_on_black",
    "new_axes",
    "new_figure",
    "power_of_ten",
    "sequence_colours",
    "shade",
    "steps",
    "title",
    "whole_numbers",
]


def new_figure(width: float = 7.2, height: float = 5.0) -> Figure:
    """Make an empty figure whose layout keeps all labels inside [inches]."""
    return Figure(figsize=(width, height), layout="constrained")


def new_axes(width: float = 7.2, height: float = 5.0) -> tuple[Figure, Axes]:
    """Make a figure with one pair of axes [inches]."""
    figure = new_figure(width, height)
    return figure, figure.subplots()


def colour_of(number: int) -> str:
    """The colour of the n-th line, from 0."""
    return COLOURS[number % len(COLOURS)]


def class_colours(are_signal: Sequence[bool]) -> list[str]:
    """Colours of classes of jets, each its own; those of signals are the strong ones."""
    palettes = {False: [COLOURS[0], *COLOURS[3:]], True: [COLOURS[1], COLOURS[2], COLOURS[6]]}
    colours = []
    for place, is_signal in enumerate(are_signal):
        palette = palettes[is_signal]
        colours.append(palette[sum(s == is_signal for s in are_signal[:place]) % len(palette)])
    return colours


def sequence_colours(n: int) -> list[tuple[float, float, float, float]]:
    """Colours for an ordered sequence such as epochs, dark to light."""
    ramp = mpl.colormaps["viridis"]
    return [ramp(0.9 * i / max(n - 1, 1)) for i in range(n)]


def power_of_ten(values: npt.ArrayLike) -> int:
    """Give the power of ten to take out of an axis: 0 for values of ordinary size.

    What is not finite does not count.
    """
    values = np.asarray(values)
    largest = float(np.abs(values[np.isfinite(values)]).max(initial=0.0))
    power = int(np.floor(np.log10(largest))) if largest > 0 else 0
    return power if power < -2 or power > 4 else 0


def finish(axes: Axes, x: str, y: str, label: PlotLabel | None, **legend: Any) -> None:
    """Name both axes, and add the legend, by `Axes.legend`, and what stands above the axes."""
    axes.set(xlabel=x, ylabel=y)
    axes.legend(**legend)
    title(axes, label)


def title(axes: Axes, label: PlotLabel | None = None) -> None:
    """Write "oddjet", the status and the right-hand text above the axes."""
    label = label or PlotLabel()
    look: dict[str, Any] = {"textcoords": "offset points", "va": "bottom"}
    name = axes.annotate(
        "oddjet",
        (0, 1),
        (0, 4),
        "axes fraction",
        fontsize=13,
        fontweight="bold",
        **look,
    )
    axes.annotate(label.status, (1, 0), (5, 0), name, fontsize=12, fontstyle="italic", **look)
    if label.right:
        axes.annotate(label.right, (1, 1), (0, 4), "axes fraction", ha="right", fontsize=12, **look)


def line(
    axes: Axes,
    x: npt.ArrayLike,
    values: npt.ArrayLike,
    band: tuple[npt.ArrayLike, npt.ArrayLike],
    *,
    alpha: float = 0.16,
    style: str = "o-",
    **kw: Any,
) -> None:
    """Draw a line (n,), and a light band between lower and upper ends of intervals, (n,) each.

    `style` is marker and line as matplotlib writes them; `kw` is ``color`` and anything `Axes.plot`
    takes.
    """
    axes.plot(x, values, style, **kw)
    axes.fill_between(x, *band, color=kw.get("color"), alpha=alpha, lw=0)


def intervals(
    axes: Axes, x: npt.ArrayLike, numbers: Sequence[Interval], *, unit: float = 1.0, **kw: Any
) -> None:
    """Draw n numbers, times `unit`, as a line and their intervals as a band, as `line` does.

    Infinite ends are left out.
    """
    values, low, high = unit * np.transpose([(i.value, i.low, i.high) for i in numbers])
    line(axes, x, values, (low, np.where(np.isfinite(high), high, values)), **kw)


def steps(axes: Axes, histogram: Histogram, values: Floats, errors: Floats, **kw: Any) -> None:
    """Draw heights (n_bins,) as a line of steps with a light band of their errors (n_bins,).

    The histogram gives edges and legend; `kw` is ``color`` and anything `Axes.stairs` takes.
    """
    axes.stairs(values, histogram.edges, label=histogram.label, lw=1.8, baseline=None, **kw)
    # A band that reaches zero has no place on a logarithmic axis: it ends below what is drawn.
    positive = values[values > 0]
    floor = 0.3 * float(positive.min()) if positive.size else 0.0
    upper = np.where(values + errors > 0, values + errors, np.nan)
    axes.stairs(
        upper,
        histogram.edges,
        baseline=np.where(np.isnan(upper), np.nan, np.maximum(values - errors, floor)),
        fill=True,
        color=kw.get("color"),
        alpha=0.22,
        lw=0,
    )


def image(axes: Axes, image: npt.NDArray[np.floating], half_width: float, **kw: Any) -> AxesImage:
    """Draw an image of a jet, (n_eta, n_phi) or (n_eta, n_phi, 1), of half a width in Δη and Δφ.

    `kw` is ``cmap``, ``norm`` and anything `Axes.imshow` takes.
    """
    extent = (-half_width, half_width, -half_width, half_width)
    pixels = np.asarray(image, np.float64).reshape(image.shape[:2]).T
    return axes.imshow(pixels, origin="lower", extent=extent, interpolation="nearest", **kw)


def name_on_black(axes: Axes, name: str) -> None:
    """Write a name inside an image, and draw its ticks, so that both are seen on black."""
    axes.tick_params(color="white", which="both")
    look: dict[str, Any] = {"color": "white", "va": "top", "fontweight": "bold"}
    axes.text(0.04, 0.95, name, transform=axes.transAxes, **look)


def kept(axes: Axes, epoch: int, height: float, colour: str) -> None:
    """Mark the epoch whose weights are kept with an open circle."""
    axes.plot([epoch], [height], "o", color=colour, mfc="white", mew=1.6, ms=7)


def shade(axes: Axes, window: tuple[float, float], label: str | None = None) -> None:
    """Shade a window over the full height."""
    axes.axvspan(*window, color=ACCENT, alpha=0.18, lw=0, zorder=0, label=label)


def hatch(axes: Axes, window: tuple[float, float], label: str | None = None) -> None:
    """Hatch a window in which nothing may be shown."""
    axes.axvspan(
        *window, facecolor="#eeeeee", edgecolor="#999999", hatch="////", lw=0, zorder=0, label=label
    )


def whole_numbers(axes: Axes) -> None:
    """Let the horizontal axis count: ticks at whole numbers only."""
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def log_ticks(axes: Axes, ticks: Iterable[float], text: str = "{x:.3g}") -> None:
    """Make the horizontal axis logarithmic, with ticks where they are wanted and nowhere else."""
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(sorted(set(ticks))))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(StrMethodFormatter(text))
