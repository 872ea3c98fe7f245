"""The section of average jet images."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np
import numpy.typing as npt

from oddjet.analysis.report.figures.jets import average_images
from oddjet.analysis.report.figures.style import PlotLabel, legend_text
from oddjet.analysis.report.page import Picture, Section

__all__ = ["images_section"]

Floats = npt.NDArray[np.floating]


def images_section(
    images: Mapping[str, Floats],
    *,
    half_width: float,
    n_jets: Mapping[str, int] | None = None,
    label: PlotLabel | None = None,
) -> Section:
    """Show the average image, (n, n) or (n, n, 1), of each class, over `n_jets` jets."""
    counts = ", ".join(f"{name}: {count:,} jets" for name, count in (n_jets or {}).items())
    pixels = next((np.shape(image)[0] for image in images.values()), 0)
    caption = "Average jet image of each class" + (f" ({counts})." if counts else ".")
    shown = {legend_text(name): image for name, image in images.items()}
    picture = Picture(
        partial(average_images, shown, half_width=half_width, label=label),
        caption,
        hint="a jet with two prongs is broader, but its prongs lie at any angle, so the average "
        "is a wider blob rather than two spots. The colour scale is logarithmic.",
        alt="Average jet images",
    )
    side = 2 * half_width
    return Section(
        title="Jet images",
        anchor="images",
        paragraphs=(
            (
                f"An image has {pixels} × {pixels} pixels over {side:g} × {side:g} in Δη and Δφ around "
                "the jet axis; a pixel holds the sum of its constituents' pt, and each image is "
                "divided by its sum."
            ),
        ),
        pictures=(picture,) if images else (),
        numbers={"pixels": pixels, "half_width": half_width, "n_jets": dict(n_jets or {})},
    )
