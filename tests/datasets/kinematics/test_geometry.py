from __future__ import annotations

import numpy as np

from oddjet.datasets.kinematics.compiled import four_momenta
from oddjet.datasets.kinematics.geometry import (
    cartesian,
    collider,
    mass_of,
    sum_momenta,
)


def test_coordinates_there_and_back() -> None:
    rng = np.random.default_rng(5)
    pt, eta = rng.exponential(50, 100) + 1, rng.uniform(-3, 3, 100)
    phi, mass = rng.uniform(-3, 3, 100), rng.exponential(20, 100)
    momenta = cartesian(pt, eta, phi, mass)
    np.testing.assert_allclose(np.stack(momenta, 1), four_momenta(pt, eta, phi, mass))
    back = collider(*momenta)
    for name, values in {"pt": pt, "eta": eta, "phi": phi, "mass": mass}.items():
        np.testing.assert_allclose(back[name], values, rtol=1e-6)
    np.testing.assert_allclose(mass_of(*momenta), mass, rtol=1e-6)
    assert not collider(*momenta, rounding=1.0)["mass"].any()


def test_sums_over_jets_with_and_without_particles() -> None:
    one = np.array([1.0, 2.0, 3.0])
    sums = sum_momenta((one, -one, 2 * one, 4 * one), np.array([2, 0, 1]))
    np.testing.assert_array_equal(sums, np.outer([1, -1, 2, 4], [3.0, 0.0, 3.0]))
    assert collider(*(np.zeros(1) for _ in range(4)))["eta"] == 0
