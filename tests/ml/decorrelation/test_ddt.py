from __future__ import annotations

import numpy as np
import pytest

from oddjet.ml.decorrelation.ddt import DDT, rho


def test_rho() -> None:
    np.testing.assert_allclose(rho([80.0, 0.0], [400.0, 500.0]), np.log([0.04, 4e-6]))


def test_a_line_in_rho_is_taken_off_exactly() -> None:
    """The case of the reference: the score is a line in ρ and a noise of one shape."""
    rng = np.random.default_rng(1)
    pt = 200 + rng.exponential(100, 20_000)
    mass = pt * rng.uniform(0.05, 0.6, 20_000)
    noise = rng.normal(size=20_000)
    flat = DDT(scale=False, knots=4).fit(0.5 * rho(mass, pt) + noise, mass, pt)(
        0.5 * rho(mass, pt) + noise, mass, pt
    )
    order = np.argsort(np.argsort(flat)) - np.argsort(np.argsort(noise))
    assert np.quantile(np.abs(order), 0.95) < 0.03 * 20_000


def test_the_spread_is_taken_off_on_demand() -> None:
    rng = np.random.default_rng(2)
    mass, pt = rng.uniform(20, 200, 20_000), rng.uniform(300, 310, 20_000)
    scores = rng.normal(size=20_000) * mass
    heavy = mass > 150
    kept = {
        scale: np.mean(DDT(scale=scale).fit(scores, mass, pt)(scores, mass, pt)[heavy] >= 1)
        for scale in (True, False)
    }
    assert kept[True] == pytest.approx(0.1, abs=0.01)
    assert kept[False] > 0.15
