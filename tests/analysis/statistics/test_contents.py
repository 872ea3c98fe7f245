"""Numbers of events, weights and densities are told apart."""

from __future__ import annotations

import numpy as np
import pytest

from oddjet.analysis.statistics.contents import common_factor, divided_by_width, whole_numbers
from oddjet.analysis.statistics.spectrum import Spectrum, check_counts
from oddjet.errors import FitError

EDGES = np.concatenate([np.arange(50.0, 100.0, 5.0), [100, 120, 150, 200]])
WIDTHS = np.diff(EDGES)
EVENTS = np.random.default_rng(1).poisson(3e4 * np.exp(-EDGES[:-1] / 40) * WIDTHS).astype(float)


def test_whole_numbers() -> None:
    assert whole_numbers([0, 3.0, 3.0000001, 2.5, np.nan]).tolist() == [True] * 3 + [False] * 2


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("unit", [1.0, 5.0, 20.0])
def test_events_per_width_are_recognised(dtype: type, unit: float) -> None:
    density = (EVENTS / WIDTHS * unit).astype(dtype).astype(float)
    shown = divided_by_width(density, WIDTHS, None)
    assert "are whole numbers" in shown
    with pytest.raises(FitError, match=r"events per GeV.*give numbers of events"):
        check_counts((density, EDGES))


def test_densities_of_weights_are_recognised_by_their_errors() -> None:
    weight = 0.37
    per_gev = Spectrum(
        EDGES, weight * EVENTS / WIDTHS, weight**2 * EVENTS / WIDTHS**2, is_data=False
    )
    with pytest.raises(FitError, match="Σw²/Σw goes as one over the width"):
        per_gev.checked()


def test_densities_of_weights_that_vary_are_recognised() -> None:
    rng = np.random.default_rng(3)
    masses = 50 + rng.exponential(40, 20000)
    for edges in (EDGES, np.r_[40:100:5, 100:201:20.0]):
        weights = rng.uniform(0.5, 2, masses.size) * np.exp(-masses / 2000)
        sums, squares = (np.histogram(masses, edges, weights=w)[0] for w in (weights, weights**2))
        filled, widths = sums > 0, np.diff(edges)
        sums, squares, widths = sums[filled], squares[filled], widths[filled]
        assert "one over the width" in divided_by_width(sums / widths, widths, squares / widths**2)
        assert divided_by_width(sums, widths, squares) == ""
        # Weights that fall with the mass, as of samples in slices of pt.
        for scale in (20.0, 50.0, 100.0):
            steep = rng.uniform(0.5, 2, masses.size) * np.exp(-masses / scale)
            sums, squares = (np.histogram(masses, edges, weights=w)[0] for w in (steep, steep**2))
            assert divided_by_width(sums[filled], widths, squares[filled]) == ""


def test_contents_that_were_multiplied_are_told() -> None:
    """Multiplied by a number they are whole still, and their errors are wrong."""
    for n in (2, 3, 10):
        assert common_factor(n * EVENTS) == n
        note = Spectrum(EDGES, n * EVENTS, name="mass").errors_note
        assert f"mass: all contents are multiples of {n}" in note
        assert f"{np.sqrt(n):.3g} times too small" in note
    assert common_factor(EVENTS) == 1
    assert Spectrum(EDGES, EVENTS).errors_note == ""
    assert Spectrum(EDGES, 2 * EVENTS, 4 * EVENTS, is_data=False).errors_note == ""
    assert common_factor(np.full(30, 100.0)) == 1
    assert common_factor(2 * EVENTS[:5]) == 1


def test_weights_and_smooth_expectations_are_no_densities() -> None:
    rng = np.random.default_rng(2)
    weights = rng.uniform(0.5, 2, EVENTS.size)
    assert divided_by_width(weights * EVENTS, WIDTHS, weights**2 * EVENTS) == ""
    # All weights alike; a half times a width of twenty is whole too.
    assert divided_by_width(0.5 * EVENTS, np.full(EVENTS.size, 20.0), None) == ""
    assert divided_by_width(0.2 * EVENTS, WIDTHS, 0.04 * EVENTS) == ""
    assert divided_by_width(np.pi * EVENTS, WIDTHS, None) == ""
    assert divided_by_width(np.array([0.2]), np.array([5.0]), None) == ""
