from __future__ import annotations

import numpy as np
import pytest

from oddjet.analysis.statistics.background.fit import fit_sidebands
from oddjet.analysis.statistics.background.signal import gaussian_fractions
from oddjet.analysis.statistics.limits.templates import (
    function_modes,
    warp_template,
)
from oddjet.analysis.statistics.spectrum import Spectrum

EDGES = np.linspace(40.0, 140.0, 41)


@pytest.mark.parametrize(("scale", "stretch"), [(1.02, 1.0), (0.98, 1.0), (1.0, 1.2), (1.0, 0.8)])
def test_warped_gaussian_is_the_shifted_and_stretched_one(scale: float, stretch: float) -> None:
    warped = warp_template(
        gaussian_fractions(EDGES, mass=85, width=8), EDGES, scale=scale, stretch=stretch
    )
    wanted = gaussian_fractions(EDGES, mass=85 * scale, width=8 * scale * stretch)
    assert warped == pytest.approx(wanted, abs=5e-3 * wanted.max())
    assert warped.sum() == pytest.approx(wanted.sum(), abs=1e-4)


def test_modes_are_what_the_function_can_do() -> None:
    edges = np.linspace(40.0, 200.0, 41)
    centres = 0.5 * (edges[1:] + edges[:-1])
    counts = np.random.default_rng(1).poisson(1000 * np.exp(-centres / 40))
    fit = fit_sidebands((counts, edges), window=(70.0, 100.0), function="exppoly3")
    modes = function_modes(fit)
    assert modes.shape == (3, 40)
    # Together they have the covariance of the fit's expectation, which is that of its parameters.
    rebuilt = (fit.expected * modes).T @ (fit.expected * modes)
    assert rebuilt == pytest.approx(
        fit.bin_covariance, rel=1e-3, abs=1e-4 * fit.bin_covariance.max()
    )
    # Moved by two σ along all of them, the background is the same function with other parameters.
    moved = fit.expected * np.exp(2.0 * modes.sum(axis=0))
    refit = fit_sidebands(
        Spectrum(edges, moved, moved, is_data=False), window=(70.0, 100.0), function="exppoly3"
    )
    assert refit.expected == pytest.approx(moved, rel=1e-3)
