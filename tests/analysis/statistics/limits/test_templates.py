from __future__ import annotations

import numpy as np
import pytest

from oddjet.analysis.statistics.background.fit import fit_sidebands
from oddjet.analysis.statistics.background.signal import gaussian_fractions
from oddjet.analysis.statistics.limits.templates import (
    background_modes,
    warp_template,
)

EDGES = np.linspace(40.0, 140.0, 41)


@pytest.mark.parametrize(("scale", "stretch"), [(1.02, 1.0), (0.98, 1.0), (1.0, 1.2), (1.0, 0.8)])
def test_warped_gaussian_is_the_shifted_and_stretched_one(scale: float, stretch: float) -> None:
    warped = warp_template(
        gaussian_fractions(EDGES, mass=85, width=8), EDGES, scale=scale, stretch=stretch
    )
    wanted = gaussian_fractions(EDGES, mass=85 * scale, width=8 * scale * stretch)
    assert warped == pytest.approx(wanted, abs=5e-3 * wanted.max())
    assert warped.sum() == pytest.approx(wanted.sum(), abs=1e-4)


def test_modes_have_the_covariance_of_the_fit() -> None:
    edges = np.linspace(40.0, 200.0, 41)
    centres = 0.5 * (edges[1:] + edges[:-1])
    counts = np.random.default_rng(1).poisson(1000 * np.exp(-centres / 40))
    fit = fit_sidebands((counts, edges), window=(70.0, 100.0), function="exppoly3")
    covariance = fit.bin_covariance
    assert np.sqrt(np.diag(covariance)) == pytest.approx(fit.errors)
    inside = fit.in_window
    window = covariance[np.ix_(inside, inside)]
    assert np.sqrt(window.sum()) == pytest.approx(fit.predicted_error)
    modes = background_modes(window)
    assert len(modes) <= 3
    rebuilt = np.sum([np.outer(mode, mode) for mode in modes], axis=0)
    assert rebuilt == pytest.approx(window, abs=1e-5 * window.max())
