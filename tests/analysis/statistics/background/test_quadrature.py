"""The nodes of bins, against closed forms of exponentials."""

from __future__ import annotations

import numpy as np
import pytest

from oddjet.analysis.statistics.background.quadrature import (
    make_quadrature,
    mean_masses,
    needed_nodes,
)
from oddjet.typing import Floats

EDGES = np.array([50.0, 51.0, 56.0, 66.0, 86.0, 126.0, 250.0])


def integrals(slope: float) -> Floats:
    return np.asarray(np.diff(np.exp(slope * EDGES)) / slope)


@pytest.mark.parametrize("slope", [-0.002, -0.02, -0.05, 0.03])
def test_integrals_are_right_with_as_few_nodes_as_needed(slope: float) -> None:
    counts = 1e6 * integrals(slope)
    numbers = needed_nodes(EDGES, counts)
    nodes = make_quadrature(EDGES, numbers)
    np.testing.assert_allclose(
        nodes.sums(nodes.weights * np.exp(slope * nodes.masses)), integrals(slope), rtol=1e-6
    )
    assert np.all(np.diff(numbers) >= 0)  # wider bins need more of them
    assert 1 <= numbers.min() <= numbers.max() <= 8
    # One node less would not do for a slope of twice the size.
    fewer = make_quadrature(EDGES, np.maximum(numbers - 1, 1))
    steep = fewer.sums(fewer.weights * np.exp(2 * slope * fewer.masses))
    wrong = np.abs(steep / integrals(2 * slope) - 1)
    assert np.all(wrong[(numbers > 1) & (numbers < 8)] > 1e-7)


def test_nodes_lie_inside_their_bins_and_weights_add_up_to_widths() -> None:
    nodes = make_quadrature(EDGES)
    bins = np.repeat(np.arange(6), 8)
    assert np.all((nodes.masses > EDGES[bins]) & (nodes.masses < EDGES[bins + 1]))
    np.testing.assert_allclose(nodes.sums(nodes.weights), np.diff(EDGES))
    np.testing.assert_allclose(
        nodes.means(nodes.masses[:, None])[:, 0], 0.5 * (EDGES[1:] + EDGES[:-1])
    )


def test_the_mean_mass_of_an_exponential() -> None:
    slope, widths = -0.03, np.diff(EDGES)
    # ∫ m exp(s m) dm / ∫ exp(s m) dm over [a, a + w] = a + w / (1 − exp(−s w)) − 1 / s.
    exact = EDGES[:-1] + widths / (1 - np.exp(-slope * widths)) - 1 / slope
    means = mean_masses(EDGES, 1e7 * integrals(slope))
    np.testing.assert_allclose(means[:5], exact[:5], atol=0.3)  # the last is 124 GeV wide
