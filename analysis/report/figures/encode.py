"""Figures as bytes and as text that fits into a page."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING, Any, Literal

from oddjet.analysis.report.figures.style import RC

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["data_uri", "figure_bytes"]

Format = Literal["png", "svg"]

MIME = {"png": "image/png", "svg": "image/svg+xml"}


def figure_bytes(figure: Figure, *, format: Format = "png", dpi: int = 150) -> bytes:
    """Render a figure without a display.

    The same figure gives the same bytes: no dates, no random identifiers.

    Args:
        figure: What to render.
        format: ``png`` or ``svg``.
        dpi: Dots per inch, for PNG.
    """
    import matplotlib as mpl  # noqa: PLC0415
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415
    from matplotlib.backends.backend_svg import FigureCanvasSVG  # noqa: PLC0415

    buffer = io.BytesIO()
    metadata: dict[str, Any] = {"Date": None} if format == "svg" else {"Software": None}
    canvas = FigureCanvasSVG(figure) if format == "svg" else FigureCanvasAgg(figure)
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(RC)
        canvas.print_figure(buffer, format=format, dpi=dpi, metadata=metadata)
    return buffer.getvalue()


def data_uri(figure: Figure, *, format: Format = "png", dpi: int = 150) -> str:
    """Render a figure as a data URI, which an ``<img>`` shows without any other file.

    Args:
        figure: What to render.
        format: ``png`` or ``svg``.
        dpi: Dots per inch, for PNG.
    """
    text = base64.b64encode(figure_bytes(figure, format=format, dpi=dpi)).decode("ascii")
    return f"data:{MIME[format]};base64,{text}"
