"""What every picture of this package has to be: with ink, and with nothing cut off at its border."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.image import imread

from oddjet.analysis.report.figures.encode import figure_bytes

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def assert_whole(figure: Figure) -> None:
    png = figure_bytes(figure, dpi=60)
    assert png.startswith(b"\x89PNG")
    image = np.asarray(imread(io.BytesIO(png), format="png"))[..., :3]
    dark = (image.min(axis=2) < 0.8) | (np.ptp(image, axis=2) > 0.2)
    assert dark.mean() > 0.005
    # Nothing may touch the border: it would be cut off there.
    border = np.concatenate([dark[0], dark[-1], dark[:, 0], dark[:, -1]])
    assert not border.any()
