from __future__ import annotations

import io
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import pytest
from matplotlib.image import imread

from oddjet.analysis.report.figures.encode import figure_bytes
from oddjet.analysis.report.figures.latent_scan import latent_scan
from oddjet.analysis.report.figures.style import PlotLabel
from oddjet.errors import ConfigError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SIZES = [2, 4, 6, 8, 10, 12, 16, 20, 32]
MEANS = 1.6e-5 + 3e-5 * np.exp(-(np.array(SIZES) - 2) / 4)
LOSSES = MEANS[:, np.newaxis] * np.random.default_rng(1).normal(1, 0.02, (9, 5))

FIGURES: dict[str, Callable[[], Figure]] = {
    "scan": lambda: latent_scan(SIZES, LOSSES.tolist(), label=PlotLabel("simulation", "13 TeV")),
    "no elbow": lambda: latent_scan([1, 2, 3], [[3.0, 3.1], [2.0, 2.1], [1.0, 1.1]]),
    "one training": lambda: latent_scan(SIZES, [[loss] for loss in MEANS], loss_name="MSE"),
    "one size": lambda: latent_scan([12], [[1e-5, 2e-5]]),
    "no loss left": lambda: latent_scan([1, 2], [[0.0], [0.0]]),
}


@pytest.mark.parametrize("name", FIGURES)
def test_picture_renders_with_ink_and_margins(name: str) -> None:
    png = figure_bytes(FIGURES[name](), dpi=60)
    image = np.asarray(imread(io.BytesIO(png), format="png"))[..., :3]
    dark = (image.min(axis=2) < 0.8) | (np.ptp(image, axis=2) > 0.2)
    assert dark.mean() > 0.005
    border = np.concatenate([dark[0], dark[-1], dark[:, 0], dark[:, -1]])
    assert not border.any()


def test_band_is_the_spread_around_the_mean_and_the_elbow_is_marked() -> None:
    losses = [[4.0, 6.0], [1.0, 3.0], [1.0, 1.0]]
    axes = latent_scan([1, 2, 3], losses).axes[0]
    lines = {line.get_label(): line.get_xydata() for line in axes.lines}
    np.testing.assert_allclose(lines["mean of 2"], [[1, 5], [2, 2], [3, 1]])
    np.testing.assert_allclose(lines["elbow: 2"], [[2, 2]])
    np.testing.assert_allclose(lines["chord"], [[1, 5], [3, 1]])
    band = axes.collections[0].get_paths()[0].vertices
    at_one = np.unique(np.asarray(band)[np.isclose(np.asarray(band)[:, 0], 1), 1])
    np.testing.assert_allclose(at_one, [5 - np.sqrt(2), 5 + np.sqrt(2)])


def test_small_losses_are_drawn_in_powers_of_ten() -> None:
    axes = latent_scan(SIZES, LOSSES.tolist()).axes[0]
    assert "10^{-5}" in axes.get_ylabel()
    assert 1 < max(axes.lines[1].get_ydata()) < 10  # type: ignore[arg-type]


def test_a_loss_that_is_no_number_is_refused() -> None:
    with pytest.raises(ConfigError, match="finite"):
        latent_scan([1, 2, 3], [[1.0], [np.nan], [1.0]])
