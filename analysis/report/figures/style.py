"""The look of all pictures: sizes, fonts, colours, and the label above the axes.

References:
    M. A. Petroff, "Accessible Color Sequences for Data Visualization", arXiv:2107.02270.
"""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Callable, Iterator
from typing import Any, ParamSpec, TypeVar

import matplotlib as mpl
import mplhep  # noqa: F401 - brings its fonts along
import numpy as np
from cycler import cycler
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.text import Text
from matplotlib.ticker import ScalarFormatter

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
    "efficiency_name",
    "legend_text",
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

OWN_FORMULAE = re.compile(
    r"(\$(?:\\epsilon_s|1/\\epsilon_b|p_T|E_[+-]|_\{10\}|(?:10)?\^\{-?\d+\})\$)"
)
"""The formulae that our own labels hold; a dollar anywhere else is a dollar."""

P = ParamSpec("P")
R = TypeVar("R")


def styled(function: Callable[P, R]) -> Callable[P, R]:
    """Decorate a function so that it draws with the settings above, whatever the user's are.

    Names of a user in its figure are no formulae.
    """

    @functools.wraps(function)
    def drawn(*args: P.args, **kwargs: P.kwargs) -> R:
        with mpl.rc_context():
            mpl.rcdefaults()
            mpl.rcParams.update(RC)
            mpl.rcParams["axes.prop_cycle"] = cycler(color=list(COLOURS))
            made = function(*args, **kwargs)
            if isinstance(made, Figure):
                for text in _texts(made):
                    text.set_text(without_formulae(text.get_text()))
                _plain_numbers(made)
            return made

    return drawn


def without_formulae(text: str) -> str:
    r"""Make every dollar that is not of one of our own formulae a plain one.

    >>> without_formulae("$p_T$ of $\\a$"), without_formulae(r"5 \$")
    ('$p_T$ of \\$\\a\\$', '5 \\$')
    """
    parts = OWN_FORMULAE.split(text)  # ours are at the odd places
    return "".join(p if i % 2 else re.sub(r"(?<!\\)\$", r"\$", p) for i, p in enumerate(parts))


class _PlainNumbers(ScalarFormatter):
    """Numbers at ticks as text, not as formulae, which take several times as long; powers of ten are formulae."""

    def __call__(self, x: float, pos: int | None = None) -> str:
        """Give the text at a tick."""
        return super().__call__(x, pos).removeprefix("$\\mathdefault{").removesuffix("}$")


def _plain_numbers(figure: Figure) -> None:
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            if type(axis.get_major_formatter()) is ScalarFormatter:
                axis.set_major_formatter(_PlainNumbers())


def _texts(figure: Figure) -> Iterator[Text]:
    """Every text of a figure but the ticks', which are made when it is drawn."""
    yield from figure.texts
    legends = [*figure.legends]
    for axes in figure.axes:
        yield from (axes.title, axes.xaxis.label, axes.yaxis.label, *axes.texts)
        legends += [legend for legend in [axes.get_legend()] if legend is not None]
        legends += [child for child in axes.artists if isinstance(child, Legend)]
    for legend in legends:
        yield from (legend.get_title(), *legend.get_texts())


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
        """Count values (n,), with weights (n,) or not, in bins; contents are divided by `norm`."""
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


def legend_text(name: str) -> str:
    r"""Make a name safe in a legend: no formula is read from it, and it is not left out.

    >>> legend_text("a$b$")
    'a\\$b\\$'
    """
    # matplotlib leaves out what begins with an underscore.
    return (" " + name if name.startswith("_") else name).replace("$", r"\$")


def efficiency_name(efficiency: float) -> str:
    """A background efficiency as text.

    >>> efficiency_name(0.005)
    '0.5 %'
    """
    return f"{100 * efficiency:g} %"
