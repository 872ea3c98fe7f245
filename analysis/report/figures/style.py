"""The look of all pictures: sizes, fonts, colours, and the label above the axes.

References:
    M. A. Petroff, "Accessible Color Sequences for Data Visualization", arXiv:2107.02270.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any, ParamSpec, TypeVar

import matplotlib as mpl
import mplhep  # noqa: F401 - brings its fonts along
import numpy as np
import numpy.typing as npt
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from oddjet.typing import Floats

__all__ = [
    "ACCENT",
    "BACKGROUND",
    "COLOURS",
    "DASHES",
    "DATA",
    "MARKERS",
    "SIGNAL",
    "Histogram",
    "PlotLabel",
    "class_colours",
    "colour_of",
    "efficiency_name",
    "legend_text",
    "new_axes",
    "new_figure",
    "power_of_ten",
    "sequence_colours",
    "styled",
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
MARKERS = "osD^vPX"
DASHES = ("-", "--", ":", "-.")

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

    @classmethod
    def fill(
        cls,
        label: str,
        values: Floats,
        edges: Floats,
        weights: Floats | None = None,
        *,
        norm: float = 1.0,
    ) -> Histogram:
        """Count values in bins.

        Args:
            label: Name in the legend.
            values: Shape (n,).
            edges: Bin edges, n_bins + 1 of them.
            weights: Shape (n,); 1 if None.
            norm: What contents are divided by.
        """
        weights = np.ones(len(values)) if weights is None else weights
        counts, squares = (np.histogram(values, edges, weights=w)[0] for w in (weights, weights**2))
        return cls(label, edges, counts / norm, squares / norm**2)

    @property
    def centres(self) -> Floats:
        """Centres of the bins, shape (n_bins,)."""
        return 0.5 * (self.edges[:-1] + self.edges[1:])

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


def legend_text(name: str) -> str:
    r"""Make a name safe in a legend: no formula is read from it, and it is not left out.

    >>> legend_text("a$b$")
    'a\\$b\\$'
    """
    # matplotlib leaves out what begins with an underscore.
    return (" " + name if name.startswith("_") else name).replace("$", r"\$")


def power_of_ten(values: npt.ArrayLike) -> int:
    """Give the power of ten to take out of an axis: 0 for values of ordinary size.

    Args:
        values: What is drawn, of any shape; what is not finite does not count.
    """
    values = np.asarray(values)
    largest = float(np.abs(values[np.isfinite(values)]).max(initial=0.0))
    power = int(np.floor(np.log10(largest))) if largest > 0 else 0
    return power if power < -2 or power > 4 else 0


def sequence_colours(n: int) -> list[tuple[float, float, float, float]]:
    """Colours for an ordered sequence such as epochs, dark to light."""
    ramp = mpl.colormaps["viridis"]
    return [ramp(0.9 * i / max(n - 1, 1)) for i in range(n)]


def efficiency_name(efficiency: float) -> str:
    """A background efficiency as text.

    >>> efficiency_name(0.005)
    '0.5 %'
    """
    return f"{100 * efficiency:g} %"
