from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oddjet.datasets.kinematics.compiled import delta_phi, four_momenta, wrap_azimuth
from oddjet.datasets.kinematics.geometry import (
    cartesian,
    collider,
    delta_r,
    mass_of,
    sum_momenta,
    wrap_phi,
)

azimuths = st.floats(-7, 7)


@settings(deadline=None)  # the first call compiles
@given(a=azimuths, b=azimuths)
def test_azimuths_are_wrapped_as_math_does(a: float, b: float) -> None:
    distance = abs(math.remainder(a - b, 2 * math.pi))
    assert delta_phi(a, b) == pytest.approx(distance, abs=1e-12)
    assert abs(wrap_phi(np.array([a - b]))[0]) == pytest.approx(distance, abs=1e-12)
    assert abs(wrap_azimuth(a - b)) == pytest.approx(distance, abs=1e-12)
    assert -math.pi <= wrap_azimuth(a) < math.pi
    assert delta_r(np.array([0.3]), np.array([a - b]))[0] == pytest.approx(
        math.hypot(0.3, distance)
    )


def test_an_azimuth_in_range_stays_as_it_is() -> None:
    for phi in (-math.pi, -1e-17, 0.1, np.nextafter(math.pi, 0)):
        assert wrap_azimuth(phi) == phi


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
