"""Figures as bytes and as text that fits into a page."""

from __future__ import annotations

import base64
import io
from typing import Any

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from oddjet.analysis.report.figures.style import RC

__all__ = ["data_uri", "figure_bytes"]


def figure_bytes(figure: Figure, *, dpi: int = 150) -> bytes:
    """Render a figure as PNG without a display.

    The same figure gives the same bytes: no dates, no random identifiers.
    """
    buffer = io.BytesIO()
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(RC)
        before = figure.dpi
        figure.set_dpi(dpi)
        # Not `print_figure`, which draws everything once more, unseen, for the layout.
        canvas: Any = FigureCanvasAgg(figure)
        canvas.print_png(buffer, metadata={"Software": None})
        figure.set_dpi(before)
    return buffer.getvalue()


def data_uri(figure: Figure, *, dpi: int = 150) -> str:
    """Render a figure as a data URI, which an ``<img>`` shows without any other file."""
    return f"data:image/png;base64,{base64.b64encode(figure_bytes(figure, dpi=dpi)).decode()}"
