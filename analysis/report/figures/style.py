"""The look of all pictures: sizes, fonts, colours, and the label above the axes.

References:
    M. A. Petroff, "Accessible Color Sequences for Data Visualization", arXiv:2107.02270.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import numpy as np

from oddjet.typing import Floats

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "ACCENT",
    "BACKGROUND",
    "COLOURS",
    "DATA",
    "SIGNAL",
    "Histogram",
    "PlotLabel",
    "draw_label",
    "draw_steps",
    "efficiency_name",
    "hatch_window",
    "legend_text",
    "new_figure",
    "sequence_colours",
    "shade_window",
    "styled",
    "whole_numbers",
]

COLOURS = (
    "#3f90da",
    "#bd1f01",
    "#ffa90e",
    "#832db6",
    "#94a4a2",
    "#a96b59",
    "#e76300",
    "#b9ac70",
    "#717581",
    "#92dadd",
)
BACKGROUND, SIGNAL, ACCENT, DATA = COLOURS[0], COLOURS[1], COLOURS[2], "#111111"

RC: Any = {
    # What the first family lacks, such as superscripts, comes from the second.
    "font.family": ["TeX Gyre Heros", "DejaVu Sans"],
    "mathtext.fontset": "dejavusans",
    "font.size": 12.0,
    "axes.labelsize": 13.0,
    "axes.titlesize": 12.0,
    "axes.linewidth": 0.9,
    "axes.unicode_minus": True,
    "axes.formatter.use_mathtext": True,
    "axes.formatter.limits": (-3, 4),
    "xaxis.labellocation": "right",
    "yaxis.labellocation": "top",
    "xtick.direction": "in",
    "ytick.direction": "in",
    "xtick.top": True,
    "ytick.right": True,
    "xtick.minor.visible": True,
    "ytick.minor.visible": True,
    "xtick.major.size": 6.0,
    "ytick.major.size": 6.0,
    "xtick.minor.size": 3.0,
    "ytick.minor.size": 3.0,
    "legend.frameon": True,
    "legend.framealpha": 0.85,
    "legend.edgecolor": "none",
    "legend.fancybox": False,
    "legend.fontsize": 11.0,
    "lines.linewidth": 1.8,
    "hatch.linewidth": 0.6,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "svg.hashsalt": "oddjet",
}

P = ParamSpec("P")
R = TypeVar("R")


def styled(function: Callable[P, R]) -> Callable[P, R]:
    """Decorate a function so that it draws with the settings above, whatever the user's are."""

    @functools.wraps(function)
    def drawn(*args: P.args, **kwargs: P.kwargs) -> R:
        import matplotlib as mpl  # noqa: PLC0415
        import mplhep  # noqa: F401, PLC0415 - brings its fonts along
        from cycler import cycler  # noqa: PLC0415

        with mpl.rc_context():
            mpl.rcdefaults()
            mpl.rcParams.update(RC)
            mpl.rcParams["axes.prop_cycle"] = cycler(color=list(COLOURS))
            return function(*args, **kwargs)

    return drawn


@dataclasses.dataclass(frozen=True)
class PlotLabel:
    """What stands above the axes.

    Attributes:
        status: What the content is: ``simulation``, ``pseudo-data``, ``data``.
        right: Text at the right end, such as luminosity and energy.
    """

    status: str = "simulation"
    right: str = ""


@dataclasses.dataclass(frozen=True)
class Histogram:
    """Contents of bins with a name.

    Attributes:
        label: Name in the legend.
        edges: Bin edges, n_bins + 1 of them.
        counts: Contents, shape (n_bins,); NaN where nothing may be shown.
        variances: Σw² a bin, shape (n_bins,).
    """

    label: str
    edges: Floats
    counts: Floats
    variances: Floats

    @property
    def total(self) -> float:
        """Sum of the contents that may be shown."""
        return float(np.nansum(self.counts))

    def density(self) -> tuple[Floats, Floats]:
        """Contents and errors as a fraction of the total and per unit of the axis."""
        width = np.diff(self.edges)
        norm = self.total if self.total != 0 else 1.0
        return self.counts / norm / width, np.sqrt(self.variances) / abs(norm) / width


def new_figure(width: float = 7.2, height: float = 5.0) -> Figure:
    """Make an empty figure whose layout keeps all labels inside [inches]."""
    from matplotlib.figure import Figure  # noqa: PLC0415

    return Figure(figsize=(width, height), layout="constrained")


def legend_text(name: str) -> str:
    r"""Make a name safe in a legend: no formula is read from it, and it is not left out.

    >>> legend_text("a$b$")
    'a\\$b\\$'
    """
    # matplotlib leaves out what begins with an underscore.
    return (" " + name if name.startswith("_") else name).replace("$", r"\$")


def whole_numbers(axes: Axes) -> None:
    """Let the horizontal axis count: ticks at whole numbers only."""
    from matplotlib.ticker import MaxNLocator  # noqa: PLC0415

    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def draw_label(axes: Axes, label: PlotLabel) -> None:
    """Write "oddjet", the status and the right-hand text above the axes."""
    name = axes.annotate(
        "oddjet",
        xy=(0, 1),
        xycoords="axes fraction",
        xytext=(0, 4),
        textcoords="offset points",
        ha="left",
        va="bottom",
        fontsize=13,
        fontweight="bold",
    )
    axes.annotate(
        label.status,
        xy=(1, 0),
        xycoords=name,
        xytext=(5, 0),
        textcoords="offset points",
        ha="left",
        va="bottom",
        fontsize=12,
        fontstyle="italic",
    )
    if label.right:
        axes.annotate(
            label.right,
            xy=(1, 1),
            xycoords="axes fraction",
            xytext=(0, 4),
            textcoords="offset points",
            ha="right",
            va="bottom",
            fontsize=12,
        )


def shade_window(axes: Axes, window: tuple[float, float], label: str | None = None) -> None:
    """Shade a window over the full height."""
    axes.axvspan(*window, color=ACCENT, alpha=0.18, lw=0, zorder=0, label=label)


def hatch_window(axes: Axes, window: tuple[float, float], label: str | None = None) -> None:
    """Hatch a window in which nothing may be shown."""
    axes.axvspan(
        *window, facecolor="#eeeeee", edgecolor="#999999", hatch="////", lw=0, zorder=0, label=label
    )


def draw_steps(axes: Axes, histogram: Histogram, values: Floats, errors: Floats, **kw: Any) -> None:
    """Draw a histogram as a line of steps with a light band of its errors.

    Args:
        axes: Where to draw.
        histogram: Gives the edges and the legend's text.
        values: Heights, shape (n_bins,).
        errors: Their errors, shape (n_bins,).
        **kw: ``color`` and anything `Axes.stairs` takes.
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


def sequence_colours(n: int) -> list[tuple[float, float, float, float]]:
    """Colours for an ordered sequence such as epochs, dark to light."""
    import matplotlib as mpl  # noqa: PLC0415

    ramp = mpl.colormaps["viridis"]
    return [ramp(0.9 * i / max(n - 1, 1)) for i in range(n)]


def efficiency_name(efficiency: float) -> str:
    """A background efficiency as people say it.

    >>> efficiency_name(0.005)
    '0.5 %'
    """
    return f"{100 * efficiency:g} %"
