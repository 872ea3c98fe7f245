from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import pytest
from drawn import assert_whole

from oddjet.analysis.report.figures.mixtures import MixtureSample, mixture_pictures, mixture_weights

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RNG = np.random.default_rng(1)
ALPHA = {2: [1.0, 0.1], 3: [1.0, 0.25, 0.1]}


def pictures(r: int) -> np.ndarray:
    """Images of sum 1, brighter towards another corner each."""
    x, y = np.meshgrid(np.linspace(-1, 1, 40), np.linspace(-1, 1, 40), indexing="ij")
    images = np.stack([np.exp(-3 * ((x - i / 2) ** 2 + y**2)) for i in range(r)])
    return np.asarray(images / images.sum(axis=(1, 2), keepdims=True))


def samples(r: int, n: int = 500) -> list[MixtureSample]:
    return [
        MixtureSample("QCD", RNG.dirichlet(ALPHA[r], n)),
        MixtureSample("Aachen", RNG.dirichlet(ALPHA[r][::-1], n), is_signal=True),
        MixtureSample("_b$", RNG.dirichlet(np.ones(r), n), is_signal=True),
    ]


FIGURES: dict[str, Callable[[], Figure]] = {
    "two themes": lambda: mixture_pictures(pictures(2), half_width=0.8, alpha=ALPHA[2]),
    "three themes": lambda: mixture_pictures(pictures(3), half_width=0.8, alpha=ALPHA[3]),
    "themes alike": lambda: mixture_pictures(
        np.full((2, 40, 40), 1 / 1600), half_width=0.8, alpha=ALPHA[2]
    ),
    "two weights": lambda: mixture_weights(samples(2), alpha=ALPHA[2]),
    "three weights": lambda: mixture_weights(samples(3), alpha=ALPHA[3]),
    "collapsed": lambda: mixture_weights(
        [MixtureSample("QCD", np.tile([0.9, 0.1], (20, 1)))], alpha=ALPHA[2]
    ),
    "no jets": lambda: mixture_weights([MixtureSample("QCD", np.zeros((0, 2)))], alpha=ALPHA[2]),
}


@pytest.mark.parametrize("name", FIGURES)
def test_picture_renders_with_ink_and_margins(name: str) -> None:
    assert_whole(FIGURES[name]())


@pytest.mark.parametrize("r", [2, 3])
def test_themes_and_their_ratios_are_drawn(r: int) -> None:
    images = pictures(r)
    panels = mixture_pictures(images, half_width=0.8, alpha=ALPHA[r]).axes[: 2 * r]
    for i, axes in enumerate(panels[:r]):
        drawn = axes.images[0].get_array()
        np.testing.assert_allclose(drawn.T, np.maximum(images[i], 1e-4 * images.max()))
        assert f"α = {ALPHA[r][i]:g}" in axes.texts[0].get_text()
    ratios = np.stack([axes.images[0].get_array() for axes in panels[r:]])
    np.testing.assert_allclose(ratios.sum(axis=0), 0, atol=1e-12)  # their logarithms' mean is 0
    low, high = panels[r].images[0].get_clim()
    assert -low == high == pytest.approx(np.abs(ratios).max())


def test_of_two_weights_that_of_the_smaller_alpha_is_drawn() -> None:
    weights = np.array([[0.9, 0.1], [0.9, 0.1], [0.9, 0.1], [0.1, 0.9]])
    for alpha, expected in (([1.0, 0.1], [0.75, 0.25]), ([0.1, 1.0], [0.25, 0.75])):
        figure = mixture_weights([MixtureSample("QCD", weights)], alpha=alpha, n_bins=2)
        (axes,) = figure.axes
        np.testing.assert_allclose(axes.patches[0].get_data().values, expected)
        assert "α = 0.1" in axes.get_xlabel()


def test_every_weight_of_three_is_drawn_and_every_class_once() -> None:
    figure = mixture_weights(samples(3), alpha=ALPHA[3])
    assert len(figure.axes) == 3
    for axes in figure.axes:
        lines = axes.patches[::2]  # a band follows each
        assert len(lines) == 3
        for line in lines:
            assert np.nansum(line.get_data().values) == pytest.approx(1)
    names = [text.get_text() for text in figure.axes[-1].get_legend().get_texts()]
    assert names == ["QCD", "Aachen", r" _b\$"]
